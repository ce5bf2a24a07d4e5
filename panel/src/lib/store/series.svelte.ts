/** Curves of the last hour, asked from the node while somebody looks. */
import { api, read } from '../api/client';
import { ApiError } from '../api/error';
import type { components } from '../api/schema';
import { feed } from '../feed/feed.svelte';

type Series = components['schemas']['SeriesBody'];

/** Curves are asked again so often, in milliseconds. */
const AGAIN_MS = 10_000;

/** Points of a field, oldest first; empty when the series has no such field. */
export function column(s: Series | null, ...names: string[]): (number | null)[] {
  const at = s === null ? -1 : s.fields.findIndex((f) => names.includes(f));
  return s === null || at < 0 ? [] : s.points.map((p) => p[at + 1] ?? null);
}

/** Averages groups of neighbours, so that a curve has at most so many points. */
export function thin(values: (number | null)[], most: number): (number | null)[] {
  const size = Math.ceil(values.length / most);
  if (size <= 1) return values;
  const out: (number | null)[] = [];
  for (let i = 0; i < values.length; i += size) {
    const known = values.slice(i, i + size).filter((v): v is number => v !== null);
    out.push(known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length);
  }
  return out;
}

/** Times of the points, in milliseconds. */
export const times = (s: Series | null): number[] => (s === null ? [] : s.points.map((p) => (p[0] ?? 0) * 1000));

export interface Watched {
  readonly data: Series | null;
  /** Nothing is recorded of it. */
  readonly missing: boolean;
}

/** Keeps a series fresh while the component that calls this lives; null asks for none. */
export function watch(of: () => string | null): Watched {
  let data: Series | null = $state.raw(null);
  let missing = $state(false);
  let last: string | null = null;
  // The objects that it is read from change with each report, and their names do not.
  const named = $derived(of());
  $effect(() => {
    const what = named;
    void feed.base;
    if (what !== last) data = null;
    last = what;
    if (what === null) return;
    let over = false;
    const load = async () => {
      try {
        const s = await read(() => api().GET('/series', { params: { query: { of: what } } }));
        if (!over) [data, missing] = [s, false];
      } catch (e) {
        if (!over && e instanceof ApiError && e.status === 404) missing = true;
      }
    };
    void load();
    const timer = setInterval(() => document.hidden || void load(), AGAIN_MS);
    return () => {
      over = true;
      clearInterval(timer);
    };
  });
  return {
    get data() {
      return data;
    },
    get missing() {
      return missing;
    },
  };
}
