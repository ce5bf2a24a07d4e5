import { describe, expect, it } from 'vitest';
import type { NodeFigures, NodeObject } from '../feed/types';
import { hostWord, serves } from './status';

const node = (more: Partial<NodeObject> = {}): NodeObject =>
  ({
    state: 'up',
    docker: 'available',
    availability: 'active',
    passed_over: null,
    ...more,
  }) as NodeObject;
const figures = (suspect: boolean): NodeFigures => ({ suspect, last_contact_ms: 0, applied_index: 1, outbox: 0 });

describe('a host', () => {
  it('whose node was told to stop is stopping, and stopped when it reports no more', () => {
    const passed_over = { code: 'stopping', message: 'is being stopped' };
    const word = (state: NodeObject['state'], silent: boolean) =>
      hostWord(node({ state, passed_over }), figures(silent));
    expect([word('stopping', false), word('stopping', true), word('stopped', true)]).toEqual([
      'stopping',
      'stopping',
      'stopped',
    ]);
  });
  it('that is silent without a word is suspect', () => {
    expect(hostWord(node(), figures(true))).toBe('suspect');
  });
  it('that is away or down is no more than that', () => {
    expect(hostWord(node({ state: 'unavailable' }), figures(true))).toBe('away');
    expect(hostWord(node({ state: 'down' }), figures(true))).toBe('down');
  });
  it('serves unless its node is out, for whatever reason', () => {
    expect(serves({ word: 'draining' })).toBe(true);
    for (const word of ['stopping', 'stopped', 'suspect', 'away', 'down'] as const)
      expect(serves({ word })).toBe(false);
  });
});
