/**
 * Where the page gets its data from, as a pure state machine.
 *
 * Times are milliseconds of a clock that only goes forward; the caller passes them in. Effects say what the thin
 * part around it has to do. A connection has a number, so that late news of an old one are ignored.
 */
import type { Bye, Change, Frame, Hello, NodeObject } from './types';

/** Silence after which a node is taken for gone: it sends something at least once a second. */
export const SILENT_MS = 2000;
/** Time that one address gets to answer before the next one is tried. */
export const CONNECT_MS = 1500;
/** Longest pause between two rounds through all addresses. */
export const PAUSE_MAX_MS = 3000;

/** A connection that ended sooner counts as an attempt that failed: what a node does again and again needs pauses. */
export const LASTING_MS = 5000;

/** Why a connection ended; `detail` is what the other side said, for people to read. */
export interface Reason {
  code: 'silent' | 'timeout' | 'network' | 'status' | 'behind' | 'unreadable' | Bye['reason'] | 'ended';
  status?: number;
  detail?: string;
}

export type Phase = 'loading' | 'live' | 'stale' | 'error' | 'resting';

/** The last resumption: which node was left, which one took over, how long it took, what is missing. */
export interface Move {
  from: string;
  to: string;
  /** When the data stopped and when they went on, on the wall clock of the browser. */
  leftAt: number;
  backAt: number;
  /** Events in between that did not come; null when that is not known. */
  lost: number | null;
  revision: number;
}

export interface FeedState {
  phase: Phase;
  /** Number of the connection that counts. */
  conn: number;
  open: boolean;
  /** Base addresses to try, each with a slash at the end; the page's own origin is `own`. */
  own: string;
  members: { name: string; base: string }[];
  /** The address that is asked now, and the name of the node there when it is known. */
  base: string;
  node: string | null;
  clusterId: string | null;
  version: string | null;
  /** Where the feed goes on. */
  lastId: string | null;
  /** The place that this connection asked for; null when it begins anew. */
  asked: string | null;
  /** Somebody did not take the place in this round, or did not say so in time. */
  doubted: boolean;
  /** Number of the newest event. */
  event: number;
  revision: number;
  /** When something was heard last, if a part of a frame; 0 before. */
  heardAt: number;
  /** When the last whole frame came, on the wall clock, for people. */
  heardWall: number;
  /** When the connection that is being made was begun. */
  triedAt: number;
  /** When the node of this connection greeted; null before. */
  greetedAt: number | null;
  /** Addresses that were tried in this round, in order. */
  tried: string[];
  /** Rounds through all addresses without a connection that lasted. */
  round: number;
  /** When the next attempt is due; null while one is under way. */
  nextAt: number | null;
  /** Why the last connection ended. */
  reason: Reason | null;
  move: Move | null;
  /** There are data to show, if old ones. */
  hasSnapshot: boolean;
}

export type Input =
  | { type: 'start'; now: number }
  /** Bytes came, if no whole frame yet. */
  | { type: 'heard'; conn: number; now: number }
  | { type: 'frame'; conn: number; now: number; wall: number; frame: Frame }
  | { type: 'closed'; conn: number; now: number; reason: Reason }
  | { type: 'tick'; now: number }
  | { type: 'rest'; now: number }
  | { type: 'wake'; now: number }
  | { type: 'use'; now: number; base: string }
  | { type: 'dismiss' };

export type Effect = { type: 'connect'; conn: number; base: string; lastId: string | null } | { type: 'abort' };

export function initial(own: string): FeedState {
  return {
    phase: 'loading',
    conn: 0,
    open: false,
    own,
    members: [],
    base: own,
    node: null,
    clusterId: null,
    version: null,
    lastId: null,
    asked: null,
    doubted: false,
    event: 0,
    revision: 0,
    heardAt: 0,
    heardWall: 0,
    triedAt: 0,
    greetedAt: null,
    tried: [],
    round: 0,
    nextAt: null,
    reason: null,
    move: null,
    hasSnapshot: false,
  };
}

