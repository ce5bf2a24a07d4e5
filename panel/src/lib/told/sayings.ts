/**
 * What nodes write, by its wording: events, and clauses that give their reasons. Languages have a template for each; what
 * fits none is shown as the node wrote it.
 */

import { ANSWERS, LISTED, OBSTACLES } from './answers';

type Group = 'name' | 'node' | 'vpn' | 'stream' | 'other' | 'value' | 'n' | 'all';
/** Their words depend on the language: `cause` and `reason` are codes, `why` is a clause, `each` a list of such. */
type Said = 'cause' | 'reason' | 'why' | 'each';

/** Groups of a pattern. */
export type Facts = Partial<Record<Group | Said, string>>;

/** Events, by type and category; a kind may be worded in several ways. */
const EVENTS = {
  reserved: ['engine/reserved', /^(?<name>engine \S+|\S+?)(?: on (?<node>\S+))? is to start: (?<why>.+)$/],
  created: ['engine/created', /^(?<name>\S+) started on (?<node>\S+)$/],
  failed: ['engine/failed', /^(?<name>\S+) on (?<node>[^\s:]+): (?<why>.+)$/s],
  listed: ['engine/listed', /^(?<name>\S+) is offered again: /],
  retiring: ['engine/retiring', /^(?<name>\S+) is offered no more \((?<cause>.+)\)$/],
  stopping: ['engine/stopping', /^(?<name>\S+) is being removed \((?<cause>.+)\)$/],
  deleted: ['engine/deleted', /^(?<name>\S+) is gone \((?<cause>[^)]+)\)(?:: (?<why>.+))?$/s],
  adopted: ['engine/adopted', /^(?<name>\S+) on (?<node>\S+) was adopted$/],
  kept: ['engine/kept', /^(?<name>\S+) stays: a client has come to it$/],
  streamStarted: ['stream/started', /^stream (?<stream>\S+) started$/],
  streamEnded: ['stream/ended', /^stream (?<stream>\S+) ended \((?<reason>.+)\)$/s],
  streamResumed: ['stream/resumed', /^stream (?<stream>\S+) plays on: /],
  streamFound: ['stream/found', /^(?<name>\S+) is in use, though no event says so$/],
  streamPlays: ['stream/found', /^(?<name>\S+) still plays what was stream (?<stream>\S+)$/],
  vpnConnected: ['vpn/connected', /^VPN (?<vpn>\S+) on (?<node>\S+) is connected$/],
  vpnReconnected: ['vpn/connected', /^VPN (?<vpn>\S+) on (?<node>\S+) is connected again; its engines are replaced/],
  vpnDisconnected: ['vpn/disconnected', /^VPN (?<vpn>\S+) on (?<node>\S+) is disconnected: (?<why>.+)$/s],
  vpnUnknown: ['vpn/unknown', /^VPN (?<vpn>\S+) on (?<node>\S+) is unknown$/],
  vpnPort: ['vpn/port_changed', /^VPN (?<vpn>\S+) on (?<node>\S+) has the forwarded port (?<value>\d+)$/],
  vpnNoPort: ['vpn/port_changed', /^VPN (?<vpn>\S+) on (?<node>\S+) has no forwarded port any more$/],
  vpnAddress: ['vpn/address_changed', /^VPN (?<vpn>\S+) on (?<node>\S+) has the public address (?<value>\S+)$/],
  sick: ['health/failed', /^(?<name>\S+) is unhealthy(?:: (?<why>.+))?$/],
  sound: ['health/recovered', /^(?<name>\S+) is healthy$/],
  healthUnknown: ['health/unknown', /^(?<name>\S+) is of unknown health/],
  breakerOpen: [
    'health/failed',
    /^the circuit breaker over (?<other>.+?) is open after (?<n>\d+) failures in a row(?:, lastly: (?<why>.+))?$/s,
  ],
  breakerClosed: ['health/recovered', /^the circuit breaker over (?<other>.+?) is closed: (?<why>.+)$/],
  breakersReset: ['health/reset', /^(?:all circuit breakers are|the circuit breakers? over .+ (?:is|are)) reset$/],
  joined: ['system/node_joined', /^node (?<node>\S+) joined$/],
  removed: ['system/node_removed', /^node (?<node>\S+) was removed from the cluster$/],
  dockerDown: ['system/docker_unavailable', /^Docker on (?<node>\S+) cannot be used: (?<why>.+)$/s],
  dockerUp: ['system/docker_available', /^Docker on (?<node>\S+) answers$/],
  dockerUnknown: ['system/docker_unknown', /^Docker on (?<node>\S+) is unknown$/],
  nodeStopping: ['system/node_stopping', /^(?<node>\S+) is being stopped$/],
  cordoned: ['system/cordoned', /^(?<node>\S+) takes no new engines$/],
  uncordoned: ['system/uncordoned', /^(?<node>\S+) takes new engines again$/],
  draining: ['system/draining', /^(?<node>\S+) drains.*: /],
  nodeDown: ['system/node_down', /^(?<node>\S+) is down: /],
  nodeBack: ['system/node_back', /^(?<node>\S+) is back, with the engines that it still runs$/],
  nodeUnavailable: ['system/node_unavailable', /^(?<node>\S+) is unavailable: it answers no member; (?<why>.+)$/],
  nodeAvailable: ['system/node_available', /^(?<node>\S+) answers again, and its engines count again$/],
  nodePartly: [
    'system/node_available',
    /^(?<node>\S+) answers again; (?<n>\d+|one) of its (?<all>\d+) engines ha\w+ not answered yet$/,
  ],
  enginesLost: [
    'system/engines_lost',
    /^(?<n>\d+|one) more engines? of (?<node>\S+) do(?:es)? not answer, and (?:is|are) lost$/,
  ],
  enginesBack: ['system/engines_back', /^(?<n>\d+|one) engines? of (?<node>\S+) answers? again$/],
  leads: ['system/leader_changed', /^(?<node>.+) leads since term (?<n>\d+)(?:, after (?<other>.+))?$/],
  toLead: ['system/leadership_transfer', /^(?<node>\S+) is to lead$/],
  toLeave: ['system/removal_wanted', /^(?<node>\S+) is to leave for good$/],
  keyOpen: ['system/key_changed', /^everybody may call/],
  keyChanged: ['system/key_changed', /^the cluster has another API key/],
  found: ['system/found', /^the (?<other>image|Docker network) (?<value>.+) is no longer missing on (?<node>\S+)$/],
  nodeReplaced: ['system/node_replaced', /^node (?<node>\S+) lost what its disk held/],
  recovered: ['system/cluster_recovered', /^the cluster was recovered from (?<node>.+), without (?<n>\d+) others$/],
  level: ['system/level_raised', /^all members know the commands of level (?<n>\d+)/],
  settingsBack: ['system/settings_changed', /^the settings are those of revision (?<n>\d+) again: (?<value>.+)$/],
  settingsOf: [
    'system/settings_changed',
    /^the configuration of (?:the leader|(?<node>\S+)) gives the settings of the cluster(?:: (?<value>.+))?$/,
  ],
  settings: ['system/settings_changed', /^(?<value>[A-Z_]+ .*→.*)$/],
} as const satisfies Record<string, readonly [kind: `${string}/${string}`, wording: RegExp]>;

