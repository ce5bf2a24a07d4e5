/** Reads the logs of some containers and merges them. */
import { SvelteMap } from 'svelte/reactivity';
import { ApiError } from '../api/error';
import type { LogEntry } from '../api/types';
import { follow } from './follow';
import { Place } from './place';
import { open, since } from './tail';
import { merge, toLine, type Line } from './merge';

/**
 * Logs that are followed at once. Browsers keep six connections to an address; the feed has one of them, each log that is followed
 * another, and the calls that pages make need some.
 */
export const FOLLOWED_MAX = 3;
/** Other logs are read so often, in milliseconds. */
export const LOOK_MS = 3000;
/** After a break a log is asked again, in milliseconds. */
const AGAIN_MS = 1000;

export type SourceState = { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown };

/** A log that is read: line by line as it is written, or every few seconds. */
interface Source {
  follows: boolean;
  place: Place;
  abort: AbortController;
}

export class LogView {
  lines: Line[] = $state.raw([]);
  readonly states = new SvelteMap<string, SourceState>();
  private readonly sources = new Map<string, Source>();
  /** Reads that are not followed are made one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  private fresh: Line[] = [];
  private waiting = false;

  /** Reads exactly these containers, the first {@link FOLLOWED_MAX} as they write; those that rest keep the lines that are here. */
  set(containers: readonly string[], resting: ReadonlySet<string> = new Set()): void {
    for (const [id, source] of this.sources) {
      if (containers.includes(id)) continue;
      source.abort.abort();
      this.sources.delete(id);
      this.states.delete(id);
      this.lines = this.lines.filter((l) => l.from !== id);
    }
    for (const [i, id] of containers.entries()) {
      const now = this.sources.get(id);
      if (resting.has(id)) {
        now?.abort.abort();
        this.states.delete(id);
        continue;
      }
      const follows = i < FOLLOWED_MAX;
      if (now === undefined || now.follows !== follows || now.abort.signal.aborted) this.start(id, follows);
    }
  }

  /** Stops reading; {@link set} goes on where it was. */
  rest(): void {
    for (const s of this.sources.values()) s.abort.abort();
  }

  /** Tries again what has failed, behind the lines that are here. */
  retry(id: string): void {
    const source = this.sources.get(id);
    if (source !== undefined) this.start(id, source.follows);
  }

  private start(id: string, follows: boolean): void {
    const before = this.sources.get(id);
    before?.abort.abort();
    const source = { follows, place: before?.place ?? new Place(), abort: new AbortController() };
    this.sources.set(id, source);
    this.states.set(id, { kind: 'open' });
    void this.run(id, source);
  }

  private async run(id: string, source: Source): Promise<void> {
    const { signal } = source.abort;
    while (!signal.aborted) {
      // Each attempt ends for itself: one that was given up must not keep its connection.
      const attempt = new AbortController();
      const stop = () => attempt.abort();
      signal.addEventListener('abort', stop);
      try {
        const end = source.follows
          ? await this.follow(id, source, attempt.signal)
          : await this.inTurn(() => this.look(id, source, attempt.signal));
        if (signal.aborted) return;
        this.states.set(id, end === null ? { kind: 'open' } : { kind: 'ended' });
        if (end !== null) return;
      } catch (error) {
        if (signal.aborted) return;
        const lasting = error instanceof ApiError && error.status >= 400 && error.status < 500;
        this.states.set(id, { kind: 'failed', error });
        if (lasting) return;
      } finally {
        signal.removeEventListener('abort', stop);
        stop();
      }
      await new Promise((r) => setTimeout(r, source.follows ? AGAIN_MS : LOOK_MS));
    }
  }

  private async follow(id: string, source: Source, signal: AbortSignal): Promise<string | null> {
    const { place } = source;
    const isNew = place.position === null ? place.behind() : () => true;
    const body = await open(id, place, signal);
    if (!source.abort.signal.aborted) this.states.set(id, { kind: 'open' });
    return follow(body, (l, position) => {
      if (!source.abort.signal.aborted && isNew(l)) this.take(id, place, l, position);
    });
  }

  private async look(id: string, source: Source, signal: AbortSignal): Promise<null> {
    if (source.abort.signal.aborted) return null;
    const lines = await since(id, source.place, signal);
    if (!source.abort.signal.aborted) for (const l of lines) this.take(id, source.place, l, null);
    return null;
  }

  private inTurn<T>(look: () => Promise<T>): Promise<T> {
    const next = this.turn.then(look);
    this.turn = next.catch(() => undefined);
    return next;
  }

  private take(id: string, place: Place, l: LogEntry, position: string | null): void {
    place.took(l, position);
    this.add(toLine(id, l));
  }

  private add(l: Line): void {
    this.fresh.push(l);
    if (this.waiting) return;
    this.waiting = true;
    setTimeout(() => {
      this.waiting = false;
      const fresh = this.fresh.filter((x) => this.sources.has(x.from));
      this.fresh = [];
      this.lines = merge(this.lines, fresh);
    }, 60);
  }
}
