/** Follows the logs of some containers and merges them. */
import { SvelteMap } from 'svelte/reactivity';
import { ApiError } from '../api/client';
import type { LogEntry } from '../api/types';
import { follow } from './tail';
import { merge, toLine, type Line } from './merge';

/** Lines that are asked of each container at first. */
const FIRST = 300;
/** After a break a log is asked again, in milliseconds. */
const AGAIN_MS = 1000;

export type SourceState = { kind: 'open' } | { kind: 'ended' } | { kind: 'failed'; error: unknown };

export class LogView {
  lines: Line[] = $state.raw([]);
  readonly states = new SvelteMap<string, SourceState>();
  private readonly open = new Map<string, AbortController>();
  private fresh: Line[] = [];
  private waiting = false;

  /** Follows exactly these containers. */
  set(containers: readonly string[]): void {
    for (const [id, abort] of this.open) {
      if (containers.includes(id)) continue;
      abort.abort();
      this.open.delete(id);
      this.states.delete(id);
      this.lines = this.lines.filter((l) => l.from !== id);
    }
    for (const id of containers) if (!this.open.has(id)) this.start(id);
  }

  close(): void {
    for (const a of this.open.values()) a.abort();
    this.open.clear();
  }

  /** Tries again what has failed. */
  retry(id: string): void {
    this.open.get(id)?.abort();
    this.start(id);
  }

  private start(id: string): void {
    const abort = new AbortController();
    this.open.set(id, abort);
    this.states.set(id, { kind: 'open' });
    void this.run(id, abort.signal);
  }

  private async run(id: string, signal: AbortSignal): Promise<void> {
    const seen: { last: LogEntry | null } = { last: null };
    while (!signal.aborted) {
      const since = seen.last;
      try {
        const why = await follow(id, since === null ? FIRST : 1000, since?.at ?? null, signal, (l) => {
          // A log that goes on may begin with the line that was read last.
          if (since !== null && (l.at < since.at || (l.at === since.at && l.text === since.text))) return;
          seen.last = l;
          this.add(toLine(id, l));
        });
        if (why !== 'closed' && why !== 'stopping') return void this.states.set(id, { kind: 'ended' });
      } catch (error) {
        if (signal.aborted) return;
        const lasting = error instanceof ApiError && error.status >= 400 && error.status < 500;
        this.states.set(id, { kind: 'failed', error });
        if (lasting) return;
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
      const fresh = this.fresh.filter((x) => this.open.has(x.from));
      this.fresh = [];
      this.lines = merge(this.lines, fresh);
    }, 60);
  }
}
