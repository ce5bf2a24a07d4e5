/** Numbers with their units, ages, times and ids, as people read them. Unknown is “–”, never 0. */

export const UNKNOWN = '–';
const NBSP = '\u00a0';

/** A number and its unit; they are never parted. */
export interface Quantity {
  n: string;
  u: string;
}

const FULL = { dateStyle: 'full', timeStyle: 'medium' } as const;
const DAY = { day: 'numeric', month: 'short' } as const;

let locale = 'en';
let cache = new Map<number, Intl.NumberFormat>();
// Making one takes half a millisecond, writing a date with it a microsecond.
let dates = { full: new Intl.DateTimeFormat(locale, FULL), day: new Intl.DateTimeFormat(locale, DAY) };

/** Chooses how digits are grouped and what stands before decimals. */
export function setLocale(l: string): void {
  locale = l;
  cache = new Map();
  dates = { full: new Intl.DateTimeFormat(l, FULL), day: new Intl.DateTimeFormat(l, DAY) };
}

/** A plain number with grouped digits. */
export function num(v: number | null | undefined, digits = 0): string {
  if (v == null || !Number.isFinite(v)) return UNKNOWN;
  let f = cache.get(digits);
  if (f === undefined) {
    f = new Intl.NumberFormat(locale, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      useGrouping: true,
    });
    cache.set(digits, f);
  }
  return f.format(v);
}

const quantity = (v: number | null | undefined, u: string, digits = 0): Quantity =>
  v == null || !Number.isFinite(v) ? { n: UNKNOWN, u: '' } : { n: num(v, digits), u };

const KIB = 1024;

/** KB/s of 1,024 bytes, as engines report speeds and nodes count them, in megabits a second. */
export const toMbit = (kb: number): number => (kb * KIB * 8) / 1e6;

/** Speed of a stream (KB/s) in Mbit/s: one decimal under 100. */
export function rate(kb: number | null | undefined): Quantity {
  const v = kb == null ? null : toMbit(kb);
  return quantity(v, 'Mbit/s', v !== null && v < 99.95 ? 1 : 0);
}

/** Bytes a second, as containers' networks are measured, in Mbit/s. */
export const network = (bytes: number | null | undefined): Quantity => rate(bytes == null ? null : bytes / KIB);

/** A size: whole MiB, from 1 GiB on GiB with one decimal. */
export function bytes(b: number | null | undefined): Quantity {
  if (b == null) return quantity(null, '');
  if (b < KIB ** 2) return quantity(b / KIB, 'KiB');
  return b < KIB ** 3 ? quantity(b / KIB ** 2, 'MiB') : quantity(b / KIB ** 3, 'GiB', 1);
}

/** Milliseconds: one decimal under 10, seconds from 1,000 on. */
export const ms = (v: number | null | undefined): Quantity =>
  v != null && v >= 1000 ? quantity(v / 1000, 's', 1) : quantity(v, 'ms', v != null && v < 10 ? 1 : 0);
/** One decimal under 10. */
export const percent = (v: number | null | undefined): Quantity => quantity(v, '%', v != null && v < 9.95 ? 1 : 0);
export const seconds = (v: number | null | undefined): Quantity => quantity(v, 's', 1);

/** A quantity as one text. */
export const text = (q: Quantity): string => (q.u === '' ? q.n : `${q.n}${NBSP}${q.u}`);

/** A length of time in seconds with two units at the most: “2 min 10 s”, “12 d 4 h”. */
export function age(s: number | null | undefined): string {
  if (s == null || !Number.isFinite(s)) return UNKNOWN;
  const v = Math.max(0, Math.floor(s));
  const two = (a: number, au: string, b: number, bu: string) =>
    b === 0 ? `${num(a)}${NBSP}${au}` : `${num(a)}${NBSP}${au}${NBSP}${b}${NBSP}${bu}`;
  if (v < 60) return `${v}${NBSP}s`;
  if (v < 3600) return two(Math.floor(v / 60), 'min', v % 60, 's');
  if (v < 86400) return two(Math.floor(v / 3600), 'h', Math.floor((v % 3600) / 60), 'min');
  return two(Math.floor(v / 86400), 'd', Math.floor((v % 86400) / 3600), 'h');
}

/** The same with the larger unit alone, for narrow columns. */
export function shortAge(s: number | null | undefined): string {
  return age(s).split(NBSP).slice(0, 2).join(NBSP);
}

/** Seconds from a time to now; null when it is unknown. */
export const since = (iso: string | null | undefined, now: number): number | null =>
  iso ? (now - Date.parse(iso)) / 1000 : null;

const pad = (n: number) => String(n).padStart(2, '0');

/** Time of day in the viewer's zone; days before today have their date. */
export function clock(at: string | number | null | undefined, now: number = Date.now()): string {
  if (at == null) return UNKNOWN;
  const d = new Date(at);
  if (Number.isNaN(d.getTime())) return UNKNOWN;
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
  if (new Date(now).toDateString() === d.toDateString()) return time;
  const day = dates.day.format(d).replaceAll(' ', NBSP);
  return `${day}${NBSP}${time.slice(0, 5)}`;
}

/** Hours and minutes alone, for the marks of an axis. */
export function hourMinute(at: number): string {
  const d = new Date(at);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

/** Time of day with milliseconds, for logs. */
export function clockMs(iso: string): string {
  const d = new Date(iso);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, '0')}`;
}

/** Date and time in full, for what is shown on hover. */
export function full(at: string | number | null | undefined): string {
  const d = new Date(at ?? NaN);
  return Number.isNaN(d.getTime()) ? UNKNOWN : dates.full.format(d);
}

/** A long id by its ends: `3b1c9e0f…1357`; of `<key>|<session>` the key alone. */
export function id(s: string | null | undefined): string {
  if (!s) return UNKNOWN;
  const key = s.split('|')[0] ?? s;
  return key.length <= 14 ? key : `${key.slice(0, 8)}…${key.slice(-4)}`;
}

/** The viewer's zone, named once on a page. */
export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Begins with a capital letter, unless with the name of a thing, and ends with a full stop. */
export const sentence = (s: string): string => {
  const x = s.trim();
  const named = /^[^\s]*[-_\d]/.test(x);
  return x === ''
    ? ''
    : (named ? x.charAt(0) : x.charAt(0).toUpperCase()) + x.slice(1) + (/[.!?…]$/.test(x) ? '' : '.');
};