/** Goes on by one input; gives the next state and what is to be done, in order. */
export function step(s: FeedState, input: Input): [FeedState, Effect[]] {
  switch (input.type) {
    case 'start':
      return connect(s, s.own, input.now);
    case 'heard':
      return input.conn === s.conn ? [{ ...s, open: true, heardAt: input.now }, []] : [s, []];
    case 'frame':
      return input.conn === s.conn ? take(s, input.frame, input.now, input.wall) : [s, []];
    case 'closed':
      return input.conn === s.conn && s.phase !== 'resting' ? broken(s, input.reason, input.now) : [s, []];
    case 'tick':
      return tick(s, input.now);
    case 'rest':
      return s.phase === 'resting'
        ? [s, []]
        : [{ ...s, phase: 'resting', conn: s.conn + 1, open: false }, [{ type: 'abort' }]];
    case 'wake': {
      if (s.phase !== 'resting') return [s, []];
      const phase = s.hasSnapshot ? 'stale' : 'loading';
      return connect({ ...s, phase, tried: [], round: 0 }, s.base, input.now);
    }
    case 'use': {
      const [next, effects] = connect({ ...s, tried: [], round: 0, open: false }, input.base, input.now);
      return [next, [{ type: 'abort' }, ...effects]];
    }
    case 'dismiss':
      return [{ ...s, move: null }, []];
  }
}

function connect(s: FeedState, base: string, now: number): [FeedState, Effect[]] {
  const conn = s.conn + 1;
  const asked = s.doubted && s.round > 0 ? null : s.lastId;
  const next = {
    ...s,
    conn,
    base,
    asked,
    open: false,
    triedAt: now,
    greetedAt: null,
    nextAt: null,
    tried: [...s.tried, base],
  };
  return [next, [{ type: 'connect', conn, base, lastId: asked }]];
}

function take(s: FeedState, frame: Frame, now: number, wall: number): [FeedState, Effect[]] {
  const at = { ...s, open: true, heardAt: now, heardWall: wall, lastId: frame.id ?? s.lastId };
  switch (frame.kind) {
    case 'hello':
      return [{ ...greet(at, frame.data, wall, s), greetedAt: now }, []];
    case 'snapshot':
      return [
        {
          ...at,
          revision: frame.data.revision,
          members: reachable(s, frame.data.nodes.map(addressed)),
          hasSnapshot: true,
          phase: 'live',
        },
        [],
      ];
    case 'change':
      return [{ ...at, revision: frame.data.revision, members: changed(s, frame.data) }, []];
    case 'event':
      return [{ ...at, event: Math.max(s.event, frame.data.id) }, []];
    case 'figures':
      return [{ ...at, revision: Math.max(s.revision, frame.data.revision) }, []];
    case 'beat':
      return [at, []];
    case 'bye':
      return broken(at, { code: frame.data.reason }, now);
  }
}

/** A page that came over TLS may not ask plain addresses: it goes on at those with TLS, or where it came from. */
function reachable(s: FeedState, members: readonly Member[]): FeedState['members'] {
  const plain = s.own.startsWith('http:');
  return members.flatMap(({ name, url, http }) => {
    // Nodes of earlier versions say no URL, and have no TLS.
    const at = url ?? (http && `http://${http}`);
    return at && (plain || at.startsWith('https:')) ? [{ name, base: `${at}/` }] : [];
  });
}

interface Member {
  name: string;
  url?: string | null;
  http?: string | null;
}

const addressed = (n: NodeObject): Member => ({ name: n.name, url: n.url, http: n.http_address });

