/** Filters by property: values and how many there are of each, in the address. */
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

const fits = <T>(r: T, facets: readonly Facet<T>[], chosen: Chosen, but?: string): boolean =>
  facets.every((f) => {
    const c = chosen.get(f.id);
    return f.id === but || c === undefined || c.size === 0 || c.has(f.of(r));
  });

/** Rows that fit all facets, and the words that are looked for. */
export function filter<T>(
  rows: readonly T[],
  facets: readonly Facet<T>[],
  chosen: Chosen,
  words: string,
  text: (r: T) => string,
): T[] {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((r) => {
    if (!fits(r, facets, chosen)) return false;
    if (parts.length === 0) return true;
    const t = text(r).toLowerCase();
    return parts.every((p) => t.includes(p));
  });
}

/** The values of a facet; each count says how many rows there would be, given the other facets. */
export function choices<T>(rows: readonly T[], facets: readonly Facet<T>[], facet: Facet<T>, chosen: Chosen): Choice[] {
  const count = new Map<string, number>();
  for (const r of rows) {
    const v = facet.of(r);
    count.set(v, (count.get(v) ?? 0) + (fits(r, facets, chosen, facet.id) ? 1 : 0));
  }
  const on = chosen.get(facet.id) ?? new Set();
  for (const v of on) if (!count.has(v)) count.set(v, 0);
  return [...count]
    .map(([value, n]) => ({ value, text: facet.text(value), count: n, on: on.has(value) }))
    .sort((a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }));
}