/** Clauses that stand alone, or after what they explain. */
const CLAUSES = {
  replacesIt: /^it replaces (?<name>engine \S+|\S+)(?: on (?<node>\S+))?$/,
  settingsWant: /^the settings ask for more engines than there are$/,
  callerAsks: /^a caller asks for it$/,
  noAnswer: /^it does not answer$/,
  slow: /^it answers too slowly$/,
  errorStatus: /^it answers with an error$/,
  notEngine: /^its answers are not those of an engine$/,
  portClosed: /^nothing listens on its port$/,
  notReached: /^its host cannot reach it$/,
  paused: /^its container is paused$/,
  failsChecks: /^it fails its health checks$/,
  hostStarts: /^its host is starting it$/,
  otherKind: /^it is a container of another kind$/,
  hostDown: /^its host is down$/,
  hostGone: /^its host is (?:unavailable|away), or was, and it (?:does not answer|has not answered since)$/,
  hostDrains: /^its host is draining$/,
  tookPlace: /^it was unhealthy, and another one took its place; /,
  notNeeded: /^it was not needed \((?<cause>.+)\); /,
  leaves: /^it stops when its streams have ended: (?<cause>.+)$/,
  stops: /^it is stopping: (?<cause>.+)$/,
  vpnSick: /^its VPN is unhealthy$/,
  outsideVpn: /^it runs outside the VPNs of its host$/,
  isSick: /^it is unhealthy: (?<why>.+)$/,
  noAddress: /^its container has no address$/,
  notAnswered: /^it has not answered since its start$/,
  stoppingNow: /^it is stopping$/,
  clientsGet: /^clients get it$/,
  offList: /^it is off the list already$/,
  suspected: /^it fails with most engines of its host, which is suspected for another (?<n>\d+) s$/,
  replacementSilent: /^its replacement does not answer yet$/,
  oneStream: /^a stream runs on it$/,
  streams: /^(?<n>\d+) streams run on it$/,
  inDoubt: /^its host was down, and streams may still play on it$/,
  clientComing: /^a client may be on its way to it for another (?<n>\d+) s$/,
  notIdle: /^it is idle for long enough in (?<n>\d+) s$/,
  isSetting: /^(?<name>MIN_REPLICAS|MIN_FREE_REPLICAS) is (?<n>\d+)$/,
  noMember: /^it answers no member; (?<why>.+)$/,
  noEngines: /^it has no engines$/,
  enginesAnswer: /^its engines? answers? and stays? listed$/,
  allLost: /^its (?:(?<all>\d+) engines do|engine does) not answer either, and (?:is|are) lost$/,
  someLost: /^(?<n>\d+|one) of its (?<all>\d+) engines do(?:es)? not answer either, and (?:is|are) lost$/,
  downNow: /^it is down: no member can reach it; /,
  breakerOpen:
    /^the circuit breaker(?: over (?<other>.+?))? is open after (?<n>\d+) failures in a row(?:, lastly: (?<why>.+))?$/s,
  breakerProbes: /^the circuit breaker(?: over .+)? is half open and its one probe is under way$/,
  provenGood: /^an engine has lived for a minute$/,
  vpnAtFault: /^a VPN was at fault$/,
  vpnAnew: /^a VPN was made anew$/,
  leastLoaded:
    /^alone least loaded: (?<n>\d+) of (?<all>\d+) engines, (?<value>\d+) streams, (?<other>\d+ of \d+) hosts with room$/,
  tieReceived:
    /^tie, received the request: (?<n>\d+) of (?<all>\d+) engines, (?<value>\d+) streams, (?<other>\d+ of \d+) hosts with room$/,
  tieHash:
    /^tie, by consistent hash: (?<n>\d+) of (?<all>\d+) engines, (?<value>\d+) streams, (?<other>\d+ of \d+) hosts with room$/,
  wasThere: /^adopted: the container ran already$/,
} as const satisfies Record<string, RegExp>;

