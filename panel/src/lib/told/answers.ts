/**
 * What nodes answer to people, by its wording: why something is refused, what follows from other settings, why an engine cannot
 * start. English shows it as it came; other languages have a template for each.
 */

import type { PassedOverCode } from '../api/codes';

/** Why a host is passed over, without its code. */
export const OBSTACLES = {
  unregistered: /^has not registered yet$/,
  down: /^is down$/,
  unavailable: /^is unavailable: it answers no member$/,
  cordoned: /^is cordoned$/,
  draining: /^is draining$/,
  docker: /^cannot use its Docker: .+$/s,
  stopping: /^is being stopped$/,
  docker_unknown: /^has not said yet that its Docker daemon answers$/,
  unresponsive: /^does not answer the leader$/,
  failed: /^has failed for this call$/,
  failing: /^the circuit breaker .+$/s,
  no_vpn: /^has no VPN that is connected$/,
  no_port: /^has no free port$/,
  full: /^runs \d+ engines, (?:which is its ACEFLEET_CAPACITY|as many as MAX_REPLICAS allows all hosts together)$/,
  lacks: /^lacks something: .+$/s,
} as const satisfies Record<PassedOverCode, RegExp>;

export const ANSWERS = {
  // What follows from other settings.
  tooMany: /^(?<n>\d+) engines? more than MAX_REPLICAS run; /,
  startedFor: /^(?<n>\d+) engines? (?:is|are) started: (?<each>.+)$/,
  backOnList: /^(?<n>\d+) engines? (?:is|are) taken back onto the list$/,
  leaveNow: /^(?<n>\d+) engines? that nobody has used for long leaves? now$/,
  keepPorts: /^(?<n>\d+) engines? with ports outside of (?<value>\S+) keep them/,
  apiInRange: /^(?<value>\S+) has port (?<n>\d+), on which (?<node>\S+) has its API: /,
  keepHttps: /^engines that exist keep their HTTPS ports$/,
  keepLabel: /^containers that exist keep the label that/,
  shortSilence: /^a host that is silent for a few seconds loses its engines/,
  breakerOpens: /^the circuit breaker over (?<other>new engines|replacements) is open at once, /,
  breakerCloses: /^the circuit breaker over (?<other>new engines|replacements) closes$/,
  missing: /^(?<n>\d+) engines are missing to the floors: (?<why>.+)$/s,
  replacementDue: /^a replacement of (?<name>\S+) is due: (?<why>.+)$/s,
  rests: /^the last start failed, the next attempt comes in (?<n>\d+) s$/,
  oneByOne: /^the last start failed, so starts come one by one; (?<name>\S+) is being started$/,
  onlyThere: /^only (?<node>\S+) could start it, and it is wanted for the loss of /,
  onlyAtHome: /^it is to be started behind its VPN on (?<node>\S+), where none can be started now$/,
  fewerThere: /^(?<n>\d+) are there and MIN_REPLICAS is (?<all>\d+)$/,
  fewerFree: /^(?<n>\d+) are free and MIN_FREE_REPLICAS is (?<all>\d+)$/,
  noSpare: /^were (?<node>\S+) lost, its streams would lack (?:a|(?<n>\d+)) free engines? elsewhere$/,

  // Settings that cannot be in force.
  aboveCeiling: /^(?<name>\S+) is above (?<other>\S+): lower the one/,
  fewPorts: /^(?<name>\S+) has (?<n>\d+) ports but (?<other>\S+) needs (?<all>\d+)(?<value>, two for each engine)?/,
  samePort: /^(?<name>\S+) is a single port inside (?<other>\S+): /,
  noLabel: /^(?:CONTAINER_LABEL: |\S+ is no label: )(?<why>.+?)(?:; accepted: .+)?$/s,
  notAccepted:
    /^(?:[A-Z_]+: .+; accepted|\S+ is (?:out of bounds|no value of \S+|no range of ports): accepted): (?<why>.+)$/s,
  noEquals: /^there is no =$/,
  twoEquals: /^there is more than one =$/,
  noLabelKey: /^the key is empty$/,
  blanks: /^there is white space in it$/,
  tooLong: /^it is longer than (?<n>\d+) bytes$/,
  takenKey: /^keys that begin with acestream\./,
  wholeNumber: /^a whole number from (?<n>\d+) to (?<all>\d+)$/,
  someSeconds: /^seconds from (?<n>[\d.]+) to (?<all>[\d.]+), decimals allowed$/,
  yesOrNo: /^true or false/,
  portRange: /^two ports FIRST-LAST from 1 to 65535/,
  label: /^KEY=VALUE with exactly one =/,
  moved:
    /^the settings are at revision (?<n>\d+) and (?:not at (?<value>\d+(?: or \d+)*)(?: any more)?|no strong tag names it): /,
  noRevision: /^the settings of revision (?<n>\d+) are not known: /,
  noSettings: /^the cluster has no settings yet: |^the settings of the cluster are not in force yet: /,

  // Removals, and who leads.
  livesAndRuns: /^(?<node>\S+) lives and runs (?<n>\d+) containers?: /,
  hasQueued: /^(?<node>\S+) has answered (?<n>\d+) events? that it could not write yet/,
  lastVoter: /^(?:(?<node>\S+) is the last voter \(|the last voter cannot be removed$)/,
  noMajority: /: there is no majority that could remove (?<node>\S+),/,
  wouldStop: /; without (?<node>\S+): .+: the cluster would stop, /,
  votesItself: /: the voters that stay are no majority of the present ones, so (?<node>\S+) has to vote/,
  noMember: /^no member (?:is named (?<node>\S+)|has this name); /,
  noVote: /^(?<node>\S+) has no vote yet, and cannot lead; /,
  notTakenOver: /^(?<name>\S+) did not take over from (?<node>\S+), which goes on: (?<why>.+)$/s,
  lateTakenOver: /^(?<name>\S+) did not take over in time; (?:no node|(?<node>\S+)) leads now$/,
  silentToLead: /^it does not answer the leader$/,
  lagsBehind: /^it did not complete the transfer in time, as one that lags behind does not$/,
  notRegistered: /^node \d+ has not registered$/,

  // Calls that were not done, or not in time.
  noLeader: /^the cluster has no leader$/,
  noLeaderInTime: /^no leader took the (?:write|change) in time/,
  outcome: /^the write was submitted but its outcome is unknown: /,
  changeGoesOn: /^the change is not finished: /,
  heldBack: /^(?<why>.+); it was not applied$/s,
  shuttingDown: /^this node is shutting down; /,
  memberGone: /^(?<node>\S+) is no member of this cluster any more$/,
  memberUnreachable: /^(?<node>\S+) cannot be reached: (?<why>.+)$/s,
  memberSilent: /^(?!Docker )(?<node>\S+) does not answer: (?<why>.+)$/s,
  memberFailed: /^(?<node>\S+) could not do it: (?<why>.+)$/s,
  unreachable: /^the node is not reachable: (?<other>.+)$/s,
  noAnswerOf: /^no answer: (?<other>.+)$/s,
  noAnswerInTime: /^no answer in time$/,
  stillStarting: /^the engine is still being started; /,
  stillStopping: /^the container is still being stopped; /,
  isStarting: /^(?<name>\S+) is still being started$/,
  fixedPort: /^(?<name>\S+) has a host port that its caller fixed: /,
  noContainer: /^container not found$/,
  noStream: /^Stream (?:not found|is not active \(status: ended\))$/,
  noCommandUrl: /^Stream has no command URL$/,
  manyFollow: /^too many follow logs through this node$/,
  busy: /^this node works on as many requests as it can$/,
  late: /^it was not done in time, and may or may not have an effect$/,
  notFormed: /^the cluster has not formed yet, /,
  badKey: /^invalid token$/,
  strangeName: /^this node is open and does not know the name in Host: /,
  strangePage: /^this node is open and answers no pages of other sites/,

  // Why no engine can start.
  noVpn: /^no VPN is connected \((?<each>.*)\)$/s,
  limit: /^(?<n>\d+) engines exist, (?<name>MAX_REPLICAS|the target) is (?<all>\d+)$/,
  noRoom: /^the registry holds (?<n>\d+) MiB of (?<other>engines|started streams), as much as it may; /,
  noPorts: /^no free ports in range (?<value>[^:]*): remove engines or widen (?<name>.+)$/,
  noPortsUp:
    /^the VPNs with free ports are not connected \((?<each>.+)\), and no ports are free in range (?<value>.*)$/s,
  noHttps: /^no free ports in ACE_HTTPS_RANGE: /,
  noHostNow: /^no host can start engines now: Docker or the node does not answer/,
  allFailed: /^every host that could start an engine has failed for this call$/,
  allFull:
    /^all (?<n>\d+) hosts that could run it have as many engines as their ACEFLEET_CAPACITY allows(?:; (?<each>.+))?$/s,
  noneMore: /^no host can run one more(?:; (?<each>.+))?$/s,
  noHostAsIs: /^no host can start an engine now: (?<each>.+)$/s,
  noDockerYet: /^no host has said yet that its Docker daemon answers$/,
  noDocker: /^no Docker daemon answers \((?<each>.+)\)$/s,

  // Why an engine did not start, and why a VPN is down.
  conflicts: /^(?<n>\d+) leases in a row were in use on this host, lastly (?<value>.+)$/,
  pulling: /^the image (?<value>\S+) is still being pulled on host (?<node>\S+); /,
  noImage: /^the image (?<value>\S+) is not on host (?<node>\S+): (?<why>.+)\. Run `/s,
  notStarted: /^host (?<node>\S+) does not start it: (?<why>.+)$/s,
  imageNotAllowed: /^the image (?<value>\S+) may not be started: let ACEFLEET_ALLOWED_IMAGES name it, /,
  noReference: /^(?<value>.+) names no image: (?<why>.+)$/s,
  labelNotAllowed: /^the label (?<value>.*) may not be given: let ACEFLEET_ALLOWED_LABELS name it, /s,
  ownLabel:
    /^labels that begin with acefleet\., acestream\. or host\. are set by the cluster alone: leave (?<value>.+) out$/s,
  variableNotAllowed:
    /^proxies and service lists of a host act on the variable (?<value>.+): let ACEFLEET_ALLOWED_LABELS name it, /s,
  ownPort: /^port (?<n>\d+) is one of the node's own: /,
  lowPort: /^port (?<n>\d+) is below 1024, where only those that PORT_RANGE_HOST gives to engines may be used: /,
  vpnName: /^a container that is named (?<name>\S+)-… could be taken for the VPN container (?<vpn>\S+): /,
  vanishedAfterPull: /^it vanished after the pull$/,
  noNetwork: /^host (?<node>\S+) has no Docker network (?<value>\S+): run `/,
  vpnStopped: /^the VPN container (?<vpn>\S+) does not run on host (?<node>\S+)$/,
  portKept: /^another engine did not give up the forwarded port of the VPN container (?<vpn>\S+)$/,
  dockerSilent: /^Docker (?:has not answered yet|became unavailable)$/,
  dockerNoAnswer: /^Docker does not answer: (?<why>.+)$/s,
  dockerLate: /^(?<value>\S+): no answer within (?<n>\d+) s$/,
  noSocket: /^there is no socket (?<value>\S+): start Docker or set DOCKER_HOST$/,
  oldDocker: /^its API is (?<value>\S+), at least (?<all>\S+) is needed: upgrade Docker$/,
  noRight: /^(?<other>.+: )?run acefleet as root or as a member of the docker group$/s,
  guarded:
    /^(?<other>.+) is forbidden(?: \(.*\))?: allow it where Docker's socket is guarded, for \S+ with (?<value>.+)$/s,
  dockerSlow:
    /^Docker did not start the container in time; |^the container was created but Docker did not start it in time$/,
  removedMeanwhile: /^the container was removed while it started$/,
  likeNames: /^(?<n>\d+) other containers on host (?<node>\S+) are named (?<name>\S+): remove some$/,
  endedAtOnce: /^the container ended at once with (?<other>.+)$/s,
  noSuchContainer: /^(?:there is )?no such container$/,
  nameInUse: /^the container name (?<name>\S+) is in use$/,
  portInUse: /^host port (?<n>\d+) is in use$/,
  lendsNone: /^the VPN container lends no network: (?<other>.+)$/s,
  containerIs: /^the container is (?<other>\S+)$/,
  tunnelDown: /^its health check says that the tunnel is down$/,
  tunnelIs: /^Gluetun says that its tunnel is (?<other>\S+)$/,
  tunnelComes: /^it has been started again and its tunnel is not up yet$/,
  dockerOverruled: /^Docker's health check says that the tunnel is down, but (?<why>.+)$/,
  engineConnected: /^the engine (?<name>\S+) is connected$/,
  gluetunUp: /^Gluetun says that it is up, and no engine is there/,
  routeClosed: /^it answers (?<n>\d+) for (?<value>\S+): allow the route in its role file, /,
  unreadable: /^its answer on (?<value>\S+) is unreadable$/,
  strangeWord: /^it says (?<value>.+) of its tunnel, which means nothing to this node$/s,
  portUseless: /^no engine can use the forwarded port (?<n>\d+): (?<why>.+)$/,
  controlListens: /^Gluetun's control server listens on it$/,
  engineListens: /^the engine (?<name>\S+) listens on it$/,
  amongPorts: /^it is among the ports of its engines$/,
  notUpYet: /^not known to be up yet$/,
  makerGone: /^the node (?<node>\S+) that made it is no member any more$/,
  otherCluster: /^the node (?<node>\S+) made it in another cluster, (?<other>[^\s,]+)(?<value>, which may live)?/,
} as const satisfies Record<string, RegExp>;

/** Entries of lists, which stand nowhere else. */
export const LISTED = {
  vpnIs: /^(?<vpn>\S+) on (?<node>[^\s:]+): (?<why>.+)$/s,
} as const satisfies Record<string, RegExp>;

export type AnswerWording = keyof typeof ANSWERS | keyof typeof LISTED;
