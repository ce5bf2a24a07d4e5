/** Codes by which the API gives reasons; words for all of them are in every language, or it does not compile. */
import type { components } from './schema';

type Schemas = components['schemas'];

/** What the API's description names, where it does; where it says no more than text, what nodes are known to send. */
type Named<Described extends string, Known extends string> = string extends Described ? Known : Described;

/** Why a host gets no new engine. */
export type PassedOverCode = Named<
  Schemas['PassedOver']['code'],
  | 'unregistered'
  | 'down'
  | 'unavailable'
  | 'cordoned'
  | 'draining'
  | 'docker'
  | 'stopping'
  | 'docker_unknown'
  | 'unresponsive'
  | 'failed'
  | 'failing'
  | 'no_vpn'
  | 'no_port'
  | 'full'
  | 'lacks'
>;

/** Why no engine can be started now. */
export type BlockedCode = Named<
  Schemas['BlockedReason']['code'],
  | 'no_leader'
  | 'no_settings'
  | 'docker_unavailable'
  | 'vpn_disconnected'
  | 'max_capacity'
  | 'circuit_breaker'
  | 'registry_full'
  | 'no_free_ports'
  | 'image_missing'
  | 'network_missing'
  | 'no_host'
>;

/** Why an engine stops, or did not start. */
export type CauseCode =
  | 'docker_unavailable'
  | 'docker_error'
  | 'host_silent'
  | 'vpn_error'
  | 'not_allowed'
  | 'image_pulling'
  | 'image_missing'
  | 'network_missing'
  | 'port_taken'
  | 'no_free_ports'
  | 'conflict'
  | 'startup_timeout'
  | 'exited'
  | 'oom'
  | 'vanished'
  | 'stopped'
  | 'deleted'
  | 'replaced'
  | 'scaled_down'
  | 'idle_ttl'
  | 'idle'
  | 'drained'
  | 'vpn_misplaced'
  | 'vpn_unhealthy'
  | 'vpn_port_changed'
  | 'vpn_reconnected'
  | 'vpn_recreated'
  | 'unhealthy'
  | 'node_removed';

/** Why another member leads. */
export type LeaderReasonCode = Schemas['LeaderReason'];

/** What a caller showed. */
export type Credential = Named<Schemas['EventBy']['name'], 'API key' | 'command line' | 'no key'>;

/** Why a stream ended, where no event said so in its own words. */
export type EndCode =
  | 'unknown'
  | 'host_down'
  | 'engine_gone'
  | 'stale_stream_detected'
  | 'unwatched'
  | 'crowded_out'
  | 'unviewed'
  | 'manual_stop_via_api'
  | 'superseded by a new session'
  | 'ended before it was reported as started';

/** Why a stream ended, as proxies word it; any other client may send what it likes. */
export type ProxyEndCode =
  | 'completed'
  | 'client_disconnected'
  | 'handler_exit'
  | 'empty_timeout'
  | 'timeout'
  | 'network_error'
  | 'eof'
  | 'closed_pipe'
  | 'closed_connection'
  | 'buffer_error'
  | 'memory_error'
  | 'error'
  | 'panic'
  | 'start_stream_failed'
  | 'fetch_stream_failed';

/** By what a stream is asked for. */
export type KeyType = 'content_id' | 'infohash' | 'url' | 'magnet' | 'torrent_url' | 'direct_url' | 'raw_data';

/** Settings that hold for the whole cluster. */
export type SettingName =
  | 'ACEFLEET_DOWN_AFTER_S'
  | 'CONTAINER_LABEL'
  | 'PORT_RANGE_HOST'
  | 'ACE_HTTPS_RANGE'
  | 'ACE_MAP_HTTPS'
  | 'STARTUP_TIMEOUT_S'
  | 'MIN_REPLICAS'
  | 'MIN_FREE_REPLICAS'
  | 'ACEFLEET_SPARE_FOR_HOST'
  | 'MAX_REPLICAS'
  | 'AUTO_DELETE'
  | 'ENGINE_GRACE_PERIOD_S'
  | 'IDLE_TTL_S'
  | 'CIRCUIT_BREAKER_FAILURE_THRESHOLD'
  | 'CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S'
  | 'CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD'
  | 'CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S';

/** Headings that they stand under. */
export type SettingSection =
  'Cluster' | 'Docker and engines' | 'How many engines' | 'Health, statistics, circuit breakers';

/** What they are counted in. */
export type SettingUnit = 'engines' | 'failures' | 's';
