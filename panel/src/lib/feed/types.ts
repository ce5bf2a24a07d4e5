/** What the feed `GET /events/stream` sends, as its contract names it. */
import type { components } from '../api/schema';
import type { Presence } from './presence';

type Schemas = components['schemas'];

/** All fields: nodes always send them, null when they are unknown; the description calls those optional. */
type Full<T> = { [K in keyof T]-?: Exclude<T[K], undefined> };

export type Member = Schemas['HelloMember'];
export type Hello = Omit<Full<Schemas['Hello']>, 'key_required'> & {
  /** Null for nodes of the earlier version, which do not say it. */
  key_required: boolean | null;
};
export type NodeObject = Omit<Full<Schemas['NodeRecord']>, 'state'> & { state: Presence };
export type EngineObject = Full<Schemas['FeedEngine']> & {
  phase: 'reserved' | 'starting' | 'running' | 'stopping' | 'gone' | 'failed';
};
export type StreamObject = Schemas['StreamState'];
export type VpnObject = Schemas['NodeVpn'];
export type ClusterObject = Full<Schemas['FeedCluster']>;

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

/** Who did something; null means the cluster, by itself. */
/** Only a caller with a named key has the name of one. */
export type By = Omit<Full<Schemas['EventBy']>, 'key' | 'user'> & Pick<Schemas['EventBy'], 'key' | 'user'>;
export type LogEvent = Omit<Full<Schemas['EventEntry']>, 'event_type' | 'by'> & {
  event_type: 'engine' | 'stream' | 'vpn' | 'health' | 'system';
  by: By | null;
};

export type NodeFigures = Full<Schemas['NodeFigures']>;
/** CPU in percent of one core, sizes in bytes, network in bytes a second. */
export type EngineFigures = Full<Schemas['EngineFigures']>;
/** Speeds in KB/s, sizes in bytes. */
export type StreamFigures = Full<Schemas['StreamFigures']>;

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

/** A frame that was read; `id` is what a later connection resumes at, which greetings and events always have. */
export type Frame = { id?: string } & (
  | { kind: 'hello'; id: string; data: Hello }
  | { kind: 'snapshot'; data: Snapshot }
  | { kind: 'change'; data: Change }
  | { kind: 'event'; id: string; data: LogEvent }
  | { kind: 'figures'; data: Figures }
  | { kind: 'bye'; data: Bye }
  | { kind: 'beat' }
);
