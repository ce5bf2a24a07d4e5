import { describe, expect, it } from 'vitest';
import {
  candidates,
  CONNECT_MS,
  initial,
  LASTING_MS,
  PAUSE_MAX_MS,
  SILENT_MS,
  step,
  type Effect,
  type FeedState,
  type Input,
  type Reason,
} from './machine';
import type { Frame, Hello } from './types';

const OWN = 'http://proxy:8000/';
const members = ['a', 'b', 'c'].map((n) => ({
  name: `node-${n}`,
  http: `10.0.0.1${n}:8000`,
  url: `http://10.0.0.1${n}:8000`,
}));
const base = (n: string) => `http://10.0.0.1${n}:8000/`;
const hello = (node: string, more: Partial<Hello> = {}): Frame => ({
  kind: 'hello',
  id: '5-2',
  data: {
    node,
    cluster_id: 'c',
    version: '1',
    revision: 5,
    event: 2,
    resumed: true,
    lost: 0,
    members,
    key_required: null,
    ...more,
  },
});
const snapshot: Frame = {
  kind: 'snapshot',
  data: {
    revision: 5,
    at: '',
    cluster: {} as never,
    nodes: members.map((m) => ({ name: m.name, http_address: m.http }) as never),
    engines: [],
    streams: [],
    vpns: [],
  },
};

const event = (id: number): Frame => ({ kind: 'event', id: `6-${id}`, data: { id } as never });

class Run {
  s: FeedState = initial(OWN);
  effects: Effect[] = [];
  now = 1000;

  do(i: Input): this {
    const [s, e] = step(this.s, i);
    this.s = s;
    this.effects = e;
    return this;
  }
  start() {
    return this.do({ type: 'start', now: this.now });
  }
  frame(frame: Frame, conn = this.s.conn) {
    return this.do({ type: 'frame', conn, now: this.now, wall: this.now, frame });
  }
  /** Live for long enough to count. */
  live(node = 'node-a') {
    return this.start().frame(hello(node)).frame(snapshot).piece(LASTING_MS);
  }
  /** A piece of a frame, some time later. */
  piece(after: number, conn = this.s.conn) {
    this.now += after;
    return this.do({ type: 'heard', conn, now: this.now });
  }
  closed(conn = this.s.conn, reason: Reason = { code: 'network' }) {
    return this.do({ type: 'closed', conn, now: this.now, reason });
  }
  tick(ms: number) {
    this.now += ms;
    return this.do({ type: 'tick', now: this.now });
  }
  /** All addresses of a round fail, and the pause behind it passes. */
  round(code: Reason['code']) {
    while (this.s.nextAt === null)
      if (code === 'timeout') this.tick(CONNECT_MS + 1);
      else this.closed(this.s.conn, { code });
    return this.tick(PAUSE_MAX_MS);
  }
  get place() {
    return this.effects.flatMap((e) => (e.type === 'connect' ? [e.lastId] : []));
  }
  get asked() {
    return this.effects.flatMap((e) => (e.type === 'connect' ? [e.base] : []));
  }
}

