/** The picture of the cluster that frames of the feed build up; nothing here knows of the page. */
import type {
  ClusterObject,
  EngineFigures,
  EngineObject,
  Frame,
  LogEvent,
  NodeFigures,
  NodeObject,
  StreamFigures,
  StreamObject,
  VpnObject,
} from '../feed/types';
import type { Move } from '../feed/machine';
import { Ring } from './ring';

export type Part = 'cluster' | 'node' | 'engine' | 'stream' | 'vpn' | 'figures' | 'event';

/** Newest events that are kept for the page. */
export const MAX_EVENTS = 5000;
/** Samples of each curve that the page draws itself, one a figure (about a second). */
const SAMPLES = 60;

/** A stretch of time in which the feed was away. */
export interface Break {
  /** Id of the newest event before it. */
  after: number;
  move: Move;
}

export interface Tables {
  clusterId: string | null;
  revision: number;
  at: string | null;
  cluster: ClusterObject | null;
  leader: string | null;
  term: number;
  /** Age of the node's own picture in milliseconds. */
  ageMs: number;
  nodes: Map<string, NodeObject>;
  engines: Map<string, EngineObject>;
  streams: Map<string, StreamObject>;
  vpns: Map<string, VpnObject>;
  nodeFigures: Map<string, NodeFigures>;
  engineFigures: Map<string, EngineFigures>;
  streamFigures: Map<string, StreamFigures>;
  cpu: Map<string, Ring>;
  memory: Map<string, Ring>;
  down: Map<string, Ring>;
  /** When the speed of a stream fell to nothing, on the clock of the figures. */
  zeroSince: Map<string, number>;
  /** Newest last. */
  events: LogEvent[];
}

export function empty(): Tables {
  return {
    clusterId: null,
    revision: 0,
    at: null,
    cluster: null,
    leader: null,
    term: 0,
    ageMs: 0,
    nodes: new Map(),
    engines: new Map(),
    streams: new Map(),
    vpns: new Map(),
    nodeFigures: new Map(),
    engineFigures: new Map(),
    streamFigures: new Map(),
    cpu: new Map(),
    memory: new Map(),
    down: new Map(),
    zeroSince: new Map(),
    events: [],
  };
}

export const vpnKey = (v: VpnObject): string => `${v.node}/${v.container ?? v.container_name ?? ''}`;

/** Takes a frame in; adds the parts that changed to `dirty`. */
export function apply(t: Tables, frame: Frame, dirty: Set<Part>): void {
  switch (frame.kind) {
    case 'snapshot': {
      const s = frame.data;
      t.revision = s.revision;
      t.at = s.at;
      t.cluster = s.cluster;
      t.leader = s.cluster.leader;
      t.term = s.cluster.term;
      t.nodes = new Map(s.nodes.map((n) => [n.name, n]));
      t.engines = new Map(s.engines.map((e) => [String(e.id), e]));
      t.streams = new Map(s.streams.map((x) => [x.id, x]));
      t.vpns = new Map(s.vpns.map((v) => [vpnKey(v), v]));
      forgetFigures(t);
      for (const p of ['cluster', 'node', 'engine', 'stream', 'vpn', 'figures'] as const) dirty.add(p);
      return;
    }
    case 'change': {
      const c = frame.data;
      t.revision = c.revision;
      dirty.add(c.type);
      if (c.type === 'cluster') {
        if (c.object !== null) t.cluster = c.object;
      } else if (c.type === 'node') put(t.nodes, c.key, c.object);
      else if (c.type === 'engine') put(t.engines, c.key, c.object);
      else if (c.type === 'stream') put(t.streams, c.key, c.object);
      else if (c.type === 'vpn') put(t.vpns, c.key, c.object);
      return;
    }
    case 'event': {
      const last = t.events.at(-1);
      // The tail of a first connection and a resumed one never overlap; a node that repeats one is not believed.
      if (last !== undefined && frame.data.id <= last.id) return;
      t.events.push(frame.data);
      if (t.events.length > MAX_EVENTS + 200) t.events.splice(0, t.events.length - MAX_EVENTS);
      dirty.add('event');
      return;
    }
    case 'figures': {
      const f = frame.data;
      t.at = f.at;
      t.ageMs = f.age_ms;
      if (t.leader !== f.leader || t.term !== f.term) dirty.add('cluster');
      t.leader = f.leader;
      t.term = f.term;
      merge(t.nodeFigures, f.nodes);
      merge(t.engineFigures, f.engines);
      merge(t.streamFigures, f.streams);
      sample(t, Date.parse(f.at));
      dirty.add('figures');
      return;
    }
    case 'hello':
      // Events of another cluster have numbers of their own, and so have those of one that was brought back from a copy.
      if (t.clusterId !== null && (t.clusterId !== frame.data.cluster_id || frame.data.revision < t.revision)) {
        t.events = [];
        dirty.add('event');
      }
      t.clusterId = frame.data.cluster_id;
      return;
    case 'bye':
    case 'beat':
      return;
  }
}

/** Takes the times over that events have by now; true when one differs. */
export function retime(t: Tables, now: readonly LogEvent[]): boolean {
  const times = new Map(now.map((e) => [e.id, e.timestamp]));
  const is = (e: LogEvent) => times.get(e.id) ?? e.timestamp;
  const differs = t.events.some((e) => is(e) !== e.timestamp);
  if (differs) t.events = t.events.map((e) => (is(e) === e.timestamp ? e : { ...e, timestamp: is(e) }));
  return differs;
}

function put<T>(m: Map<string, T>, key: string, object: T | null): void {
  if (object === null) m.delete(key);
  else m.set(key, object);
}

function merge<T>(m: Map<string, T>, from: Record<string, T | null> | undefined): void {
  for (const [k, v] of Object.entries(from ?? {})) put(m, k, v);
}

/** The first figures after a snapshot are full ones; curves go on for what still exists. */
function forgetFigures(t: Tables): void {
  t.nodeFigures.clear();
  t.engineFigures.clear();
  t.streamFigures.clear();
  for (const m of [t.cpu, t.memory]) for (const k of m.keys()) if (!t.engines.has(k)) m.delete(k);
  for (const m of [t.down, t.zeroSince]) for (const k of m.keys()) if (!t.streams.has(k)) m.delete(k);
}

function sample(t: Tables, at: number): void {
  for (const [k, f] of t.engineFigures) {
    if (!t.engines.has(k)) continue;
    ring(t.cpu, k).push(f.cpu_percent ?? null);
    ring(t.memory, k).push(f.memory_bytes ?? null);
  }
  for (const [k, f] of t.streamFigures) {
    if (!t.streams.has(k)) continue;
    ring(t.down, k).push(f.speed_down);
    if (f.speed_down !== 0) t.zeroSince.delete(k);
    else if (!t.zeroSince.has(k)) t.zeroSince.set(k, at);
  }
  for (const m of [t.cpu, t.memory]) for (const k of m.keys()) if (!t.engineFigures.has(k)) m.delete(k);
  for (const m of [t.down, t.zeroSince]) for (const k of m.keys()) if (!t.streamFigures.has(k)) m.delete(k);
}

function ring(m: Map<string, Ring>, key: string): Ring {
  let r = m.get(key);
  if (r === undefined) m.set(key, (r = new Ring(SAMPLES)));
  return r;
}
