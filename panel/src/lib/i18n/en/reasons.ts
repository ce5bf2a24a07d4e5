/** English: reasons that the API gives as codes. */
import type {
  BlockedCode,
  CauseCode,
  Credential,
  EndCode,
  KeyType,
  LeaderReasonCode,
  PassedOverCode,
  ProxyEndCode,
} from '../../api/codes';
import { someEngines } from './count';

const more = (what: string, why: string) => (why === '' ? what : `${what}: ${why}`);

/** To follow the name of the host; `why` is particular to the moment, or the setting that bounds it, `n` the number in it. */
export const passedOver = {
  unregistered: () => 'has not registered yet',
  down: () => 'is down',
  unavailable: () => 'is away: it answers no member',
  cordoned: () => 'is cordoned',
  draining: () => 'is draining',
  docker: (why) => more('cannot use its Docker', why),
  stopping: () => 'is being stopped',
  docker_unknown: () => 'has not said yet that its Docker answers',
  unresponsive: () => 'does not answer the leader',
  failed: () => 'has failed for this call',
  failing: (why) => more('fails to start engines', why),
  no_vpn: () => 'has no VPN that is connected',
  no_port: () => 'has no free port',
  full: (setting, n) =>
    `is full: it runs ${someEngines(Number(n))}, ${setting === 'MAX_REPLICAS' ? 'as many as MAX_REPLICAS allows all hosts together' : 'which is its ACEFLEET_CAPACITY'}`,
  lacks: (why) => more('lacks something', why),
} satisfies Record<PassedOverCode, (why: string, n: string) => string>;

export const blockedBy = {
  no_leader: 'The cluster has no leader',
  no_settings: 'The cluster has just formed, and its settings are not in force yet',
  docker_unavailable: 'No Docker of a host answers',
  vpn_disconnected: 'No VPN is connected',
  max_capacity: 'As many engines exist as may',
  circuit_breaker: 'Too many starts failed in a row',
  registry_full: 'The registry is full',
  no_free_ports: 'All host ports are used up',
  image_missing: 'No host with room has the image',
  network_missing: 'No host with room has the Docker network',
  no_host: 'No host can take an engine',
} satisfies Record<BlockedCode, string>;

export const causes = {
  docker_unavailable: 'Docker of its host cannot be used',
  docker_error: 'Docker refused a step of the start',
  host_silent: 'its host did not answer',
  vpn_error: 'its VPN could not take it',
  not_allowed: 'its host does not start this',
  image_pulling: 'its host is still fetching the image',
  image_missing: 'its host lacks the image',
  network_missing: 'its host lacks the Docker network',
  port_taken: 'its host port is in use',
  no_free_ports: 'no host port was left',
  conflict: 'several ports in a row were in use',
  startup_timeout: 'it did not run in time',
  exited: 'its container ended by itself',
  oom: 'it ran out of memory',
  vanished: 'its container was gone',
  stopped: 'its host stopped it',
  deleted: 'a caller stopped it',
  replaced: 'a caller had it replaced',
  scaled_down: 'a caller scaled down',
  idle_ttl: 'it was idle for IDLE_TTL_S',
  idle: 'it was idle',
  drained: 'its host was drained',
  vpn_misplaced: 'it ran outside the VPNs of its host',
  vpn_unhealthy: 'its VPN was down',
  vpn_port_changed: 'its VPN forwards another port',
  vpn_reconnected: 'its VPN was connected again after a long outage',
  vpn_recreated: 'its VPN was made anew',
  unhealthy: 'it was unhealthy',
  node_removed: 'its host was removed',
} satisfies Record<CauseCode, string>;

export const ends = {
  unknown: 'not told',
  host_down: 'its host is down',
  engine_gone: 'its engine is gone',
  stale_stream_detected: 'its engine does not know it any more',
  unwatched: 'nobody ended it for a day',
  crowded_out: 'too many streams could not be asked about',
  unviewed: '30\u00a0s without figures or client',
  manual_stop_via_api: 'stopped by a caller',
  'superseded by a new session': 'another session took its id',
  'ended before it was reported as started': 'its end was reported before its start',
} satisfies Record<EndCode, string>;

/** As proxies give them with the end. */
export const proxyEnds = {
  completed: 'it came to its end',
  client_disconnected: 'the viewer left',
  handler_exit: 'the proxy let it go',
  empty_timeout: 'its engine sent nothing',
  timeout: 'its engine answered late',
  network_error: 'the network failed',
  eof: 'its engine broke off',
  closed_pipe: 'a connection was closed',
  closed_connection: 'a connection was closed',
  buffer_error: 'an error in the proxy',
  memory_error: 'the proxy lacked memory',
  error: 'an error in the proxy',
  panic: 'the proxy failed',
  start_stream_failed: 'the proxy could not start it',
  fetch_stream_failed: 'the proxy could not fetch it',
} satisfies Record<ProxyEndCode, string>;

export const keyTypes = {
  content_id: 'content id',
  infohash: 'infohash',
  url: 'URL',
  magnet: 'magnet link',
  torrent_url: 'URL of a torrent',
  direct_url: 'direct URL',
  raw_data: 'torrent file',
} satisfies Record<KeyType, string>;

export const credentials = {
  'API key': 'API key',
  'command line': 'command line',
  'no key': 'no key',
} satisfies Record<Credential, string>;

/** Why another member leads; `by` is who asked for it, where that is known. */
export const leaderReasons = {
  asked: (by: string | null) => (by === null ? 'it was asked for' : `asked for by ${by}`),
  leader_stopped: () => 'the leader before was stopped',
  leader_drained: () => 'the leader before drains',
  unknown: () => 'the leader before fell silent',
} satisfies Record<LeaderReasonCode, (by: string | null) => string>;
