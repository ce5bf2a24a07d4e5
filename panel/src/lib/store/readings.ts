/** What a stream's sheet shows of its speeds, peers and totals: one list, for the chart, its legend and the text alike. */
import type { components } from '../api/schema';
import type { StreamFigures, StreamObject } from '../feed/types';

type Sample = components['schemas']['StatSnapshot'];

/** Figures at a moment: speeds in KB/s, sizes in bytes. */
export interface Reading {
  /** Milliseconds. */
  at: number;
  down: number | null;
  up: number | null;
  peers: number | null;
  received: number | null;
  sent: number | null;
}

export interface Totals {
  received: number | null;
  sent: number | null;
}

type Figured = Pick<Sample, 'speed_down' | 'speed_up' | 'peers' | 'downloaded' | 'uploaded'>;

const reading = (at: number, f: Figured): Reading => ({
  at,
  down: f.speed_down ?? null,
  up: f.speed_up ?? null,
  peers: f.peers ?? null,
  received: f.downloaded ?? null,
  sent: f.uploaded ?? null,
});

const SPAN_MS = 3_600_000;

/** Of one that plays: of what is kept the last hour, and the newest figures of the feed as its last point. */
export function live(kept: readonly Reading[], figures: StreamFigures | undefined, at: number): Reading[] {
  const list = kept.filter((r) => r.at > at - SPAN_MS && r.at < at);
  if (figures !== undefined) list.push(reading(at, figures));
  return list;
}

/** All that is kept, read once: the sheet looks at it each second. */
export const past = (samples: readonly Sample[]): Reading[] => samples.map((s) => reading(Date.parse(s.ts), s));

/** What an ended stream has received and sent: as its record says, else as it was read last. */
export function totalsAtEnd(s: StreamObject, list: readonly Reading[]): Totals {
  return {
    received: s.downloaded ?? list.findLast((r) => r.received !== null)?.received ?? null,
    sent: s.uploaded ?? list.findLast((r) => r.sent !== null)?.sent ?? null,
  };
}
