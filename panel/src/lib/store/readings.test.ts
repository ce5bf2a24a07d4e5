import { describe, expect, it } from 'vitest';
import type { StreamFigures } from '../feed/types';
import { live, past, steady } from './readings';

const NOW = Date.parse('2026-03-02T20:00:00Z');
const point = (secondsAgo: number, peers: number | null) => [NOW / 1000 - secondsAgo, peers, peers && 800, null];
const series = (...points: (number | null)[][]) => ({
  of: 'stream:x',
  step_s: 5,
  fields: ['peers', 'speed_down', 'speed_up'],
  units: {},
  points: points as number[][],
});
const figures: StreamFigures = {
  peers: 31,
  speed_down: 640,
  speed_up: 90,
  downloaded: 1000,
  uploaded: 200,
  status: 'dl',
};

describe('readings of a stream', () => {
  it('that plays end with what the feed says, which the text beside the chart says as well', () => {
    const list = live(past(series(point(4000, 1), point(12, 28), point(2, 29))), figures, NOW);
    expect(list.map((r) => r.peers)).toEqual([28, 29, 31]);
    expect(list.at(-1)).toEqual({ at: NOW, down: 640, up: 90, peers: 31 });
  });
  it('that plays and has no figures end with the last one, which is not the present', () => {
    expect(live(past(series(point(12, 28))), undefined, NOW).at(-1)?.at).toBe(NOW - 12_000);
  });
  it('that ended end with the last that was known', () => {
    const list = past(series(point(30, 28), point(20, 27), point(15, null)));
    expect(list.at(-1)).toEqual({ at: NOW - 20_000, down: 800, up: null, peers: 27 });
    expect(past(null)).toEqual([]);
  });
  it('are the list of before while they show the same', () => {
    const at = (seconds: number, peers = 31) =>
      live(past(series(point(12, 28), point(2, 29))), { ...figures, peers }, NOW + seconds * 1000);
    const drawn = at(0);
    expect(steady(drawn, at(1))).toBe(drawn);
    expect(steady(drawn, at(1, 32)).at(-1)?.peers).toBe(32);
    expect(steady(drawn, at(6)).at(-1)?.at).toBe(NOW + 6000);
    expect(steady(drawn, drawn.slice(1))).toHaveLength(2);
    const ended = past(series(point(30, 28), point(20, 27)));
    expect(steady(ended, past(series(point(30, 28), point(20, 27))))).toBe(ended);
  });
});
