/** A reader of the feed that is no panel: it takes the frames as they come and goes on at another node when one is gone. */
import { SseParser } from '../../src/lib/feed/sse';
import type { Bed } from './bed';

export class Follower {
  /** Numbers of the events that came, in order. */
  readonly seen: number[] = [];
  /** Nodes that it was at, in order. */
  readonly places: string[] = [];
  private lastId: string | null = null;
  private over = false;
  private abort = new AbortController();
  private readonly done: Promise<void>;

  /** Begins at a node, without events of the past. */
  constructor(
    private readonly bed: Bed,
    first: string,
  ) {
    this.done = this.run(first);
  }

  async stop(): Promise<void> {
    this.over = true;
    this.abort.abort();
    await this.done;
  }

  private async run(first: string): Promise<void> {
    const names = this.bed.nodes.map((n) => n.name);
    let at = names.indexOf(first);
    while (!this.over) {
      const name = names[at] ?? first;
      // A node that cannot be reached is no news: the next one is asked.
      await this.read(name).catch(() => new Promise((r) => setTimeout(r, 50)));
      at = (at + 1) % names.length;
    }
  }

  private async read(name: string): Promise<void> {
    this.abort = new AbortController();
    const headers: Record<string, string> = { Authorization: `Bearer ${this.bed.key}` };
    if (this.lastId !== null) headers['Last-Event-ID'] = this.lastId;
    const url = new URL('events/stream?tail=0', this.bed.node(name).base);
    const r = await fetch(url, { headers, signal: this.abort.signal });
    if (!r.ok || r.body === null) throw new Error(`${r.status}`);
    this.places.push(name);
    const parser = new SseParser();
    const text = new TextDecoder();
    const body = r.body.getReader();
    for (;;) {
      const { done, value } = await body.read();
      if (done) return;
      for (const frame of parser.push(text.decode(value, { stream: true }))) {
        if (frame.id !== null) this.lastId = frame.id;
        if (frame.event === 'event') this.seen.push((JSON.parse(frame.data) as { id: number }).id);
        if (frame.event === 'bye') return;
      }
    }
  }
}
