import { describe, expect, it } from 'vitest';
import { BadFrame, decode } from './decode';

describe('frames of a node', () => {
  it('have a position if they are events or the greeting', () => {
    expect(decode({ event: 'event', id: '7-3', data: '{}' })).toEqual({ kind: 'event', id: '7-3', data: {} });
    expect(() => decode({ event: 'event', id: null, data: '{}' })).toThrow(BadFrame);
    expect(() => decode({ event: 'hello', id: null, data: '{}' })).toThrow(BadFrame);
  });

  it('have positions that only nodes can read', () => {
    expect(decode({ event: 'hello', id: 'c0ffee-7-3', data: '{}' })).toMatchObject({ id: 'c0ffee-7-3' });
    expect(decode({ event: 'figures', id: '8-3', data: '{}' })).toEqual({ kind: 'figures', id: '8-3', data: {} });
  });

  it('say whether calls need the key, or that nobody knows it', () => {
    for (const [data, key_required] of [
      ['{"key_required":false}', false],
      ['{"key_required":true}', true],
      ['{}', null],
    ])
      expect(decode({ event: 'hello', id: '7-3', data: String(data) })).toMatchObject({ data: { key_required } });
  });

  it('are taken without one if they are changes', () => {
    expect(decode({ event: 'change', id: null, data: '{}' })).toEqual({ kind: 'change', data: {} });
  });

  it('say what became of a node, whatever their version', () => {
    const time = '2026-01-10T12:00:00Z';
    const records: [record: object, state: string][] = [
      [{ state: 'stopped', down_since: time }, 'stopped'],
      [{ state: 'asleep' }, 'unknown'],
      [{ state: 'toString' }, 'unknown'],
      [{ down_since: null, unavailable_since: null }, 'up'],
      [{}, 'up'],
      [{ down_since: null, unavailable_since: time }, 'unavailable'],
      [{ down_since: time, unavailable_since: time }, 'down'],
    ];
    for (const [object, state] of records) {
      const change = { revision: 1, type: 'node', key: 'a', object };
      const as = JSON.stringify(object);
      expect(decode({ event: 'change', id: null, data: JSON.stringify(change) }), as).toMatchObject({
        data: { object: { state } },
      });
      expect(decode({ event: 'snapshot', id: null, data: JSON.stringify({ nodes: [object] }) }), as).toMatchObject({
        data: { nodes: [{ state }] },
      });
    }
    const gone = { revision: 1, type: 'node', key: 'a', object: null };
    expect(decode({ event: 'change', id: null, data: JSON.stringify(gone) })).toMatchObject({ data: { object: null } });
  });

  it('of names that are not known yet are passed over', () => {
    expect(decode({ event: 'later', id: null, data: 'x' })).toBeNull();
  });
});
