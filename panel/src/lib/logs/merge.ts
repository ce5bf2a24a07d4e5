/** Lines of several logs in one list, by time. */
import type { LogEntry } from '../api/types';
import { level, type Level } from './line';

export interface Line {
  /** Counts up in the order of arrival. */
  n: number;
  /** Container that wrote it. */
  from: string;
  at: string;
  /** Milliseconds, for the order. */
  time: number;
  level: Level;
  text: string;
}

/** Lines that are kept; the oldest go first. */
export const MOST = 4000;
let count = 0;

export const toLine = (from: string, e: LogEntry): Line => {
  const time = Date.parse(e.at);
  return {
    n: ++count,
    from,
    at: e.at,
    time: Number.isNaN(time) ? 0 : time,
    level: level(e.text),
    text: e.text.replace(/\r?\n$/, ''),
  };
};

/** Puts new lines in by time; lines of one moment keep the order of their arrival. */
export function merge(lines: readonly Line[], fresh: readonly Line[]): Line[] {
  const add = [...fresh].sort((a, b) => a.time - b.time || a.n - b.n);
  const first = add[0];
  if (first === undefined) return lines.slice();
  let cut = lines.length;
  while (cut > 0 && (lines[cut - 1]?.time ?? 0) > first.time) cut--;
  const tail = [...lines.slice(cut), ...add].sort((a, b) => a.time - b.time || a.n - b.n);
  return [...lines.slice(0, cut), ...tail].slice(-MOST);
}

/** What is looked for, as an expression; null for nothing, an error text when it is not valid. */
export function pattern(q: string, regex: boolean): RegExp | null | 'invalid' {
  if (q === '') return null;
  try {
    const r = new RegExp(regex ? q : q.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'gi');
    return r.test('') ? 'invalid' : r;
  } catch {
    return 'invalid';
  }
}

/** Splits a text into what is hit and what is not. */
export function hits(text: string, r: RegExp): { text: string; hit: boolean }[] {
  const out: { text: string; hit: boolean }[] = [];
  let from = 0;
  for (const m of text.matchAll(r)) {
    if (m.index > from) out.push({ text: text.slice(from, m.index), hit: false });
    out.push({ text: m[0], hit: true });
    from = m.index + m[0].length;
  }
  if (from < text.length) out.push({ text: text.slice(from), hit: false });
  return out;
}
