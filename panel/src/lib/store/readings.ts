/** What a stream's sheet shows of its speeds and peers: one list, for the chart, its legend and the text alike. */
import type { components } from '../api/schema';
import type { StreamFigures } from '../feed/types';
import { column, times } from './points';

type Series = components['schemas']['SeriesBody'];

/** Figures at a moment: speeds in KB/s. */
export interface Reading {
  /** Milliseconds. */
  at: number;
  down: number | null;
  up: number | null;
  peers: number | null;
}

const reading = (at: number, f: StreamFigures): Reading => ({
  at,
  down: f.speed_down ?? null,
  up: f.speed_up ?? null,
  peers: f.peers ?? null,
});

const SPAN_MS = 3_600_000;

/** Of one that plays: of what is kept the last hour, and the newest figures of the feed as its last point. */
export function live(kept: readonly Reading[], figures: StreamFigures | undefined, at: number): Reading[] {
  const list = kept.filter((r) => r.at > at - SPAN_MS && r.at < at);
  if (figures !== undefined) list.push(reading(at, figures));
  return list;
}

/** A second is no pixel of an hour: the same figures are drawn anew so seldom, in milliseconds. */
const STEP_MS = 5000;

const alike = (a: Reading | undefined, b: Reading | undefined): boolean =>
  a?.down === b?.down && a?.up === b?.up && a?.peers === b?.peers;

/** The list that was drawn before where the next one shows the same, so that nothing is drawn anew for it. */
export function steady(before: readonly Reading[], next: Reading[]): readonly Reading[] {
  if (before.length !== next.length) return next;
  const moved = (before.at(-1)?.at ?? 0) + STEP_MS <= (next.at(-1)?.at ?? 0);
  const same = next.every((r, i) => alike(before[i], r) && (i === next.length - 1 || before[i]?.at === r.at));
  return same && !moved ? before : next;
}

/** The points of a stream's series, as long as something was known; read once, as the sheet looks at them each second. */
export function past(series: Series | null): Reading[] {
  const [down, up, peers] = ['speed_down', 'speed_up', 'peers'].map((f) => column(series, f));
  const list = times(series).map((at, i) => ({
    at,
    down: down?.[i] ?? null,
    up: up?.[i] ?? null,
    peers: peers?.[i] ?? null,
  }));
  return list.filter((r) => r.down !== null || r.up !== null || r.peers !== null);
}
