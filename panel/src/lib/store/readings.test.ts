import { describe, expect, it, vi } from 'vitest';
import type { StreamFigures, StreamObject } from '../feed/types';
import { live, past, totalsAtEnd } from './readings';

const NOW = Date.parse('2026-03-02T20:00:00Z');
const sample = (secondsAgo: number, peers: number) => ({
  ts: new Date(NOW - secondsAgo * 1000).toISOString(),
  peers,
  speed_down: 800,
  speed_up: 100,
  downloaded: 1000 - secondsAgo,
  uploaded: null,
});
const figures: StreamFigures = {
  peers: 31,
  speed_down: 640,
  speed_up: 90,
  downloaded: 1000,
  uploaded: 200,
  status: 'dl',
};
const stream = (more: Partial<StreamObject>) => ({ downloaded: null, uploaded: null, ...more }) as StreamObject;

describe('readings of a stream', () => {
  it('that plays end with what the feed says, which the text beside the chart says as well', () => {
    const list = live(past([sample(4000, 1), sample(12, 28), sample(2, 29)]), figures, NOW);
    expect(list.map((r) => r.peers)).toEqual([28, 29, 31]);
    expect(list.at(-1)).toMatchObject({ at: NOW, down: 640, received: 1000, sent: 200 });
  });
  it('are parsed when they come, and not again as the feed goes on', () => {
    const parse = vi.spyOn(Date, 'parse');
    const kept = past([sample(12, 28), sample(2, 29)]);
    expect(parse).toHaveBeenCalledTimes(2);
    for (const s of [0, 1, 2]) expect(live(kept, figures, NOW + s * 1000)).toHaveLength(3);
    expect(kept).toHaveLength(2);
    expect(parse).toHaveBeenCalledTimes(2);
    parse.mockRestore();
  });
  it('that plays and has no figures end with the last one, which is not the present', () => {
    expect(live(past([sample(12, 28)]), undefined, NOW).at(-1)?.at).toBe(NOW - 12_000);
  });
  it('that ended give its totals where its record has none', () => {
    const list = past([sample(30, 28), sample(20, 27)]);
    expect(totalsAtEnd(stream({}), list)).toEqual({ received: 980, sent: null });
    expect(totalsAtEnd(stream({ downloaded: 1005, uploaded: 7 }), list)).toEqual({ received: 1005, sent: 7 });
    expect(totalsAtEnd(stream({}), [])).toEqual({ received: null, sent: null });
  });
});
