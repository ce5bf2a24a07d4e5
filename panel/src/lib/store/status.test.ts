import { describe, expect, it } from 'vitest';
import { decode } from '../feed/decode';
import type { EngineObject, NodeFigures, NodeObject } from '../feed/types';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { engineWord, hostWord, isAway, isSilent, serves } from './status';

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
      hostWord(node({ state, passed_over }), figures(silent), true);
    expect([word('stopping', false), word('stopping', true), word('stopped', true)]).toEqual([
      'stopping',
      'stopping',
      'stopped',
    ]);
  });
  it('that is silent without a word is suspect', () => {
    expect(hostWord(node(), figures(true), true)).toBe('suspect');
  });
  it('takes no engines and is passed over by nobody without a leader', () => {
    const passed_over = { code: 'unresponsive', message: 'does not answer the leader' } as const;
    expect([
      hostWord(node({ passed_over }), figures(false), true),
      hostWord(node({ passed_over }), figures(false), false),
    ]).toEqual(['passed', 'answers']);
  });
  it('that is away or down is no more than that', () => {
    expect(hostWord(node({ state: 'unavailable' }), figures(true), true)).toBe('away');
    expect(hostWord(node({ state: 'down' }), figures(true), true)).toBe('down');
  });
  it('has a word in each language, also where its node is of another version', () => {
    /** As the page gets it; `state` undefined is what the earlier version sends. */
    const sent = (more: object): NodeObject => {
      const object = { ...node(), state: undefined, ...more };
      const f = decode({ event: 'change', id: null, data: JSON.stringify({ type: 'node', key: 'a', object }) });
      if (f?.kind !== 'change' || f.data.type !== 'node' || f.data.object === null) throw new Error('no node');
      return f.data.object;
    };
    const since = '2026-01-10T12:00:00Z';
    const nodes = [{}, { unavailable_since: since }, { down_since: since }, { state: 'asleep' }].map(sent);
    const words = nodes.map((n) => hostWord(n, figures(false), true));
    expect(words).toEqual(['takes', 'away', 'down', 'unknown']);
    expect(nodes.map(isAway)).toEqual([false, true, true, false]);
    expect(words.map((word) => serves({ word }))).toEqual([true, false, false, true]);
    for (const t of [en, es]) for (const word of words) expect(t.host[word]).toMatch(/\p{L}/u);
  });
  it('serves unless its node is out, for whatever reason', () => {
    expect(serves({ word: 'draining' })).toBe(true);
    for (const word of ['stopping', 'stopped', 'suspect', 'away', 'down'] as const)
      expect(serves({ word })).toBe(false);
  });
  it('is heard while its node stops, and not behind that', () => {
    expect(isSilent({ word: 'stopping' })).toBe(false);
    for (const word of ['stopped', 'suspect', 'away', 'down'] as const) expect(isSilent({ word })).toBe(true);
  });
});

describe('an engine whose health nobody knows', () => {
  const engine = (listed: boolean) => ({ phase: 'running', health_status: 'unknown', listed }) as EngineObject;
  it('starts until it has answered, and is unknown when its host falls silent', () => {
    const word = (listed: boolean) => engineWord(engine(listed), node({ state: 'stopped' }), undefined, false);
    expect([word(false), word(true)]).toEqual(['starting', 'unknown']);
  });
});
