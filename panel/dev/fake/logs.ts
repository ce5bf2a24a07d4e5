/** Logs of the fake cluster: a line each 0.7 s, the same whoever asks. */
import type { LogEntry } from '../../src/lib/api/types';

const EVERY_MS = 700;

const TEXT = [
  '[info] buffering done in 1.8 s, peers 23',
  '[info] peer connected, 31 in all',
  '[debug] piece 48112 complete, 1 048 576 bytes',
  '[info] live position 14 s behind',
  '[warning] piece 48131 late by 2.4 s, asked from 3 more peers',
  '[error] tracker timed out after 10 s: udp://tracker.example:2710',
  '\u001b[32m[info]\u001b[0m status asked, answered in 3 ms',
  'session c81f77d2 keeps playing',
];

/** Number of the newest line. */
export const newest = (): number => Math.floor(Date.now() / EVERY_MS);

/** Number of the first line from a time on. */
export const numberAt = (iso: string): number => Math.ceil(Date.parse(iso) / EVERY_MS);

/** A line by its number, which is its position. */
export const logLine = (n: number): LogEntry => ({
  at: new Date(n * EVERY_MS).toISOString(),
  stream: 'stdout',
  text: `${TEXT[(n * 7 + Math.floor(n / 5)) % TEXT.length]} #${n % 10_000}`,
});