/** Members after a change: some join and leave while a connection lasts. */
function changed(s: FeedState, c: Change): FeedState['members'] {
  if (c.type !== 'node') return s.members;
  const now = c.object === null ? [] : reachable(s, [addressed(c.object)]);
  const at = s.members.findIndex((m) => m.name === c.key);
  if (at >= 0 && s.members[at]?.base === now[0]?.base) return s.members;
  return at < 0 ? [...s.members, ...now] : s.members.toSpliced(at, 1, ...now);
}

function greet(at: FeedState, hello: Hello, wall: number, before: FeedState): FeedState {
  const members = reachable(before, hello.members);
  const lost = before.asked === null ? missed(before, hello) : hello.resumed ? hello.lost : null;
  const known = before.node !== null && before.heardWall > 0;
  // A snapshot follows each greeting, so data of another cluster never stay on the screen.
  const move: Move | null = known
    ? {
        from: before.node ?? '',
        to: hello.node,
        leftAt: before.heardWall,
        backAt: wall,
        lost,
        revision: before.revision,
      }
    : at.move;
  return {
    ...at,
    members,
    node: hello.node,
    clusterId: hello.cluster_id,
    version: hello.version,
    event: lost === null ? hello.event : Math.max(before.event, hello.event),
    revision: hello.revision,
    doubted: false,
    move,
    reason: null,
    phase: at.hasSnapshot ? 'live' : at.phase,
  };
}

/** Events that a node leaves out that was asked for no place; null when it knows less than was known, or is of another cluster. */
const missed = (before: FeedState, hello: Hello): number | null =>
  hello.cluster_id !== before.clusterId || hello.revision < before.revision
    ? null
    : Math.max(0, hello.event - before.event);

/** The connection is gone: the next address follows at once, after a whole round there is a pause. */
function broken(s: FeedState, reason: Reason, now: number): [FeedState, Effect[]] {
  const phase: Phase = s.hasSnapshot ? 'stale' : s.round > 0 || !s.open ? 'error' : 'loading';
  const lasted = s.greetedAt !== null && now - s.greetedAt >= LASTING_MS;
  const base: FeedState = { ...s, phase, open: false, reason, ...(lasted && { tried: [], round: 0 }) };
  // A node that is behind waits for the place longer than it is given here. When a whole round did not find one that has
  // the place, it may be of a log that is gone, as when a backup was put back: then the feed begins anew.
  base.doubted ||= s.asked !== null && (reason.code === 'behind' || reason.code === 'timeout');
  const next = candidates(s).find((c) => !base.tried.includes(c));
  if (next !== undefined) {
    const [st, effects] = connect(base, next, now);
    return [st, [{ type: 'abort' }, ...effects]];
  }
  const pause = Math.min(PAUSE_MAX_MS, 250 * 2 ** Math.min(base.round, 5));
  return [{ ...base, conn: s.conn + 1, tried: [], round: base.round + 1, nextAt: now + pause }, [{ type: 'abort' }]];
}

function tick(s: FeedState, now: number): [FeedState, Effect[]] {
  if (s.phase === 'resting') return [s, []];
  if (s.nextAt !== null) {
    const first = candidates(s)[0] ?? s.own;
    return now >= s.nextAt ? connect(s, first, now) : [s, []];
  }
  if (s.conn === 0) return [s, []];
  if (s.open && now - s.heardAt > SILENT_MS) return broken(s, { code: 'silent' }, now);
  if (!s.open && now - s.triedAt > CONNECT_MS) return broken(s, { code: 'timeout' }, now);
  return [s, []];
}

/** Addresses in the order to be tried: the other members, the page's own origin, and last the node that failed. */
export function candidates(s: FeedState): string[] {
  // A node has two addresses, its own and perhaps the page's: the name tells that they are one.
  const at = s.members.findIndex((m) => m.base === s.base || m.name === s.node);
  const around = [...s.members.slice(at + 1), ...s.members.slice(0, Math.max(0, at))];
  const last = at < 0 ? [] : s.members.slice(at, at + 1);
  return [...new Set([...around.map((m) => m.base), s.own, ...last.map((m) => m.base), s.base])];
}
