/** Who led the cluster over the last day, from the log of events. */
import type { LogEvent } from '../../lib/feed/types';

export interface Reign {
  node: string;
  term: number | null;
  /** Parts of the stretch of time that is shown, from 0 to 1. */
  from: number;
  to: number;
}

export interface Reigns {
  /** Where it begins: a day ago, or when the cluster was formed. */
  start: number;
  /** The cluster was formed then. */
  formed: boolean;
  list: Reign[];
}

const DAY_MS = 86_400_000;

export const elections = (events: readonly LogEvent[]): LogEvent[] =>
  events.filter((e) => e.event_type === 'system' && e.category === 'leader_changed');

/** Of all known elections, oldest first, those after which another member led: neither the first, nor a leader that was elected again. */
export const changes = (list: readonly LogEvent[]): LogEvent[] => list.filter((e, i) => moved(e, list[i - 1]));

/** The two leaders decide. Where one is not known, as of a member that was removed, the log says whether there was one before. */
function moved(e: LogEvent, before: LogEvent | undefined): boolean {
  const [was, is] = [before?.details.node, e.details.node];
  return was == null || is == null ? e.details.reason != null : was !== is;
}

/** The first term begins when the cluster is formed. */
const FIRST_TERM = 1;

/** Stretches of one leader each, the first without a name where the log does not reach; `events` come oldest first. */
export function reigns(events: readonly LogEvent[], now: number, leader: string | null, inTerm: number): Reigns {
  const day = now - DAY_MS;
  const all = elections(events).map((e) => ({
    node: e.details.node ?? '',
    term: e.details.term ?? null,
    at: Date.parse(e.timestamp),
  }));
  const first = all[0];
  if (first === undefined)
    return { start: day, formed: false, list: leader === null ? [] : [{ node: leader, term: inTerm, from: 0, to: 1 }] };
  const formed = first.term === FIRST_TERM && first.at > day;
  const start = formed ? first.at : day;
  const at = (t: number) => Math.max(0, Math.min(1, (t - start) / (now - start)));
  const before: Reign[] = first.at > start ? [{ node: '', term: null, from: 0, to: at(first.at) }] : [];
  const known = all
    .map((e, i) => ({ node: e.node, term: e.term, from: at(e.at), to: at(all[i + 1]?.at ?? now) }))
    .filter((r) => r.to > r.from);
  return { start, formed, list: [...before, ...known] };
}

/** About so wide is a letter of a label, and the room around it, in pixels. */
const LETTER_PX = 7;
const PAD_PX = 20;

const widthOf = (text: string): number => (text === '' ? 0 : text.length * LETTER_PX + PAD_PX);
/** Names may take so much of the strip; the rest shows how long each one led. */
const NAMES = 0.7;

export interface Piece {
  /** In pixels, at least. */
  least: number;
  /** The leader and the term, the leader, or nothing. */
  text: string;
}

/** What stands in each stretch, where the whole is so wide: as long as all names have room, each stretch has its own. */
export function pieces(list: readonly Reign[], width: number): Piece[] {
  const names = list.map((r) => widthOf(r.node));
  const all = names.reduce((a, b) => a + b, 0);
  const room = all <= width * NAMES;
  return list.map((r, i) => {
    const least = room ? (names[i] ?? 0) : 0;
    const wide = least + (r.to - r.from) * (width - (room ? all : 0));
    const texts = r.term === null ? [r.node] : [`${r.node} · ${r.term}`, r.node];
    return { least, text: texts.find((t) => widthOf(t) <= wide) ?? '' };
  });
}
