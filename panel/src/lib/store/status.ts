/** What state a thing is in, for shape, word and colour; words are looked up elsewhere. */
import type { EngineObject, NodeFigures, NodeObject, StreamFigures, StreamObject, VpnObject } from '../feed/types';

/** Shapes of states; each has one colour. */
export type Tone = 'ok' | 'warn' | 'bad' | 'start' | 'drain' | 'idle';

export type EngineWord =
  'healthy' | 'unhealthy' | 'vpn_down' | 'host_away' | 'starting' | 'stopping' | 'leaving' | 'unlisted' | 'unknown';
export type StreamWord = 'playing' | 'buffering' | 'stalled' | 'found' | 'ended';
export type HostWord =
  | 'takes'
  | 'answers'
  | 'away'
  | 'down'
  | 'stopping'
  | 'stopped'
  | 'suspect'
  | 'draining'
  | 'cordoned'
  | 'docker'
  | 'passed'
  | 'full'
  | 'unknown';
export type VpnWord = 'connected' | 'down' | 'starting' | 'unknown';

export interface Standing<W extends string> {
  tone: Tone;
  word: W;
}

export const ENGINE_TONE: Record<EngineWord, Tone> = {
  healthy: 'ok',
  unhealthy: 'bad',
  vpn_down: 'warn',
  host_away: 'bad',
  starting: 'start',
  stopping: 'drain',
  leaving: 'drain',
  unlisted: 'warn',
  unknown: 'idle',
};
export const STREAM_TONE: Record<StreamWord, Tone> = {
  playing: 'ok',
  buffering: 'start',
  stalled: 'bad',
  found: 'ok',
  ended: 'idle',
};
export const HOST_TONE: Record<HostWord, Tone> = {
  takes: 'ok',
  answers: 'ok',
  away: 'bad',
  down: 'bad',
  stopping: 'drain',
  stopped: 'idle',
  suspect: 'warn',
  draining: 'drain',
  cordoned: 'idle',
  docker: 'bad',
  passed: 'warn',
  full: 'idle',
  unknown: 'idle',
};
export const VPN_TONE: Record<VpnWord, Tone> = { connected: 'ok', down: 'bad', starting: 'start', unknown: 'idle' };

/** The first that holds counts; a host that is away says more than what was known of the engine before. */
export function engineWord(
  e: EngineObject,
  node: NodeObject | undefined,
  vpn: VpnObject | undefined,
  replaced: boolean,
): EngineWord {
  if (e.phase === 'stopping') return 'stopping';
  // Engines outlive their node: those that still answer other members stay listed.
  if (node !== undefined && isAway(node) && !(e.listed && e.health_status === 'healthy')) return 'host_away';
  if (e.phase !== 'running') return 'starting';
  if (vpn !== undefined && vpnWord(vpn) === 'down') return 'vpn_down';
  if (e.health_status === 'unhealthy') return 'unhealthy';
  // One that is listed has answered before: nobody hears from its host now.
  if (e.health_status !== 'healthy') return e.listed ? 'unknown' : 'starting';
  if (e.listed) return 'healthy';
  return replaced || node?.availability === 'draining' ? 'leaving' : 'unlisted';
}

/** Since when an engine fails, starts, or else runs; null when that is not told, as of one that leaves. */
export function engineSince(e: EngineObject): string | null {
  if (e.failing_since !== null) return e.failing_since;
  if (e.phase !== 'running' && e.phase !== 'stopping') return e.reserved_at;
  return e.phase === 'running' && e.listed ? e.first_seen : null;
}

/** How long a stream may stand at nothing until it is called stalled, in milliseconds. */
export const STALLED_MS = 15_000;

export function streamWord(
  s: StreamObject,
  f: StreamFigures | undefined,
  zeroSince: number | undefined,
  at: number,
): StreamWord {
  if (s.status !== 'started') return 'ended';
  if (zeroSince !== undefined && at - zeroSince >= STALLED_MS) return 'stalled';
  if (f?.status === 'prebuf') return 'buffering';
  return s.found === true ? 'found' : 'playing';
}

export const isAway = (n: NodeObject): boolean => n.state === 'down' || n.state === 'unavailable';

/** Words of hosts of which nothing is heard: what they said last is not what is. */
const SILENT: readonly HostWord[] = ['away', 'down', 'stopped', 'suspect'];
export const isSilent = (h: { word: HostWord }): boolean => SILENT.includes(h.word);

/** A host that is heard, and whose node is not about to end. */
export const serves = (h: { word: HostWord }): boolean => !isSilent(h) && h.word !== 'stopping';

/** So many voters are needed for a leader. */
export const majority = (voters: number): number => Math.floor(voters / 2) + 1;

/** So many of the voters that serve now may fail, and the rest still suffices; negative without a majority. */
export const spare = (hosts: readonly { node: NodeObject; word: HostWord }[], voters: number): number =>
  hosts.filter((h) => h.node.role !== 'learner' && serves(h)).length - majority(voters);

/** Without a leader nobody places engines, so no host takes any and none is passed over. */
export function hostWord(n: NodeObject, f: NodeFigures | undefined, led: boolean): HostWord {
  if (n.state === 'unavailable') return 'away';
  // A node that said before that it stops is not silent by accident.
  if (n.state !== 'up') return n.state;
  if (f?.suspect === true) return 'suspect';
  if (n.availability === 'draining') return 'draining';
  if (n.availability === 'cordoned') return 'cordoned';
  if (n.docker === 'unavailable') return 'docker';
  if (!led) return 'answers';
  if (n.passed_over != null) return n.passed_over.code === 'full' ? 'full' : 'passed';
  return n.availability === 'active' ? 'takes' : 'unknown';
}

export function vpnWord(v: VpnObject): VpnWord {
  if (v.connected) return 'connected';
  if (v.health === 'starting') return 'starting';
  return v.health === 'unknown' ? 'unknown' : 'down';
}
