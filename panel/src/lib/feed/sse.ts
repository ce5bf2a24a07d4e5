/** A parser of server-sent events: text in pieces of any size in, whole frames out. */

/** One frame as it was sent; a comment has the event name `:`. */
export interface RawFrame {
  event: string;
  id: string | null;
  data: string;
}

/** Longest frame that is accepted, in characters: a snapshot of thousands of streams is about 4 million. */
export const MAX_FRAME = 64 * 1024 * 1024;

/** Collects pieces of text; `push` gives the frames that a piece completes. */
export class SseParser {
  private rest = '';
  private event = '';
  private id: string | null = null;
  private data: string[] = [];
  private size = 0;

  /** Throws when a frame is longer than {@link MAX_FRAME}. */
  push(text: string): RawFrame[] {
    const out: RawFrame[] = [];
    this.rest += text;
    let from = 0;
    for (;;) {
      const end = this.rest.indexOf('\n', from);
      if (end < 0) break;
      const line = this.rest.slice(from, this.rest.charCodeAt(end - 1) === 13 && end > from ? end - 1 : end);
      from = end + 1;
      this.line(line, out);
    }
    this.rest = this.rest.slice(from);
    if (this.rest.length + this.size > MAX_FRAME) throw new Error('a frame of the feed is too long');
    return out;
  }

  private line(line: string, out: RawFrame[]): void {
    if (line === '') {
      if (this.data.length > 0) out.push({ event: this.event || 'message', id: this.id, data: this.data.join('\n') });
      this.event = '';
      this.id = null;
      this.data = [];
      this.size = 0;
      return;
    }
    if (line.startsWith(':')) {
      out.push({ event: ':', id: null, data: line.slice(1).trim() });
      return;
    }
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'event') this.event = value;
    else if (name === 'id') this.id = value;
    else if (name === 'data') {
      this.data.push(value);
      this.size += value.length;
    }
  }
}
