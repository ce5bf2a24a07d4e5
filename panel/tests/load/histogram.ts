/** Counts of values in cells of equal width, so that an hour of frames takes no more room than a second of them. */

export class Histogram {
  private readonly cells: number[];
  private worst = 0;

  /** Cells of `width` from 0 to `most`; what is above counts in the last one. */
  constructor(
    private readonly width = 0.1,
    most = 1000,
  ) {
    this.cells = new Array<number>(Math.ceil(most / width) + 1).fill(0);
  }

  add(value: number, times = 1): void {
    const i = Math.min(this.cells.length - 1, Math.max(0, Math.floor(value / this.width)));
    this.cells[i] = (this.cells[i] ?? 0) + times;
    this.worst = Math.max(this.worst, value);
  }

  get count(): number {
    return this.cells.reduce((a, b) => a + b, 0);
  }

  /** How many values are above `limit`. */
  above(limit: number): number {
    return this.cells.slice(Math.floor(limit / this.width) + 1).reduce((a, b) => a + b, 0);
  }

  /** The upper edge of the cell below which this share of the values lies. */
  at(share: number): number {
    let left = this.count * share;
    for (const [i, n] of this.cells.entries()) if ((left -= n) < 0) return Math.min(this.worst, (i + 1) * this.width);
    return this.worst;
  }

  toString(): string {
    if (this.count === 0) return 'none';
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => this.at(q).toFixed(1));
    return `p50 ${p50}, p95 ${p95}, p99 ${p99}, worst ${this.worst.toFixed(1)} ms`;
  }
}
