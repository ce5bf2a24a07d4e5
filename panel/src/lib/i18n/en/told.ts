/** English: what happened, and why. */
import type { ClauseWording, EventWording, Facts } from '../../told/sayings';
import { agree, plural, someEngines, someStreams } from './count';

const all = (f: Facts) => Number(f.all ?? 1);
const n = (f: Facts) => Number(f.n);
const why = (f: Facts) => (f.why === undefined ? '' : `: ${f.why}`);
const at = (f: Facts) => (f.node === undefined ? '' : ` on ${f.node}`);

export const told = {
  reserved: (f) => `${f.name} starts${at(f)}${why(f)}`,
  created: (f) => `${f.name} runs on ${f.node}`,
  failed: (f) => `${f.name} did not start on ${f.node}${why(f)}`,
  listed: (f) => `${f.name} is offered again: its VPN has its forwarded port again`,
  retiring: (f) => `${f.name} is offered no more: ${f.cause}`,
  stopping: (f) => `${f.name} is being stopped: ${f.cause}`,
  deleted: (f) => `${f.name} is gone: ${f.cause}${f.why === undefined ? '' : ` (${f.why})`}`,
  adopted: (f) => `${f.name} on ${f.node} was adopted`,
  kept: (f) => `${f.name} stays: a client has come to it`,
  streamStarted: (f) => `stream ${f.stream} started`,
  streamEnded: (f) => `stream ${f.stream} ended: ${f.reason}`,
  streamResumed: (f) => `stream ${f.stream} plays on: its host is back`,
  streamFound: (f) => `${f.name} is in use, though no event says so`,
  streamPlays: (f) => `${f.name} still plays what was stream ${f.stream}`,
  vpnConnected: (f) => `VPN ${f.vpn} on ${f.node} is connected`,
  vpnReconnected: (f) => `VPN ${f.vpn} on ${f.node} is connected again; its engines are replaced one by one`,
  vpnDisconnected: (f) => `VPN ${f.vpn} on ${f.node} is down${why(f)}`,
  vpnUnknown: (f) => `VPN ${f.vpn} on ${f.node} is unknown`,
  vpnPort: (f) => `VPN ${f.vpn} on ${f.node} has the forwarded port ${f.value}`,
  vpnNoPort: (f) => `VPN ${f.vpn} on ${f.node} has no forwarded port any more`,
  vpnAddress: (f) => `VPN ${f.vpn} on ${f.node} has the public address ${f.value}`,
  sick: (f) => `${f.name} is unhealthy${why(f)}`,
  sound: (f) => `${f.name} is healthy`,
  healthUnknown: (f) => `health of ${f.name} is unknown`,
  breakerOpen: (f) =>
    `starts are paused (${f.other}): ${agree(n(f), '1 failed', `${f.n} failed in a row`)}${f.why === undefined ? '' : `, lastly ${f.why}`}`,
  breakerClosed: (f) => `starts go on (${f.other})${why(f)}`,
  breakersReset: () => 'starts are allowed again: a circuit breaker was reset',
  joined: (f) => `${f.node} joined the cluster`,
  removed: (f) => `${f.node} was removed from the cluster`,
  dockerDown: (f) => `Docker on ${f.node} cannot be used${why(f)}`,
  dockerUp: (f) => `Docker on ${f.node} answers`,
  dockerUnknown: (f) => `Docker on ${f.node} is unknown`,
  nodeStopping: (f) => `${f.node} is being stopped`,
  cordoned: (f) => `${f.node} takes no new engines`,
  uncordoned: (f) => `${f.node} takes new engines again`,
  draining: (f) => `${f.node} drains: its engines leave with their streams`,
  nodeDown: (f) => `${f.node} is down: its engines are lost, their streams end`,
  nodeBack: (f) => `${f.node} is back, with the engines that it still runs`,
  nodeUnavailable: (f) => `${f.node} is away, no member hears from it: ${f.why}`,
  nodeAvailable: (f) => `${f.node} answers again, and its engines count again`,
  nodePartly: (f) =>
    `${f.node} answers again; ${f.n} of its ${someEngines(all(f))} ${agree(n(f), 'has', 'have')} not answered yet`,
  enginesLost: (f) =>
    `${plural(n(f), 'more engine', 'more engines')} of ${f.node} ${agree(n(f), 'is', 'are')} lost: no answer`,
  enginesBack: (f) => `${someEngines(n(f))} of ${f.node} ${agree(n(f), 'answers', 'answer')} again`,
  leads: (f) => `${f.node} leads since term ${f.n}${f.other === undefined ? '' : `, after ${f.other}`}`,
  toLead: (f) => `${f.node} is to lead`,
  toLeave: (f) => `${f.node} is to leave for good`,
  keyOpen: () => 'everybody may call the nodes whose settings name no key',
  keyChanged: () => 'the cluster has another API key, for nodes whose settings name none',
  found: (f) => `the ${f.other} ${f.value} is no longer missing on ${f.node}`,
  nodeReplaced: (f) => `${f.node} lost what its disk held and goes on with a new one`,
  recovered: (f) => `the cluster was recovered from ${f.node}, without ${plural(n(f), 'other', 'others')}`,
  level: (f) => `all members know the commands of level ${f.n}, which are used from now on`,
  settingsBack: (f) => `the settings are those of revision ${f.n} again: ${f.value}`,
  settingsOf: (f) =>
    `the configuration of ${f.node ?? 'the leader'} gives the settings of the cluster${f.value === undefined ? '' : `: ${f.value}`}`,
  settings: (f) => `settings: ${f.value}`,
} satisfies Record<EventWording, (f: Facts) => string>;

