import { toasts } from './toasts.svelte';

/** Copies a text whole. Pages without TLS have no clipboard of their own, so a selection does it there. */
export async function copy(text: string, said: string): Promise<void> {
  if (window.isSecureContext) await navigator.clipboard.writeText(text);
  else {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'vh';
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toasts.show(said);
}
