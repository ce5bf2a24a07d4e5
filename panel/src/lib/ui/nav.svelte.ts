/** The list that keys move in: the table of the page announces itself here. */
export interface Movable {
  /** Moves by so many rows; an open sheet moves with it. */
  move(by: number): void;
  openActive(): void;
  pickActive(): void;
  focusRow(key: string): void;
  find(): void;
}

class Nav {
  list: Movable | null = null;
  /** Closes what is open beside the list; false when nothing is. */
  closeSheet: (() => boolean) | null = null;
  /** Follows or holds the logs. */
  toggleFollow: (() => void) | null = null;
}

export const nav = new Nav();