describe('the feed', () => {
  it('begins at the own origin and is live with the snapshot', () => {
    const r = new Run().start();
    expect(r.asked).toEqual([OWN]);
    expect(r.frame(hello('node-a')).s.phase).toBe('loading');
    expect(r.frame(snapshot).s).toMatchObject({ phase: 'live', node: 'node-a', lastId: '5-2', revision: 5 });
  });

  it('goes on at another member when its node dies, behind what it has', () => {
    const r = new Run().live();
    r.frame(event(3)).closed();
    expect(r.s.phase).toBe('stale');
    expect(r.effects).toContainEqual({ type: 'connect', conn: r.s.conn, base: base('b'), lastId: '6-3' });
    r.now += 700;
    r.frame(hello('node-b')).frame(snapshot);
    expect(r.s).toMatchObject({ phase: 'live', node: 'node-b', base: base('b') });
    expect(r.s.move).toMatchObject({ from: 'node-a', to: 'node-b', lost: 0 });
    expect(r.do({ type: 'dismiss' }).s.move).toBeNull();
  });

  it('takes silence for death, and a figure for life', () => {
    const r = new Run().live();
    r.tick(SILENT_MS - 100);
    expect(r.s.phase).toBe('live');
    r.frame({ kind: 'beat' }).tick(SILENT_MS - 100);
    expect(r.s.phase).toBe('live');
    r.tick(200);
    expect(r.s).toMatchObject({ phase: 'stale', reason: { code: 'silent' } });
    expect(r.asked).toEqual([base('b')]);
  });

  it('waits for a snapshot that comes slowly, and leaves one that stops coming', () => {
    const r = new Run().start().frame(hello('node-a'));
    for (let i = 0; i < 20; i++) expect(r.tick(1).piece(SILENT_MS - 100).effects).toEqual([]);
    expect(r.s).toMatchObject({ phase: 'loading', node: 'node-a', conn: 1, heardWall: 1000 });
    expect(r.tick(SILENT_MS + 1).s.reason).toEqual({ code: 'silent' });
    const other = r.s;
    expect(r.piece(1, 1).s).toBe(other);
    expect(r.piece(CONNECT_MS - 10).frame(snapshot).s.phase).toBe('live');
  });

  it('gives each address its time, then pauses between rounds', () => {
    const r = new Run().live().closed();
    const tried = [...r.asked];
    for (let i = 0; i < 3; i++) tried.push(...r.tick(CONNECT_MS + 1).asked);
    expect(tried).toEqual([base('b'), base('c'), OWN, base('a')]);
    r.tick(CONNECT_MS + 1);
    expect(r.asked).toEqual([]);
    expect(r.s.nextAt).not.toBeNull();
    expect(r.tick(PAUSE_MAX_MS).asked).toEqual([base('b')]);
    expect(r.s.phase).toBe('stale');
  });

  it('pauses, too, between connections that end as soon as they have greeted', () => {
    const r = new Run().start();
    let [asked, pauses] = [0, 0];
    for (let i = 0; i < 40; i++) {
      r.frame(hello('node-a')).closed();
      asked += r.asked.length;
      if (r.s.nextAt === null) continue;
      pauses++;
      asked += r.tick(r.s.nextAt - r.now).asked.length;
    }
    expect([asked, pauses]).toEqual([40, 10]);
    r.frame(hello('node-b')).frame(snapshot).piece(LASTING_MS).closed();
    expect(r.s).toMatchObject({ round: 0, tried: [base('c')] });
  });

  it('does not listen to a connection that was given up', () => {
    const r = new Run().live();
    const old = r.s.conn;
    r.closed();
    const before = r.s;
    expect(r.frame(hello('node-z'), old).s).toBe(before);
    expect(r.closed(old).s).toBe(before);
  });

  it('leaves a node that says goodbye', () => {
    const r = new Run().live().frame({ kind: 'bye', data: { reason: 'stopping' } });
    expect(r.s).toMatchObject({ phase: 'stale', reason: { code: 'stopping' } });
    expect(r.asked).toHaveLength(1);
  });

  it('says an error when there have never been data, and tries again', () => {
    const r = new Run().start().closed();
    expect(r.s.phase).toBe('error');
    expect(r.tick(PAUSE_MAX_MS).asked).toEqual([OWN]);
    expect(r.frame(hello('node-a')).frame(snapshot).s.phase).toBe('live');
  });

  it('knows members that joined or left while it was live', () => {
    const node = (name: string, http_address: string | null): Frame => ({
      kind: 'change',
      data: {
        revision: 6,
        type: 'node',
        key: name,
        object: http_address === null ? null : ({ name, http_address } as never),
      },
    });
    const r = new Run().live();
    const before = r.s.members;
    expect(r.frame(node('node-b', '10.0.0.1b:8000')).s.members).toBe(before);
    r.frame(node('node-d', '10.0.0.1d:8000')).frame(node('node-b', null)).frame(node('node-c', '10.0.0.9:80'));
    expect(r.s.members.map((m) => m.base)).toEqual([base('a'), 'http://10.0.0.9:80/', base('d')]);
  });

  it('asks no plain addresses from a page that came over TLS', () => {
    const r = new Run();
    r.s = initial('https://panel.example/acefleet/');
    r.live();
    expect(candidates(r.s)).toEqual(['https://panel.example/acefleet/']);
  });

  it('goes on at members with TLS, from either page', () => {
    for (const own of ['https://10.0.0.1a:8000/', OWN]) {
      const r = new Run();
      r.s = initial(own);
      r.live();
      const url = 'https://10.0.0.1d:8000';
      const object = { name: 'node-d', http_address: '10.0.0.1d:8000', url } as never;
      r.frame({ kind: 'change', data: { revision: 6, type: 'node', key: 'node-d', object } });
      expect(candidates(r.s)).toContain(`${url}/`);
    }
  });

  it('rests while nobody looks, and resumes', () => {
    const r = new Run().live().do({ type: 'rest', now: 0 });
    expect(r.effects).toEqual([{ type: 'abort' }]);
    expect(r.tick(60_000).s.phase).toBe('resting');
    r.do({ type: 'wake', now: r.now });
    expect(r.effects).toContainEqual({ type: 'connect', conn: r.s.conn, base: OWN, lastId: '5-2' });
  });

  it('does not know what is missing in another cluster', () => {
    const r = new Run()
      .live()
      .closed()
      .frame(hello('node-b', { resumed: false, lost: null }));
    expect(r.s.move?.lost).toBeNull();
  });

  it('goes on behind the place of whatever frame has one', () => {
    const figures: Frame = { kind: 'figures', id: '9-3', data: { revision: 9 } as never };
    expect(new Run().live().frame(event(3)).frame(figures).closed().place).toEqual(['9-3']);
  });

  it.each(['behind', 'timeout'] as const)('begins anew when nobody takes the place (%s)', (code) => {
    const r = new Run().live().frame(event(7)).closed();
    expect(r.place).toEqual(['6-7']);
    expect(r.round(code).place).toEqual([null]);
    expect(r.s.phase).toBe('stale');
    r.frame(hello('node-b', { cluster_id: 'other', revision: 1, event: 0, resumed: false, lost: null })).frame(
      snapshot,
    );
    expect(r.s).toMatchObject({ phase: 'live', lastId: '5-2', event: 0, move: { lost: null } });
    expect(r.closed().place).toEqual(['5-2']);
  });

  it('keeps its place while nobody can be reached', () => {
    const r = new Run().live().closed();
    for (let i = 0; i < 5; i++) expect(r.round('network').place).toEqual(['5-2']);
  });

  it.each([
    ['none', { revision: 9, event: 4 }, 0],
    ['those between', { revision: 9, event: 17 }, 10],
    ['nobody knows in what was brought back', { revision: 1, event: 4 }, null],
  ])('counts what is missing when it began anew: %s', (_, more, lost) => {
    const r = new Run().live().frame(event(7)).closed().round('behind');
    expect(r.frame(hello('node-b', { ...more, resumed: false, lost: null })).s.move).toMatchObject({ lost });
  });
});
