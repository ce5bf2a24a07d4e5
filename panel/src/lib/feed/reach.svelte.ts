/** Whether the page could go on at another member: where it came from decides what browsers and open nodes let it ask. */
import { feed } from './feed.svelte';

/** A member that answers takes no longer, in milliseconds. */
const LIMIT_MS = 3000;

/** Asks the other members while the component that calls this lives; true when all turn the page away. */
export function watchReach(answers: (member: string) => boolean): { readonly turnedAway: boolean } {
  let turnedAway = $state(false);
  const others = $derived(
    feed.state.members
      .filter((m) => m.name !== feed.state.node && answers(m.name))
      .map((m) => m.base)
      .join(' '),
  );
  $effect(() => {
    const bases = others === '' ? [] : others.split(' ');
    let over = false;
    void Promise.all(bases.map(asks)).then((reached) => {
      if (!over) turnedAway = reached.length > 0 && !reached.includes(true);
    });
    return () => (over = true);
  });
  return {
    get turnedAway() {
      return turnedAway;
    },
  };
}

async function asks(base: string): Promise<boolean> {
  try {
    return (await fetch(new URL('cluster', base), { cache: 'no-store', signal: AbortSignal.timeout(LIMIT_MS) })).ok;
  } catch {
    // A refusal that the page may not read looks the same.
    return false;
  }
}
