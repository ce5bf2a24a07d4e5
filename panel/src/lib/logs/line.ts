/** Lines of logs: their level, and the colours that programs write into them. */

export type Level = 'D' | 'I' | 'W' | 'E';
export const LEVELS: Level[] = ['D', 'I', 'W', 'E'];

// eslint-disable-next-line no-control-regex
const ESCAPE = /\u001b\[([0-9;?]*)([A-Za-z])/g;
const ERROR = /\b(?:error|err|critical|fatal|panic|traceback|exception)\b/i;
const WARN = /\b(?:warning|warn)\b/i;
const DEBUG = /\b(?:debug|trace)\b/i;

/** The level that a line names near its beginning; lines that name none are information. */
export function level(text: string): Level {
  const head = plain(text).slice(0, 80);
  if (ERROR.test(head)) return 'E';
  if (WARN.test(head)) return 'W';
  return DEBUG.test(head) ? 'D' : 'I';
}

/** The text without escapes. */
export const plain = (text: string): string => text.replace(ESCAPE, '');

/** A piece of a line in one colour; `a1` is red, `a2` green and so on, as terminals count. */
export interface Piece {
  text: string;
  cls: string;
}

/** Splits a line by its colour escapes; all other escapes are dropped. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let cls = '';
  let from = 0;
  for (const m of text.matchAll(ESCAPE)) {
    if (m.index > from) out.push({ text: text.slice(from, m.index), cls });
    from = m.index + m[0].length;
    if (m[2] !== 'm') continue;
    for (const code of (m[1] || '0').split(';').map(Number)) {
      if (code === 0 || code === 39) cls = '';
      else if (code >= 30 && code <= 37) cls = `a${code - 30}`;
      else if (code >= 90 && code <= 97) cls = `a${code - 90}`;
    }
  }
  if (from < text.length) out.push({ text: text.slice(from), cls });
  return out;
}
