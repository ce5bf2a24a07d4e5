/** The state behind all fake nodes of one process, and what can be done to it. */
import type { LogEvent } from '../../src/lib/feed/types';
import { addressed, ago, engine, event, int, stream, type World } from './data';

/** A registry keeps ended streams for an hour; so many here, so that a long run comes to rest soon. */
const ENDED_MAX = 1000;
/** As a registry, which keeps 10,000 at most. */
const EVENTS_MAX = 10_000;

type Listener = (kind: 'change' | 'event', data: unknown) => void;

export class Fleet {
  revision = 4219;
  leader: string | null = 'node-b';
  /** Who led last. */
  private led = 'node-b';
  /** The feed sends nothing while this is set, as a node that hangs. */
  mute = false;
  slowMs = 0;
  /** No call needs the key. */
  keyless = false;
  /** Greetings say whether calls need the key; those of the earlier version did not. */
  tellsKey = true;
  /** Nodes are open, and answer pages of members alone. */
  strict = false;
  /** Since when nodes have reported nothing, in milliseconds. */
  readonly silent = new Map<string, number>();
  /** So many events a node has answered and not written, by its name. */
  readonly queued = new Map<string, number>();
  private listeners = new Set<Listener>();

  /** So many streams play while there is life: more and fewer by turns. */
  private readonly usual: number;

  constructor(readonly world: World) {
    this.usual = world.streams.filter((s) => s.status === 'started').length;
  }

  listen(l: Listener): () => void {
    this.listeners.add(l);
    return () => this.listeners.delete(l);
  }

  change(type: string, key: string, object: unknown): void {
    this.revision++;
    for (const l of this.listeners) l('change', { revision: this.revision, type, key, object });
  }

  say(e: LogEvent): void {
    e.id = (this.world.events.at(-1)?.id ?? 0) + 1;
    this.world.events.push(e);
    if (this.world.events.length > EVENTS_MAX) this.world.events.splice(0, EVENTS_MAX / 10);
    for (const l of this.listeners) l('event', e);
  }

  node(name: string) {
    return this.world.nodes.find((n) => n.name === name);
  }

  /** `by` asked for it. */
  setLeader(name: string | null, by: LogEvent['by'] = null): void {
    const before = this.led;
    this.led = name ?? before;
    this.leader = name;
    this.world.cluster.leader = name;
    for (const n of this.world.nodes) n.role = n.name === name ? 'leader' : 'voter';
    if (name !== null) {
      this.world.cluster.term++;
      this.say(
        event(
          'system',
          'leader_changed',
          `${name} leads since term ${this.world.cluster.term}${before === name ? '' : `, after ${before}`}`,
          0,
          {
            details: {
              node: name,
              term: this.world.cluster.term,
              ...(before === name ? {} : by === null ? { reason: 'unknown' } : { reason: 'asked', asked_by: by }),
            },
          },
        ),
      );
    }
    this.change('cluster', '', this.world.cluster);
    for (const n of this.world.nodes) this.change('node', n.name, n);
  }

  /** A copy of the last node joins under another address. */
  join(name: string, http_address: string): void {
    const n = { ...structuredClone(this.world.nodes.at(-1)), name, ...addressed(http_address), engines: 0, streams: 0 };
    this.world.nodes.push(n as World['nodes'][number]);
    this.change('node', name, n);
  }

  remove(name: string): void {
    this.world.nodes = this.world.nodes.filter((n) => n.name !== name);
    this.change('node', name, null);
  }

  /** The cluster is formed anew: places of before are of another log. */
  reform(): void {
    this.world.cluster.cluster_id = `again-${this.world.cluster.cluster_id}`;
    this.restore();
  }

  /** A backup is put back: its log is shorter, so places of before lie ahead of it. */
  restore(): void {
    this.world.events.splice(0, this.world.events.length - 3);
    this.revision = 1;
  }

  away(name: string, on: boolean): void {
    const n = this.node(name);
    if (!n) return;
    n.state = on ? 'unavailable' : 'up';
    n.unavailable_since = on ? ago(4) : null;
    n.unavailable = on ? 'it answers no member; 3 of its 14 engines do not answer either, and are lost' : null;
    this.change('node', name, n);
  }

  /** A node says that it stops; from then on it may fall silent. */
  stopping(name: string, on: boolean): void {
    const n = this.node(name);
    if (!n) return;
    n.state = on ? 'stopping' : 'up';
    n.docker = on ? 'stopping' : 'available';
    n.passed_over = on ? { code: 'stopping', message: 'is being stopped' } : null;
    if (!on) this.silent.delete(name);
    this.change('node', name, n);
  }

