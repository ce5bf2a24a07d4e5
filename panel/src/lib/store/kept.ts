/** Rows that stay the same objects while nothing in them changes, so that what is drawn of them is not drawn again. */
export class Kept<T extends { key: string }> {
  private list: readonly T[] = [];
  private by = new Map<string, T>();

  /** Those of the last time in place of equal ones; all of them as the same list when none changed. */
  of(rows: readonly T[]): readonly T[] {
    let same = rows.length === this.list.length;
    const by = new Map<string, T>();
    const list = rows.map((r, i) => {
      const was = this.by.get(r.key);
      const row = was !== undefined && equal(was, r) ? was : r;
      by.set(r.key, row);
      same &&= row === this.list[i];
      return row;
    });
    if (!same) [this.list, this.by] = [list, by];
    return this.list;
  }
}

function equal<T extends object>(a: T, b: T): boolean {
  for (const k in b) if (a[k] !== b[k]) return false;
  return true;
}
