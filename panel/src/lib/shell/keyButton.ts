/** The button of the key, in the bar and behind “more”: signs in, or out. */
import { explain } from '../api/explain';
import { key } from '../api/key.svelte';
import { feed } from '../feed/feed.svelte';
import { i18n } from '../i18n/i18n.svelte';
import { toasts } from '../ui/toasts.svelte';

export const keyLabel = () => (key.value === null ? i18n.t.shell.apiKey : i18n.t.key.forget + key.who);

export function pressKey(): void {
  if (key.value !== null) return key.forget();
  // Neither place has room for a line beside the button.
  key.want(feed.base).catch((e: unknown) => toasts.fail(explain(e, i18n.t)));
}