/** The whole of “2 of 3”. */
const of = (part: string | undefined) => Number(/\d+$/.exec(part ?? '')?.[0]);
const load = (f: Facts) =>
  `${f.n} of ${someEngines(all(f))}, ${someStreams(Number(f.value))}, ${f.other} ${agree(of(f.other), 'host', 'hosts')} with room`;

export const clauses = {
  replacesIt: (f) => `it replaces ${f.name}${at(f)}`,
  settingsWant: () => 'the settings ask for more engines than there are',
  callerAsks: () => 'a caller asks for it',
  noAnswer: () => 'it does not answer',
  slow: () => 'it answers too slowly',
  errorStatus: () => 'it answers with an error',
  notEngine: () => 'its answers are not those of an engine',
  portClosed: () => 'nothing listens on its port',
  notReached: () => 'its host cannot reach it',
  paused: () => 'its container is paused',
  failsChecks: () => 'it fails its health checks',
  hostStarts: () => 'its host is starting it',
  otherKind: () => 'it is a container of another kind',
  hostDown: () => 'its host is down',
  hostGone: () => 'its host is away, or was, and it has not answered since',
  hostDrains: () => 'its host is draining',
  tookPlace: () => 'it was unhealthy, and another one took its place; it is listed again when one more is wanted',
  notNeeded: (f) => `it was not needed (${f.cause}); it is listed again when it is`,
  leaves: (f) => `it stops when its streams have ended: ${f.cause}`,
  stops: (f) => `it is stopping: ${f.cause}`,
  vpnSick: () => 'its VPN is down',
  outsideVpn: () => 'it runs outside the VPNs of its host',
  isSick: (f) => `it is unhealthy${why(f)}`,
  noAddress: () => 'its container has no address',
  notAnswered: () => 'it has not answered since its start',
  stoppingNow: () => 'it is stopping',
  clientsGet: () => 'clients get it',
  offList: () => 'it is off the list already',
  suspected: (f) => `it fails with most engines of its host, which is suspected for another ${f.n} s`,
  replacementSilent: () => 'its replacement does not answer yet',
  oneStream: () => 'a stream runs on it',
  streams: (f) => `${someStreams(n(f))} ${agree(n(f), 'runs', 'run')} on it`,
  inDoubt: () => 'its host was down, and streams may still play on it',
  clientComing: (f) => `a client may be on its way to it for another ${f.n} s`,
  notIdle: (f) => `it is idle for long enough in ${f.n} s`,
  isSetting: (f) => `${f.name} is ${f.n}`,
  noMember: (f) => `it answers no member; ${f.why}`,
  noEngines: () => 'it has no engines',
  enginesAnswer: () => 'its engines answer and stay listed',
  allLost: (f) =>
    agree(
      all(f),
      'its engine does not answer either, and is lost',
      `its ${someEngines(all(f))} do not answer either, and are lost`,
    ),
  someLost: (f) =>
    `${f.n} of its ${someEngines(all(f))} ${agree(n(f), 'does not answer either, and is', 'do not answer either, and are')} lost`,
  downNow: () => 'it is down: no member can reach it; its engines are lost, and their streams have ended',
  breakerOpen: (f) =>
    `${agree(n(f), '1 start failed', `${f.n} starts failed in a row`)}${f.why === undefined ? '' : `, lastly ${f.why}`}`,
  breakerProbes: () => 'one start is let through to try',
  provenGood: () => 'an engine has lived for a minute',
  vpnAtFault: () => 'a VPN was at fault',
  vpnAnew: () => 'a VPN was made anew',
  leastLoaded: (f) => `alone least loaded: ${load(f)}`,
  tieReceived: (f) => `as little loaded as others, and it took the call: ${load(f)}`,
  tieHash: (f) => `as little loaded as others, chosen by hash: ${load(f)}`,
  wasThere: () => 'adopted: the container ran already',
} satisfies Record<ClauseWording, (f: Facts) => string>;
