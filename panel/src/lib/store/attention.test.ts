import { describe, expect, it } from 'vitest';
import type { ClusterObject, NodeObject } from '../feed/types';
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
  const word = hostWord(node as NodeObject, figures);
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
  const slow = { fsync_p99_ms: 94 };
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
