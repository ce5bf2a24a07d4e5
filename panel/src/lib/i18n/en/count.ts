/** English: numbers of things. */
import { num } from '../../format/format';

export const plural = (v: number | null | undefined, one: string, many: string) => `${num(v)} ${v === 1 ? one : many}`;
export const someEngines = (v: number) => plural(v, 'engine', 'engines');
export const someStreams = (v: number) => plural(v, 'stream', 'streams');
export const someHosts = (v: number) => plural(v, 'host', 'hosts');
export const ofEngines = (v: number, all: number | null | undefined) =>
  `${num(v)} of ${plural(all, 'engine', 'engines')}`;
/** Which of two words goes with so many. */
export const agree = (v: number, one: string, many: string) => (v === 1 ? one : many);
