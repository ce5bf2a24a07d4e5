/** What the feed `GET /events/stream` sends, as its contract names it. */
import type { components } from '../api/schema';

type Schemas = components['schemas'];

/** A member that a node names in its greeting; `http` is `host:port`. */
export interface Member {
  name: string;
  http: string | null;
}

export interface Hello {
  node: string;
  cluster_id: string;
  version: string;
  revision: number;
  event: number;
  /** The `Last-Event-ID` that was given is known. */
  resumed: boolean;
  /** Events behind it that are too old to be sent; null when that cannot be known. */
  lost: number | null;
  members: Member[];
}

export type NodeObject = Omit<Schemas['ClusterNode'], 'last_contact_ms' | 'applied_index'> & {
  fsync_p99_ms?: number | null;
};

export type EngineObject = Omit<
  Schemas['EngineState'],
  'last_seen' | 'last_health_check' | 'last_cache_cleanup' | 'cache_size_bytes'
> & {
  id: number;
  phase: 'reserved' | 'starting' | 'running' | 'stopping';
  /** Whether callers are given this engine. */
  listed: boolean;
  unlisted: string | null;
  image: string | null;
  /** Since when it has this phase or health. */
  since: string | null;
  fault: string | null;
  replaces: number | null;
};

export type StreamObject = Schemas['StreamState'];
export type VpnObject = Schemas['NodeVpn'];

export interface ClusterObject {
  cluster_id: string | null;
  leader: string | null;
  term: number;
  voters: number;
  status: 'healthy' | 'degraded' | 'unavailable';
  engines: Schemas['StatusEngines'];
  streams: Schemas['StatusStreams'];
  capacity: Schemas['StatusCapacity'];
  provisioning: Schemas['StatusProvisioning'];
  left_behind: Schemas['StatusLeftBehind'][];
}

export interface Snapshot {
  revision: number;
  at: string;
  cluster: ClusterObject;
  nodes: NodeObject[];
  engines: EngineObject[];
  streams: StreamObject[];
  vpns: VpnObject[];
}

export type Change =
  | { revision: number; type: 'cluster'; key: string; object: ClusterObject | null }
  | { revision: number; type: 'node'; key: string; object: NodeObject | null }
  | { revision: number; type: 'engine'; key: string; object: EngineObject | null }
  | { revision: number; type: 'stream'; key: string; object: StreamObject | null }
  | { revision: number; type: 'vpn'; key: string; object: VpnObject | null };

/** Who did something: a key and an address, or a command line; null means the cluster, by itself. */
export interface By {
  name: string;
  address: string | null;
  /** Node that took the call. */
  node?: string;
}

export interface LogEvent {
  id: number;
  timestamp: string;
  event_type: 'engine' | 'stream' | 'vpn' | 'health' | 'system';
  category: string;
  message: string;
  details: Record<string, unknown> | null;
  container_id: string | null;
  stream_id: string | null;
  by: By | null;
}

export interface NodeFigures {
  /** Silence in milliseconds; null for the node that answers. */
  last_contact_ms: number | null;
  applied_index: number | null;
  suspect: boolean;
  outbox: number;
}

export interface EngineFigures {
  last_seen: string | null;
  last_health_check: string | null;
  cpu_percent: number | null;
  memory_bytes: number | null;
  memory_limit_bytes: number | null;
  rx_bps: number | null;
  tx_bps: number | null;
}

/** Speeds in KB/s, sizes in bytes. */
export interface StreamFigures {
  peers: number | null;
  speed_down: number | null;
  speed_up: number | null;
  downloaded: number | null;
  uploaded: number | null;
  status: string | null;
}

export interface Figures {
  at: string;
  revision: number;
  age_ms: number;
  leader: string | null;
  term: number;
  nodes?: Record<string, NodeFigures | null>;
  engines?: Record<string, EngineFigures | null>;
  streams?: Record<string, StreamFigures | null>;
}

export interface Bye {
  reason: 'stopping' | 'too_slow' | 'gap';
}

/** A frame that was read; `id` is what a later connection resumes at. */
export type Frame =
  | { kind: 'hello'; data: Hello }
  | { kind: 'snapshot'; id: string; data: Snapshot }
  | { kind: 'change'; id: string; data: Change }
  | { kind: 'event'; id: string; data: LogEvent }
  | { kind: 'figures'; data: Figures }
  | { kind: 'bye'; data: Bye }
  | { kind: 'beat' };
