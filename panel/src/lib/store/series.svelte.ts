/** Curves of the last hour, asked from the node while somebody looks. */
import { api, read } from '../api/client';
import { ApiError } from '../api/error';
import { feed } from '../feed/feed.svelte';
import type { Series } from './points';

/** Curves are asked again so often, in milliseconds. */
const AGAIN_MS = 10_000;

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
