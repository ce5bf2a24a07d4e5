/** The picture as the page sees it: changes are taken in once a frame of the screen, lists are derived from it. */
import { SvelteMap } from 'svelte/reactivity';
import type { Move } from '../feed/machine';
import { byName } from '../format/order';
import type { EngineObject, Frame, LogEvent, NodeObject, StreamObject, VpnObject } from '../feed/types';
import { attention, type Problem } from './attention';
import { apply, empty, retime, vpnKey, type Break, type Part, type Tables } from './tables';
import {
  ENGINE_TONE,
  engineSince,
  engineWord,
  HOST_TONE,
  hostWord,
  isSilent,
  STREAM_TONE,
  streamWord,
  VPN_TONE,
  vpnWord,
} from './status';
import { Kept } from './kept';
import { withPicture } from './picture';
import type { EngineRow, HostRow, StreamRow, VpnRow } from './rows';

const PARTS: Part[] = ['cluster', 'node', 'engine', 'stream', 'vpn', 'figures', 'event'];

export class Fleet {
  readonly tables: Tables = empty();
  readonly breaks: Break[] = $state([]);
  private readonly seen = new SvelteMap<Part, number>(PARTS.map((p) => [p, 0]));
  private queue: { frame: Frame; move: Move | null }[] = [];
  private waiting = false;
  private readonly kept = {
    engines: new Kept<EngineRow>(),
    streams: new Kept<StreamRow>(),
  };

  /** Takes a frame, and how the feed went on with it; it is on the screen with the next picture. */
  take(frame: Frame, move: Move | null): void {
    this.queue.push({ frame, move });
    if (this.waiting) return;
    this.waiting = true;
    withPicture(() => this.flush());
  }

  private flush(): void {
    this.waiting = false;
    const dirty = new Set<Part>();
    const queue = this.queue;
    this.queue = [];
    for (const { frame, move } of queue) {
      apply(this.tables, frame, dirty);
      if (move === null) continue;
      const after = this.tables.events.at(-1)?.id ?? 0;
      // Numbers of a log that is gone say nothing in this one.
      if (after === 0) this.breaks.length = 0;
      this.breaks.push({ after, move });
    }
    for (const p of dirty) this.seen.set(p, (this.seen.get(p) ?? 0) + 1);
  }

  /** Events have other times by now. */
  retime(events: readonly LogEvent[]): void {
    if (retime(this.tables, events)) this.seen.set('event', (this.seen.get('event') ?? 0) + 1);
  }

  /** Makes what reads it depend on parts of the picture. */
  on(...parts: Part[]): Tables {
    for (const p of parts) this.seen.get(p);
    return this.tables;
  }

  readonly ready = $derived.by(() => this.on('cluster').cluster !== null);
  readonly cluster = $derived.by(() => this.on('cluster').cluster);
  readonly leader = $derived.by(() => this.on('cluster', 'figures').leader);
  readonly term = $derived.by(() => this.on('cluster', 'figures').term);

  readonly hosts: HostRow[] = $derived.by(() => {
    const t = this.on('node', 'engine', 'stream', 'cluster', 'figures');
    const engines = group(t.engines.values(), (e) => e.node ?? '');
    return [...t.nodes.values()]
      .map((n: NodeObject) => {
        const f = t.nodeFigures.get(n.name);
        const word = hostWord(n, f, t.leader !== null);
        return {
          key: n.name,
          node: n,
          figures: f,
          word,
          tone: HOST_TONE[word],
          leads: t.leader === n.name,
          engines: engines.get(n.name)?.length ?? 0,
        };
      })
      .sort((a, b) => byName(a.key, b.key));
  });

  private readonly silent = $derived(new Set(this.hosts.filter(isSilent).map((h) => h.key)));
  /** Nothing is heard of this host. */
  isSilent(host: string): boolean {
    return this.silent.has(host);
  }

  /** More hosts than stand in a narrow column beside something else. */
  readonly manyHosts = $derived(this.hosts.length > 4);

  readonly vpns: VpnRow[] = $derived.by(() => {
    const t = this.on('vpn', 'engine');
    return [...t.vpns.values()]
      .filter((v) => v.enabled)
      .map((v: VpnObject) => ({
        key: vpnKey(v),
        vpn: v,
        name: v.container ?? v.container_name ?? '',
        word: vpnWord(v),
        tone: VPN_TONE[vpnWord(v)],
      }))
      .sort((a, b) => byName(a.key, b.key));
  });

  readonly engines: readonly EngineRow[] = $derived.by(() => {
    const t = this.on('engine', 'node', 'vpn');
    const replaced = new Set([...t.engines.values()].map((e) => e.replaces));
    const rows = [...t.engines.values()].map((e: EngineObject): EngineRow => {
      const node = e.node ?? '';
      const vpn = e.vpn_container ? t.vpns.get(`${node}/${e.vpn_container}`) : undefined;
      const word = engineWord(e, t.nodes.get(node), vpn, replaced.has(e.id));
      return {
        key: String(e.id),
        engine: e,
        name: e.container_name ?? `acestream-${e.id}`,
        node,
        vpn: e.vpn_container ?? null,
        word,
        tone: ENGINE_TONE[word],
        streams: e.streams.length,
        since: engineSince(e),
      };
    });
    return this.kept.engines.of(rows);
  });

  /** Turns of health by container, oldest first. */
  readonly healthEvents = $derived(
    group(
      this.on('event').events.filter((e) => e.event_type === 'health' && e.container_id !== null),
      (e) => e.container_id ?? '',
    ),
  );
  readonly engineByContainer = $derived(new Map(this.engines.map((e) => [e.engine.container_id, e])));
  readonly engineByKey = $derived(new Map(this.engines.map((e) => [e.key, e])));

  readonly streams: readonly StreamRow[] = $derived.by(() => {
    const t = this.on('stream', 'figures');
    const by = this.engineByContainer;
    const at = t.at === null ? 0 : Date.parse(t.at);
    const rows = [...t.streams.values()].map((s: StreamObject): StreamRow => {
      const f = t.streamFigures.get(s.id);
      const word = streamWord(s, f, t.zeroSince.get(s.id), at);
      const engine = by.get(s.container_id) ?? null;
      return {
        key: s.id,
        stream: s,
        figures: f,
        engine,
        node: engine?.node ?? s.node ?? '',
        word,
        tone: STREAM_TONE[word],
      };
    });
    return this.kept.streams.of(rows);
  });

  readonly live = $derived(this.streams.filter((s) => s.word !== 'ended' && s.stream.mark == null));
  readonly ended = $derived(this.streams.filter((s) => s.word === 'ended'));
  readonly problems: Problem[] = $derived.by(() => {
    const t = this.on('cluster', 'figures');
    return attention({
      cluster: t.cluster,
      leader: t.leader,
      hosts: this.hosts,
      engines: this.engines,
      vpns: this.vpns,
      streams: this.live,
      events: this.on('event').events,
    });
  });

  readonly totals = $derived.by(() => {
    let down = 0;
    let up = 0;
    for (const s of this.live) {
      down += s.figures?.speed_down ?? 0;
      up += s.figures?.speed_up ?? 0;
    }
    return { down, up };
  });
}

function group<T>(items: Iterable<T>, by: (t: T) => string): Map<string, T[]> {
  const m = new Map<string, T[]>();
  for (const i of items) {
    const k = by(i);
    const l = m.get(k);
    if (l) l.push(i);
    else m.set(k, [i]);
  }
  return m;
}

export const fleet = new Fleet();
