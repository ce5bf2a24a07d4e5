import { onMount } from 'svelte';
import { router } from '../router/router.svelte';
import { nav } from './nav.svelte';

/** Closes the sheet that the address names as `sel`, also with Esc; focus goes back to the row or cell. Called by a page once. */
export function sheetCloser(): () => boolean {
  const close = () => {
    const key = router.get('sel');
    if (key === null) return false;
    router.set({ sel: null });
    if (nav.list) nav.list.focusRow(key);
    else document.querySelector<HTMLElement>(`.cell[data-key="${CSS.escape(key)}"]`)?.focus();
    return true;
  };
  onMount(() => {
    nav.closeSheet = close;
    return () => (nav.closeSheet = null);
  });
  return close;
}
