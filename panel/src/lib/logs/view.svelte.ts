/** Follows the logs of some containers and merges them. */
import { SvelteMap } from 'svelte/reactivity';
import { ApiError } from '../api/client';
import { follow } from './follow';
import { open } from './tail';
import { merge, toLine, type Line } from './merge';

/** Lines that are asked of each container at first. */
const FIRST = 300;
/** After a break a log is asked again, in milliseconds. */
const AGAIN_MS = 1000;

export type SourceState = { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown };

/** A log that is read. */
interface Source {
  abort: AbortController;
  /** Position of the newest line; null before the first one. */
  position: string | null;
}

export class LogView {
  lines: Line[] = $state.raw([]);
  readonly states = new SvelteMap<string, SourceState>();
  private readonly sources = new Map<string, Source>();
  private fresh: Line[] = [];
  private waiting = false;

  /** Follows exactly these containers. */
  set(containers: readonly string[]): void {
    for (const [id, source] of this.sources) {
      if (containers.includes(id)) continue;
      source.abort.abort();
      this.sources.delete(id);
      this.states.delete(id);
      this.lines = this.lines.filter((l) => l.from !== id);
    }
    for (const id of containers) if (!this.sources.has(id)) this.start(id, null);
  }

  close(): void {
    for (const s of this.sources.values()) s.abort.abort();
    this.sources.clear();
  }

  /** Tries again what has failed, behind the lines that are here. */
  retry(id: string): void {
    const source = this.sources.get(id);
    source?.abort.abort();
    this.start(id, source?.position ?? null);
  }

  private start(id: string, position: string | null): void {
    const source = { abort: new AbortController(), position };
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
        const from = source.position === null ? { newest: FIRST } : { behind: source.position };
        const end = await follow(await open(id, from, attempt.signal), (l, position) => {
          if (signal.aborted) return;
          source.position = position;
          this.add(toLine(id, l));
        });
        if (end !== null && !signal.aborted) return void this.states.set(id, { kind: 'ended' });
      } catch (error) {
        if (signal.aborted) return;
        const lasting = error instanceof ApiError && error.status >= 400 && error.status < 500;
        this.states.set(id, { kind: 'failed', error });
        if (lasting) return;
      } finally {
        signal.removeEventListener('abort', stop);
        stop();
      }
      await new Promise((r) => setTimeout(r, AGAIN_MS));
      if (!signal.aborted) this.states.set(id, { kind: 'open' });
    }
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
