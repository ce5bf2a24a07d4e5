import { byName } from '../format/order';

/** A column of a table: where its cells are, and how rows are ordered by it. */
export interface Column<T> {
  id: string;
  label: string;
  /** Width class: `c2` leaves first on narrow screens, `c4` on wide ones. */
  cls?: string;
  num?: boolean;
  /** What the rows are ordered by; null sorts last in both directions. */
  by?: (r: T) => string | number | null;
}

/** Rows in an order that is named `id` or `-id`; stable, unknown values last. */
export function compare<T>(rows: readonly T[], columns: readonly Column<T>[], order: string): readonly T[] {
  const down = order.startsWith('-');
  const by = columns.find((c) => c.id === (down ? order.slice(1) : order))?.by;
  if (by === undefined) return rows;
  const keyed = rows.map((r) => ({ r, k: by(r) }));
  keyed.sort((a, b) => {
    if (a.k === null || b.k === null) return Number(a.k === null) - Number(b.k === null);
    const c = typeof a.k === 'number' && typeof b.k === 'number' ? a.k - b.k : byName(String(a.k), String(b.k));
    return down ? -c : c;
  });
  return keyed.map((x) => x.r);
}

/** Rows at the places that they had, by key; new ones follow as they come. */
export function hold<T extends { key: string }>(rows: readonly T[], places: ReadonlyMap<string, number>): readonly T[] {
  const old = new Array<T | undefined>(places.size);
  const fresh: T[] = [];
  for (const r of rows) {
    const at = places.get(r.key);
    if (at === undefined) fresh.push(r);
    else old[at] = r;
  }
  return old.filter((r) => r !== undefined).concat(fresh);
}
