/** How far each member has applied the log: the leader alone knows that of others, so it is asked when another node serves. */
import { feed } from '../feed/feed.svelte';
import { fleet } from './fleet.svelte';

/** The leader is asked again so often, in milliseconds. */
const AGAIN_MS = 2000;

/** Where the leader is asked; null when the feed comes from it, or its address cannot be reached from this page. */
function leaderBase(): string | null {
  const { members, node } = feed.state;
  return fleet.leader === null || fleet.leader === node
    ? null
    : (members.find((m) => m.name === fleet.leader)?.base ?? null);
}

/** Keeps indexes by name fresh while the component that calls this lives; what the feed says counts first. */
export function watchApplied(): { of(name: string): number | null } {
  let said: Map<string, number> = $state.raw(new Map());
  const base = $derived(leaderBase());
  $effect(() => {
    const at = base;
    said = new Map();
    if (at === null) return;
    const abort = new AbortController();
    const ask = async () => {
      try {
        const r = await fetch(new URL('cluster', at), { signal: abort.signal, cache: 'no-store' });
        if (!r.ok) return;
        const view = (await r.json()) as { nodes: { name: string; applied_index?: number | null }[] };
        said = new Map(
          view.nodes.flatMap((n) => (n.applied_index == null ? [] : [[n.name, n.applied_index] as const])),
        );
      } catch {
        // Without an answer it is not known, which the page says.
        said = new Map();
      }
    };
    void ask();
    const timer = setInterval(() => document.hidden || void ask(), AGAIN_MS);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  });
  return {
    of: (name) => {
      const own = fleet.on('figures').nodeFigures.get(name)?.applied_index ?? null;
      const other = said.get(name) ?? null;
      return own === null ? other : other === null ? own : Math.max(own, other);
    },
  };
}