  /** It falls silent, as it said. */
  stopped(name: string): void {
    const n = this.node(name);
    if (!n) return;
    n.state = 'stopped';
    this.silent.set(name, Date.now() - 3000);
    this.change('node', name, n);
  }

  stopEngine(container: string, by: LogEvent['by']): boolean {
    const i = this.world.engines.findIndex((e) => e.container_id === container);
    const e = this.world.engines[i];
    if (!e) return false;
    for (const id of e.streams.slice()) this.endStream(id, by);
    this.world.engines.splice(i, 1);
    this.change('engine', String(e.id), null);
    this.say(event('engine', 'deleted', `${e.container_name} is gone (deleted)`, 0, { container_id: container, by }));
    return true;
  }

  /** Takes an engine off the list and starts another; gives its streams, null when there is no such engine. */
  replaceEngine(container: string, by: LogEvent['by']): number | null {
    const e = this.world.engines.find((x) => x.container_id === container);
    if (!e) return null;
    Object.assign(e, {
      phase: 'stopping',
      listed: false,
      unlisted: 'it stops when its streams have ended: replaced',
      unlisted_code: 'taken_off',
      unlisted_cause: 'replaced',
    });
    this.change('engine', String(e.id), e);
    this.say(
      event('engine', 'retiring', `${e.container_name} is offered no more (replaced)`, 0, {
        container_id: container,
        by,
      }),
    );
    this.startEngine(e.node ?? '', null).replaces = e.id;
    return e.streams.length;
  }

  startEngine(nodeName: string, by: LogEvent['by']) {
    const id = Math.max(...this.world.engines.map((e) => e.id), 0) + 1;
    const e = engine(id, nodeName || 'node-b', null);
    e.first_seen = e.reserved_at = ago(0);
    this.world.engines.push(e);
    this.change('engine', String(id), e);
    this.say(
      event('engine', 'created', `${e.container_name} started on ${e.node}`, 0, { container_id: e.container_id, by }),
    );
    return e;
  }

  endStream(id: string, by: LogEvent['by']): boolean {
    const s = this.world.streams.find((x) => x.id === id && x.status === 'started');
    if (!s) return false;
    const e = this.world.engines.find((x) => x.container_id === s.container_id);
    const last = { engine: e?.container_name, node: e?.node, downloaded: 3 * 1024 ** 3, uploaded: 512 * 1024 ** 2 };
    Object.assign(s, { status: 'ended', ended_at: ago(0), end_reason: 'manual_stop_via_api', ...last });
    if (e) {
      e.streams = e.streams.filter((x) => x !== id);
      this.change('engine', String(e.id), e);
    }
    this.change('stream', id, s);
    this.forgetEnded();
    this.say(
      event('stream', 'ended', `stream ${s.id} ended (manual_stop_via_api)`, 0, {
        stream_id: id,
        container_id: s.container_id,
        by,
      }),
    );
    return true;
  }

  /** Those that ended first go first. */
  private forgetEnded(): void {
    const ended = this.world.streams.filter((s) => s.status === 'ended');
    if (ended.length <= ENDED_MAX) return;
    ended.sort((a, b) => (a.ended_at ?? '').localeCompare(b.ended_at ?? ''));
    const gone = new Set(ended.slice(0, ended.length - ENDED_MAX).map((s) => s.id));
    this.world.streams = this.world.streams.filter((s) => !gone.has(s.id));
    for (const id of gone) this.change('stream', id, null);
  }

  /** A little life: streams come and go. */
  live(): void {
    if (this.leader === null) return;
    const able = this.world.engines.filter((e) => e.listed && e.phase === 'running');
    const e = able[int(0, Math.max(0, able.length - 1))];
    const started = this.world.streams.filter((s) => s.status === 'started');
    if (e === undefined) return;
    const few = started.length < Math.max(100, this.usual * 0.98);
    const many = started.length > Math.max(120, this.usual * 1.02);
    if (few || (!many && int(0, 1) === 0)) {
      const s = stream(e, 0);
      this.world.streams.push(s);
      this.change('stream', s.id, s);
      this.change('engine', String(e.id), e);
      this.say(
        event('stream', 'started', `stream ${s.id} started`, 0, {
          stream_id: s.id,
          container_id: e.container_id,
          by: { name: 'API key', address: '10.0.0.21', node: 'node-a' },
        }),
      );
    } else {
      const s = started[int(0, started.length - 1)];
      if (s) this.endStream(s.id, { name: 'API key', address: '10.0.0.21', node: 'node-a' });
    }
  }
}
