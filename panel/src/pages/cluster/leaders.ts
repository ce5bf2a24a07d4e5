/** Who led the cluster over the last day, from the log of events. */
import type { LogEvent } from '../../lib/feed/types';

export interface Reign {
  node: string;
  term: number | null;
  /** Parts of the day, from 0 to 1. */
  from: number;
  to: number;
}

const DAY_MS = 86_400_000;

export const elections = (events: readonly LogEvent[]): LogEvent[] =>
  events.filter((e) => e.event_type === 'system' && e.category === 'leader_changed');

/** Stretches of one leader each, the first without a name where the log does not reach; `events` come oldest first. */
export function reigns(events: readonly LogEvent[], now: number, leader: string | null, inTerm: number): Reign[] {
  const start = now - DAY_MS;
  const at = (t: number) => Math.max(0, Math.min(1, (t - start) / DAY_MS));
  const all = elections(events).map((e) => ({
    node: e.details.node ?? '',
    term: e.details.term ?? null,
    at: Date.parse(e.timestamp),
  }));
  if (all.length === 0) return leader === null ? [] : [{ node: leader, term: inTerm, from: 0, to: 1 }];
  const first = all[0] as (typeof all)[number];
  const before: Reign[] = first.at > start ? [{ node: '', term: null, from: 0, to: at(first.at) }] : [];
  const known = all
    .map((e, i) => ({ node: e.node, term: e.term, from: at(e.at), to: at(all[i + 1]?.at ?? now) }))
    .filter((r) => r.to > r.from);
  return [...before, ...known];
}
