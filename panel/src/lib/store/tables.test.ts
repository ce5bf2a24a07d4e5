import { describe, expect, it } from 'vitest';
import { world } from '../../../dev/fake/data';
import type { Figures, Frame, LogEvent, StreamFigures } from '../feed/types';
import { apply, empty, retime, type Part, type Tables } from './tables';

const w = world(['a:1', 'b:1', 'c:1']);
const snapshot: Frame = {
  kind: 'snapshot',
  data: {
    revision: 1,
    at: '2026-01-01T00:00:00Z',
    cluster: w.cluster,
    nodes: w.nodes,
    engines: w.engines,
    streams: w.streams,
    vpns: w.vpns,
  },
};
const stream = w.streams[0]?.id ?? '';
const speed = (speed_down: number): StreamFigures => ({
  peers: 1,
  speed_down,
  speed_up: 0,
  downloaded: 0,
  uploaded: 0,
  status: 'dl',
});
const figures = (s: number, streams: Record<string, StreamFigures | null>): Frame => ({
  kind: 'figures',
  data: {
    at: new Date(s * 1000).toISOString(),
    revision: 1,
    age_ms: 0,
    leader: 'node-b',
    term: 14,
    streams,
  } as Figures,
});
const event = (id: number): Frame => ({ kind: 'event', id: `1-${id}`, data: { id } as LogEvent });

function run(...frames: Frame[]): { t: Tables; dirty: Set<Part> } {
  const t = empty();
  const dirty = new Set<Part>();
  for (const f of frames) apply(t, f, dirty);
  return { t, dirty };
}

describe('the picture', () => {
  it('is that of the snapshot', () => {
    const { t } = run(snapshot);
    expect([t.nodes.size, t.engines.size, t.vpns.size]).toEqual([3, 40, 3]);
    expect(t.vpns.has('node-a/gluetun-a2')).toBe(true);
  });

  it('follows changes, and forgets what is gone', () => {
    const key = String(w.engines[0]?.id);
    const { t, dirty } = run(snapshot, {
      kind: 'change',
      data: { revision: 2, type: 'engine', key, object: null },
    });
    expect(t.engines.has(key)).toBe(false);
    expect(t.revision).toBe(2);
    expect(dirty.has('engine')).toBe(true);
  });

  it('forgets what it had when another snapshot comes', () => {
    const other = structuredClone(snapshot) as Extract<Frame, { kind: 'snapshot' }>;
    other.data.engines = [];
    expect(run(snapshot, other).t.engines.size).toBe(0);
  });

  it('merges figures: what is not named stays, null is gone', () => {
    const { t } = run(snapshot, figures(1, { [stream]: speed(5), x: speed(1) }), figures(2, { x: null }));
    expect(t.streamFigures.get(stream)?.speed_down).toBe(5);
    expect(t.streamFigures.has('x')).toBe(false);
    expect(t.down.get(stream)?.values()).toEqual([5, 5]);
  });

  it('knows since when a stream gets nothing', () => {
    const { t } = run(snapshot, figures(1, { [stream]: speed(5) }), figures(2, { [stream]: speed(0) }), figures(9, {}));
    expect(t.zeroSince.get(stream)).toBe(2000);
    apply(t, figures(10, { [stream]: speed(3) }), new Set());
    expect(t.zeroSince.has(stream)).toBe(false);
  });

  it('has each event once', () => {
    const { t } = run(event(1), event(2), event(2), event(1), event(3));
    expect(t.events.map((e) => e.id)).toEqual([1, 2, 3]);
  });

  it('forgets the events of another cluster', () => {
    const hello = (cluster_id: string, revision = 1): Frame => ({
      kind: 'hello',
      id: '1-0',
      data: {
        node: 'a',
        cluster_id,
        version: '1',
        revision,
        event: 0,
        resumed: false,
        lost: null,
        members: [],
        key_required: null,
      },
    });
    expect(run(hello('x'), event(7), hello('x'), event(8)).t.events).toHaveLength(2);
    expect(run(hello('x'), event(7), hello('y'), event(1)).t.events.map((e) => e.id)).toEqual([1]);
    const back = run(hello('x'), snapshot, event(7), hello('x', 0), event(1));
    expect(back.t.events.map((e) => e.id)).toEqual([1]);
  });

  it('keeps no figures of things that are gone', () => {
    const { t } = run(snapshot, figures(1, { [stream]: speed(0) }), figures(2, { [stream]: null }));
    expect([t.down.size, t.zeroSince.size, t.streamFigures.size]).toEqual([0, 0, 0]);
  });

  it('takes over the times that events have by now, and no event that it has not', () => {
    const at = (id: number, timestamp: string) => ({ id, timestamp }) as LogEvent;
    const { t } = run(event(1), event(2));
    const events = [at(1, ''), at(2, '')];
    t.events = events;
    expect(retime(t, [at(1, ''), at(3, 'new')])).toBe(false);
    expect(t.events).toBe(events);
    expect(retime(t, [at(2, 'new'), at(3, 'new')])).toBe(true);
    expect(t.events).toEqual([at(1, ''), at(2, 'new')]);
  });
});
