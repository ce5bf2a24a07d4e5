/** Which news about the connection take the place of the health sentence. */
import type { FeedState } from '../feed/machine';

export type Banner =
  | { kind: 'stale'; node: string; since: number; next: string | null }
  | { kind: 'moved'; from: string; to: string; tookMs: number; lost: number | null }
  | { kind: 'no_leader' }
  | null;

/** The first that holds counts: without data, what they say of a leader is old. */
export function banner(s: FeedState, leader: string | null, ready: boolean): Banner {
  if (!ready) return null;
  if (s.phase === 'stale' || s.phase === 'error') {
    const next = s.members.find((m) => m.base === s.base)?.name ?? null;
    return { kind: 'stale', node: s.node ?? '', since: s.heardWall, next: next === s.node ? null : next };
  }
  if (leader === null) return { kind: 'no_leader' };
  if (s.move !== null && s.move.from !== s.move.to) {
    return {
      kind: 'moved',
      from: s.move.from,
      to: s.move.to,
      tookMs: s.move.backAt - s.move.leftAt,
      lost: s.move.lost,
    };
  }
  return null;
}
