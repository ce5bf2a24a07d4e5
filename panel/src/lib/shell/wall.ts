import { i18n } from '../i18n/i18n.svelte';
import { router } from '../router/router.svelte';
import { prefs } from '../store/prefs.svelte';
import { toasts } from '../ui/toasts.svelte';

/** Shows the overview alone and larger, for a screen on a wall; or ends that. */
export function toggleWall(): void {
  prefs.wall = !prefs.wall;
  if (!prefs.wall) return;
  if (router.page !== 'overview') router.go('overview');
  toasts.show(i18n.t.shell.wallLeave);
}
