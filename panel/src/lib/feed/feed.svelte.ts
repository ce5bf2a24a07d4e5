/** Runs the state machine of the feed: clock in, effects out, frames to the store. */
import { key } from '../api/key.svelte';
import { open } from './connection';
import { initial, step, type FeedState, type Input, type Move } from './machine';
import type { Frame } from './types';

/** A tab that nobody sees keeps its connection for so long. */
const REST_AFTER_MS = 60_000;
const TICK_MS = 200;

/** The address of the API: the page lies in a folder below it. */
export const ownBase = (): string => new URL('../', location.href.split(/[?#]/)[0]).href;

class Feed {
  state: FeedState = $state.raw(initial(''));
  /** The address of the node that serves; unlike the state, it changes only when the node does. */
  readonly base = $derived(this.state.base);
  /** Frames go here, in order; with a greeting comes how the feed went on. */
  private sink: (f: Frame, move: Move | null) => void = () => {};
  private stop: () => void = () => {};
  private hiddenAt: number | null = null;
  private asked?: Promise<unknown>;

  /** Begins; called once. */
  start(sink: (f: Frame, move: Move | null) => void): void {
    this.sink = sink;
    this.state = initial(ownBase());
    this.input({ type: 'start', now: performance.now() });
    setInterval(() => this.tick(), TICK_MS);
    document.addEventListener('visibilitychange', () => {
      this.hiddenAt = document.hidden ? performance.now() : null;
      if (!document.hidden) this.input({ type: 'wake', now: performance.now() });
    });
  }

  /** Goes on at a certain node. */
  use(base: string): void {
    this.input({ type: 'use', now: performance.now(), base });
  }

  dismiss(): void {
    this.input({ type: 'dismiss' });
  }

  private tick(): void {
    const now = performance.now();
    if (this.hiddenAt !== null && now - this.hiddenAt > REST_AFTER_MS) this.input({ type: 'rest', now });
    this.input({ type: 'tick', now });
  }

  private input(input: Input): void {
    const [next, effects] = step(this.state, input);
    if (next !== this.state) this.state = next;
    for (const e of effects) {
      this.stop();
      if (e.type === 'abort') continue;
      const conn = e.conn;
      this.stop = open(e.base, e.lastId, key.value, {
        heard: () => this.input({ type: 'heard', conn, now: performance.now() }),
        frame: (frame) => {
          if (conn !== this.state.conn) return;
          if (frame.kind === 'hello') key.greeted(frame.data.key_required);
          this.input({ type: 'frame', conn, now: performance.now(), wall: Date.now(), frame });
          this.sink(frame, frame.kind === 'hello' ? this.state.move : null);
        },
        closed: (reason) => {
          // Reads need a key here, too. Whoever puts that off is not asked again.
          if (reason.status === 401) {
            key.forget();
            this.asked ??= key.ask().then((signedIn) => void (signedIn && (this.asked = undefined)));
          }
          this.input({ type: 'closed', conn, now: performance.now(), reason });
        },
      });
    }
  }
}

export const feed = new Feed();
