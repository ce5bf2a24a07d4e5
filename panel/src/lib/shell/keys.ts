/** Keys that work on every page. */
import { LETTER, PAGES, router } from '../router/router.svelte';
import { prefs } from '../store/prefs.svelte';
import { nav } from '../ui/nav.svelte';
import { panels } from './panels.svelte';
import { wall } from './wall';

/** After `g` the letter of a page counts for so long, in milliseconds. */
const GO_MS = 1200;
let goAt = -Infinity;

export function keydown(e: KeyboardEvent): void {
  const dialog = document.querySelector('dialog[open]') !== null;
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
    e.preventDefault();
    if (!dialog) panels.open = 'palette';
    return;
  }
  if (dialog || e.ctrlKey || e.metaKey || e.altKey) return;
  const typing = e.target instanceof HTMLElement && e.target.matches('input:not([type=checkbox]), select, textarea');
  if (e.key === 'Escape') {
    if (typing) return (e.target as HTMLElement).blur();
    if (wall.on) return wall.toggle();
    nav.closeSheet?.();
    return;
  }
  if (typing) return;
  if (e.timeStamp - goAt < GO_MS) {
    goAt = -Infinity;
    const page = PAGES.find((p) => LETTER[p] === e.key);
    if (page !== undefined) return router.go(page);
  }
  const act = KEYS[e.key];
  if (act === undefined) return;
  e.preventDefault();
  act(e);
}

const KEYS: Record<string, (e: KeyboardEvent) => void> = {
  g: (e) => (goAt = e.timeStamp),
  '?': () => (panels.open = 'keys'),
  t: () => prefs.nextTheme(),
  w: () => wall.toggle(),
  '/': () =>
    nav.list ? nav.list.find() : document.querySelector<HTMLInputElement>('.tbar input:not([type=checkbox])')?.focus(),
  f: () => nav.toggleFollow?.(),
  j: () => nav.list?.move(1),
  k: () => nav.list?.move(-1),
  x: () => nav.list?.pickActive(),
};
