/** How far a log was read, by both of its counts: positions, which only logs that are followed have, and times. */
import type { LogEntry } from '../api/types';

export class Place {
  /** Position of the newest line; null when it came without one, and before the first line. */
  position: string | null = null;
  /** Time of the newest line, as it was sent; null before the first line. */
  at: string | null = null;
  /** Lines of that time that were read. */
  private same = 0;

  /** Notes a line that was read. */
  took(l: LogEntry, position: string | null): void {
    this.same = l.at === this.at ? this.same + 1 : 1;
    this.at = l.at;
    this.position = position;
  }

  /** For lines that come again from the newest time on, in order: says of each whether it is a new one. */
  behind(): (l: LogEntry) => boolean {
    const { at } = this;
    let known = this.same;
    return (l) => {
      if (at === null || l.at > at) return true;
      if (l.at === at && known === 0) return true;
      if (l.at === at) known--;
      return false;
    };
  }
}
