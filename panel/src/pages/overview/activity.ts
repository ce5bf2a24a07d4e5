/** Streams that started and ended, counted by minute, and what happened to the cluster meanwhile. */
import type { LogEvent, StreamObject } from '../../lib/feed/types';
import type { Words } from '../../lib/i18n/en';
import { told } from '../../lib/told/told';

export const MINUTES = 60;
const MINUTE = 60_000;

export interface Activity {
  /** Start of the first minute. */
  from: number;
  started: number[];
  ended: number[];
}

export function activity(streams: Iterable<StreamObject>, now: number): Activity {
  const from = (Math.floor(now / MINUTE) - MINUTES + 1) * MINUTE;
  const started = new Array<number>(MINUTES).fill(0);
  const ended = new Array<number>(MINUTES).fill(0);
  const count = (into: number[], at: string | null | undefined) => {
    const i = at == null ? -1 : Math.floor((Date.parse(at) - from) / MINUTE);
    if (i >= 0 && i < MINUTES) into[i] = (into[i] ?? 0) + 1;
  };
  for (const s of streams) {
    if (s.mark != null) continue;
    count(started, s.started_at);
    count(ended, s.ended_at);
  }
  return { from, started, ended };
}

export interface Mark {
  /** From 0 to 1 over the hour. */
  x: number;
  kind: 'leader' | 'drain' | 'outage';
  text: string;
}

/** Categories of the log of events that get a mark. */
const KIND: Record<string, Mark['kind']> = {
  leader_changed: 'leader',
  draining: 'drain',
  disconnected: 'outage',
  node_down: 'outage',
  node_unavailable: 'outage',
  docker_unavailable: 'outage',
};

/** From here on the text of a mark stands at its left. */
export const LEFT_FROM = 0.8;
/** About so wide is a letter, as a part of the chart. */
const LETTER = 0.0078;

/** Marks of the hour; one beside another is left out, and a text that would cover another is empty. */
export function marks(events: readonly LogEvent[], from: number, w: Words): Mark[] {
  const out: Mark[] = [];
  let free = 0;
  for (const e of events) {
    const kind = KIND[e.category];
    const x = (Date.parse(e.timestamp) - from) / (MINUTES * MINUTE);
    if (kind === undefined || x < 0 || x > 1) continue;
    const last = out.at(-1);
    if (last !== undefined && x - last.x < 0.02) continue;
    const text = short(told(e, w));
    const wide = text.length * LETTER + 0.01;
    const begins = x > LEFT_FROM ? x - wide : x;
    out.push({ x, kind, text: begins < free ? '' : text });
    if (begins >= free) free = begins + wide;
  }
  return out;
}

/** The part of a message before its reason, not too long for a mark. */
const short = (m: string): string => {
  const head = m.split(/[:;,]/)[0] ?? m;
  return head.length > 26 ? `${head.slice(0, 25)}…` : head;
};
