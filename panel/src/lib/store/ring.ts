/** The newest so many samples of a figure; unknown ones are null. */
export class Ring {
  private readonly slots: (number | null)[] = [];
  private next = 0;

  constructor(private readonly size: number) {}

  push(v: number | null): void {
    this.slots[this.next] = v;
    this.next = (this.next + 1) % this.size;
  }

  /** Oldest first. */
  values(): (number | null)[] {
    return this.slots.length < this.size
      ? this.slots.slice()
      : [...this.slots.slice(this.next), ...this.slots.slice(0, this.next)];
  }
}
