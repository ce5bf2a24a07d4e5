/**
 * Loads the page again when there are members that it may not ask.
 *
 * Its content policy names those of the time when it was loaded, so a page that stays open outlives all addresses that it knows.
 */
import { unsaved } from '../ui/unsaved';
import { feed } from './feed.svelte';
import { allows, calm } from './policy';

const LOOK_MS = 30_000;

/** The policy that the page would get now; null when its address does not answer: then it must stay as it is. */
async function policyNow(): Promise<string | null> {
  try {
    const r = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' });
    return r.ok ? r.headers.get('Content-Security-Policy') : null;
  } catch {
    return null;
  }
}

/** Looks every half a minute, and when the page is left; called once. */
export function keepFresh(): void {
  const policy = policyNow();
  let touched = performance.now();
  for (const e of ['pointerdown', 'keydown', 'wheel'])
    addEventListener(e, () => (touched = performance.now()), { capture: true, passive: true });

  const look = async () => {
    const mine = await policy;
    if (mine === null) return;
    const { members, own } = feed.state;
    const barred = members.filter((m) => !allows(mine, own, m.base));
    const quietMs = performance.now() - touched;
    if (barred.length === 0 || !calm({ hidden: document.hidden, quietMs, holds: unsaved.any })) return;
    const now = await policyNow();
    if (now !== null && barred.some((m) => allows(now, own, m.base))) location.reload();
  };
  setInterval(() => void look(), LOOK_MS);
  document.addEventListener('visibilitychange', () => document.hidden && void look());
}
