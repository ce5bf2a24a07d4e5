/** What would be lost if the page were loaded again. */
import { router } from '../router/router.svelte';

class Unsaved {
  /** Settings that are typed and not applied. */
  draft = false;

  get any(): boolean {
    return this.draft || router.page === 'logs' || document.querySelector('dialog[open]') !== null;
  }
}

export const unsaved = new Unsaved();
