/** What the address filters a list by: typed words as `q`, and chosen values of facets. */
import { router } from '../router/router.svelte';
import type { Chosen } from './facets';

export interface Filters {
  readonly chosen: Chosen;
  readonly q: string;
  /** Anything is filtered out. */
  readonly on: boolean;
  clear(): void;
}

export function filters(facets: () => readonly { id: string }[]): Filters {
  const chosen = $derived(new Map(facets().map((f) => [f.id, new Set(router.all(f.id))])));
  const q = $derived(router.get('q') ?? '');
  return {
    get chosen() {
      return chosen;
    },
    get q() {
      return q;
    },
    get on() {
      return q !== '' || [...chosen.values()].some((s) => s.size > 0);
    },
    clear: () => router.set({ q: null, ...Object.fromEntries(facets().map((f) => [f.id, null])) }),
  };
}
