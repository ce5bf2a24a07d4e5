/** English: numbers of things. */
import { num } from '../../format/format';

export const plural = (v: number, one: string, many: string) => `${num(v)} ${v === 1 ? one : many}`;
export const someEngines = (v: number) => plural(v, 'engine', 'engines');
export const someStreams = (v: number) => plural(v, 'stream', 'streams');
export const someHosts = (v: number) => plural(v, 'host', 'hosts');
