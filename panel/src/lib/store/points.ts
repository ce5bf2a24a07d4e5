/** What is read off a series of figures. */
import type { components } from '../api/schema';

export type Series = components['schemas']['SeriesBody'];

/** Points of a field, oldest first; empty when the series has no such field. */
export function column(s: Series | null, ...names: string[]): (number | null)[] {
  const at = s === null ? -1 : s.fields.findIndex((f) => names.includes(f));
  return s === null || at < 0 ? [] : s.points.map((p) => p[at + 1] ?? null);
}

/** Averages groups of neighbours, so that a curve has at most so many points. */
export function thin(values: (number | null)[], most: number): (number | null)[] {
  const size = Math.ceil(values.length / most);
  if (size <= 1) return values;
  const out: (number | null)[] = [];
  for (let i = 0; i < values.length; i += size) {
    const known = values.slice(i, i + size).filter((v): v is number => v !== null);
    out.push(known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length);
  }
  return out;
}

/** Times of the points, in milliseconds. */
export const times = (s: Series | null): number[] => (s === null ? [] : s.points.map((p) => (p[0] ?? 0) * 1000));
