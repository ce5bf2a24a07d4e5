/** Filters by property: values and how many there are of each, in the address. */
import { byName } from '../format/order';

export interface Facet<T> {
  /** Name in the address. */
  id: string;
  label: string;
  of: (r: T) => string;
  /** The value as people read it. */
  text: (value: string) => string;
}

export interface Choice {
  value: string;
  text: string;
  count: number;
  on: boolean;
}

/** What is chosen, by facet. */
export type Chosen = Map<string, Set<string>>;

/** Rows that fit what is chosen, of all facets but one. */
function fitting<T>(rows: readonly T[], facets: readonly Facet<T>[], chosen: Chosen, but?: string): readonly T[] {
  const narrow = facets.filter((f) => f.id !== but && (chosen.get(f.id)?.size ?? 0) > 0);
  return narrow.length === 0 ? rows : rows.filter((r) => narrow.every((f) => chosen.get(f.id)?.has(f.of(r))));
}

/** Rows that fit all facets, and the words that are looked for. */
export function filter<T>(
  rows: readonly T[],
  facets: readonly Facet<T>[],
  chosen: Chosen,
  words: string,
  text: (r: T) => string,
): readonly T[] {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fit = fitting(rows, facets, chosen);
  if (parts.length === 0) return fit;
  return fit.filter((r) => {
    const t = text(r).toLowerCase();
    return parts.every((p) => t.includes(p));
  });
}

/** The values of a facet; each count says how many rows there would be, given the other facets. */
export function choices<T>(rows: readonly T[], facets: readonly Facet<T>[], facet: Facet<T>, chosen: Chosen): Choice[] {
  const count = new Map<string, number>();
  const on = chosen.get(facet.id) ?? new Set();
  const fit = fitting(rows, facets, chosen, facet.id);
  for (const r of fit) count.set(facet.of(r), (count.get(facet.of(r)) ?? 0) + 1);
  if (fit !== rows) for (const r of rows) if (!count.has(facet.of(r))) count.set(facet.of(r), 0);
  for (const v of on) if (!count.has(v)) count.set(v, 0);
  return [...count]
    .map(([value, n]) => ({ value, text: facet.text(value), count: n, on: on.has(value) }))
    .sort((a, b) => byName(a.text, b.text));
}