export type EventWording = keyof typeof EVENTS;
export type ClauseWording = keyof typeof CLAUSES;
/** Kinds of events that the panel knows, as `type/category`. */
export type Kind = (typeof EVENTS)[EventWording][0];

const isKey = <T extends object>(k: string, of: T): k is Extract<keyof T, string> => Object.hasOwn(of, k);

/** How an event is worded; null when the panel does not know its kind, or not its words. */
export function wordingOf(kind: string, message: string): [EventWording, Facts] | null {
  for (const [key, [of, wording]] of Object.entries(EVENTS)) {
    const m = of === kind ? wording.exec(message) : null;
    if (m !== null && isKey(key, EVENTS)) return [key, { ...m.groups }];
  }
  return null;
}

/** Which of these wordings a text has; null when it is in nobody's words but its own. */
function wordingIn<T extends Record<string, RegExp>>(table: T, text: string): [Extract<keyof T, string>, Facts] | null {
  for (const [key, wording] of Object.entries(table)) {
    const m = wording.exec(text);
    if (m !== null && isKey(key, table)) return [key, { ...m.groups }];
  }
  return null;
}

export const clauseOf = (text: string) => wordingIn(CLAUSES, text);
export const answerOf = (text: string) => wordingIn(ANSWERS, text);
export const listedOf = (text: string) => wordingIn(LISTED, text);
export const obstacleOf = (text: string) => wordingIn(OBSTACLES, text)?.[0] ?? null;

/** All kinds that the panel knows. */
export const EVENT_KINDS: ReadonlySet<string> = new Set(Object.values(EVENTS).map(([kind]) => kind));
