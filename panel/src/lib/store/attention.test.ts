import { describe, expect, it } from 'vitest';
import type { ClusterObject, NodeObject } from '../feed/types';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { attention, type Picture } from './attention';
import type { HostRow } from './rows';
import { hostWord } from './status';

const cluster = {
  voters: 3,
  left_behind: [],
  provisioning: { circuit_breaker_state: 'closed', replacement_breaker_state: 'closed', blocked_reasons: [] },
} as unknown as ClusterObject;

function host(key: string, more: Partial<NodeObject> = {}, silentMs = 0): HostRow {
  const node = { name: key, state: 'up', docker: 'available', availability: 'active', passed_over: null, ...more };
  const figures = { last_contact_ms: silentMs, suspect: silentMs > 3000, applied_index: 1, outbox: 0 };
  const word = hostWord(node as NodeObject, figures, true);
  return { key, node: node as NodeObject, figures, word, tone: 'ok', leads: false, engines: 0 };
}

const picture = (hosts: HostRow[], more: Partial<Picture> = {}): Picture => ({
  cluster,
  leader: 'a',
  hosts,
  engines: [],
  vpns: [],
  streams: [],
  events: [],
  ...more,
});
const kinds = (p: Picture) => attention(p).map((x) => x.key);

describe('a slow disk', () => {
  const slow = { fsync_p99_ms: 94, slow_disk: true };
  it('needs attention', () => expect(kinds(picture([host('a', slow)]))).toEqual(['disk/a']));
  it('is no problem of a host that is not heard, as nobody knows how it is now', () => {
    const hosts = [
      host('a', { ...slow, state: 'stopped' }),
      host('b', { ...slow, state: 'down' }),
      host('c', slow, 5000),
    ];
    expect(kinds(picture(hosts)).filter((k) => k.startsWith('disk'))).toEqual([]);
  });
});

describe('no leader', () => {
  it('says how many voters are heard, and how many are needed', () => {
    const hosts = [host('a'), host('b', {}, 5000), host('c', { role: 'learner' })];
    const [found] = attention(picture(hosts, { leader: null }));
    expect(found).toMatchObject({ kind: 'no_leader', answering: 1, voters: 3, needed: 2 });
  });
  it('hides reasons of a leader that is gone', () => {
    const blocked_reasons = [{ code: 'no_host', message: 'no host: b does not answer the leader' }];
    const c = { ...cluster, provisioning: { ...cluster.provisioning, blocked_reasons } } as ClusterObject;
    expect(kinds(picture([host('a')], { cluster: c }))).toEqual(['blocked/no_host']);
    expect(kinds(picture([host('a')], { cluster: c, leader: null }))).toEqual(['no_leader']);
  });
  it('has a word for one that lasts although enough are heard', () => {
    for (const w of [en, es]) expect(w.attention.no_leaderWhy(3, 3, 2)).not.toBe(w.attention.no_leaderWhy(1, 3, 2));
    expect(en.shell.noLeaderHead(1, 3, 2)).toBe('No leader: 1 of 3 answers, 2 are needed.');
  });
});
