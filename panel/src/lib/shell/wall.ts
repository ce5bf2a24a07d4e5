/** The overview alone and larger, for a screen on a wall. Its address says so, and nothing else does. */
import { i18n } from '../i18n/i18n.svelte';
import { router } from '../router/router.svelte';
import { toasts } from '../ui/toasts.svelte';

/** Marks an entry of the browser's history before which there is a page of the panel to go back to. */
const ENTERED = 'wall';

export const wall = {
  get on(): boolean {
    return router.page === 'overview' && router.get('wall') === '1';
  },

  /** Enters it; or leaves it, for the page from which it was entered. */
  toggle(): void {
    if (!this.on) {
      router.go('overview', { wall: '1' });
      history.replaceState(ENTERED, '');
      toasts.show(i18n.t.shell.wallLeave);
    } else if (history.state === ENTERED) router.back();
    else router.set({ wall: null });
  },
};
