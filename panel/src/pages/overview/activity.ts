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
  /** The text ends at the mark, instead of beginning there. */
  before: boolean;
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

/** About so wide is a letter, and the room between two texts, in pixels. */
const LETTER_PX = 6.2;
const GAP_PX = 8;
/** Marks that are closer are one: of two leaders the later one counts. */
const NEAR = 0.02;

/**
 * Marks of the hour. Each has its text, or the name alone where the next one needs the room; one that would cover another is empty.
 * The chart is `width` pixels wide.
 */
export function marks(events: readonly LogEvent[], from: number, w: Words, width: number): Mark[] {
  const found: { x: number; kind: Mark['kind']; texts: string[] }[] = [];
  for (const e of events) {
    const kind = KIND[e.category];
    const x = (Date.parse(e.timestamp) - from) / (MINUTES * MINUTE);
    if (kind === undefined || x < 0 || x > 1) continue;
    const last = found.at(-1);
    if (last !== undefined && x - last.x < NEAR) {
      if (kind !== 'leader' || last.kind !== 'leader') continue;
      found.pop();
    }
    found.push({ x, kind, texts: textsOf(e, kind, w) });
  }
  let free = 0;
  return found.map(({ x, kind, texts }, i) => {
    const places = texts.flatMap((text) => {
      const wide = (text.length * LETTER_PX + GAP_PX) / Math.max(1, width);
      return [
        { text, before: false, begins: x, ends: x + wide },
        { text, before: true, begins: x - wide, ends: x },
      ];
    });
    const fit = places.filter((p) => p.begins >= free && p.ends <= 1);
    const next = found[i + 1]?.x ?? 1;
    const best = fit.find((p) => p.ends <= next) ?? fit.at(-1);
    if (best !== undefined) free = best.ends;
    return { x, kind, text: best?.text ?? '', before: best?.before === true };
  });
}

/** Texts of a mark, the longest first. */
function textsOf(e: LogEvent, kind: Mark['kind'], w: Words): string[] {
  const name = e.details.vpn ?? e.details.node ?? null;
  const whole = kind === 'leader' && name !== null ? w.overview.leads(name) : short(told(e, w));
  return name === null ? [whole] : [whole, name];
}

/** The part of a message before its reason, not too long for a mark. */
const short = (m: string): string => {
  const head = m.split(/[:;,]/)[0] ?? m;
  return head.length > 26 ? `${head.slice(0, 25)}…` : head;
};
