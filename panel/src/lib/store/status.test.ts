import { describe, expect, it } from 'vitest';
import type { NodeFigures, NodeObject } from '../feed/types';
import { hostWord, serves } from './status';

const node = (more: Partial<NodeObject> = {}): NodeObject =>
  ({
    docker: 'available',
    availability: 'active',
    unavailable_since: null,
    down_since: null,
    passed_over: null,
    ...more,
  }) as NodeObject;
const figures = (suspect: boolean): NodeFigures => ({ suspect, last_contact_ms: 0, applied_index: 1, outbox: 0 });

describe('a host', () => {
  it('whose node was told to stop is stopping, and stopped when it reports no more', () => {
    const n = node({ docker: 'stopping', passed_over: { code: 'stopping', message: 'is being stopped' } });
    expect([hostWord(n, figures(false)), hostWord(n, figures(true))]).toEqual(['stopping', 'stopped']);
  });
  it('that is silent without a word is suspect', () => {
    expect(hostWord(node(), figures(true))).toBe('suspect');
  });
  it('that is away or down is no more than that, also when it had been stopped', () => {
    expect(hostWord(node({ docker: 'stopping', unavailable_since: 'x' }), figures(true))).toBe('away');
    expect(hostWord(node({ docker: 'stopping', down_since: 'x' }), figures(true))).toBe('down');
  });
  it('serves unless its node is out, for whatever reason', () => {
    expect(serves({ word: 'draining' })).toBe(true);
    for (const word of ['stopping', 'stopped', 'suspect', 'away', 'down'] as const)
      expect(serves({ word })).toBe(false);
  });
});
