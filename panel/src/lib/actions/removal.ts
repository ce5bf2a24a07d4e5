/** What the removal of a member would do, from the answer of its node to the words of the dialog. */
import type { components } from '../api/schema';
import { sentence } from '../format/format';
import type { Words } from '../i18n/en';
import { clause } from '../told/told';
import type { Consequence } from '../ui/ask.svelte';

export type Removal = components['schemas']['RemovalPreview'];

/** It would be refused, and not by force. */
export const forceHelps = (r: Removal): boolean => r.refused != null && r.refused_with_force == null;

/** Why it would be refused; null when it would not. */
export function refusal(r: Removal, force: boolean, w: Words): string | null {
  const refused = force ? r.refused_with_force : r.refused;
  if (refused == null) return null;
  const say = r.refused_with_force == null ? w.hosts.removeRefused : w.hosts.removeNever;
  return say(sentence(clause(refused, w)));
}

export function removal(r: Removal, w: Words): Consequence[] {
  const t = w.hosts;
  const list: Consequence[] = [];
  if (r.votes) {
    const { before, after } = r.votes;
    list.push({ tone: before.alive < before.voters ? 'warn' : 'ok', text: t.removeNow(before) });
    list.push({ tone: after.may_fail < before.may_fail ? 'warn' : 'ok', text: t.removeAfter(after) });
  }
  if (r.engines === 0) list.push({ tone: 'ok', text: t.removeNoEngines });
  else list.push({ tone: 'bad', text: r.alive ? t.removeEngines(r.engines) : t.removeLost(r.engines) });
  if (r.queued_events > 0) list.push({ tone: 'bad', text: t.removeQueued(r.queued_events) });
  list.push({ tone: 'warn', text: t.removeBack });
  return list;
}
