import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../../lib/feed/types';
import { changes, pieces, reigns } from './leaders';

const NOW = Date.parse('2026-01-10T12:00:00Z');
const HOUR = 3_600_000;

const elected = (hoursAgo: number, details: LogEvent['details'], message = 'node 7 leads since term 99'): LogEvent => ({
  id: 100 - hoursAgo,
  timestamp: new Date(NOW - hoursAgo * HOUR).toISOString(),
  event_type: 'system',
  category: 'leader_changed',
  message,
  details,
  container_id: null,
  stream_id: null,
  by: null,
});

describe('leaders of the last day', () => {
  it('have the term that the details of their election name', () => {
    const list = reigns([elected(12, { node: 'a', term: 3 }), elected(6, { node: 'b', term: 4 })], NOW, 'b', 4);
    expect(list).toMatchObject({ start: NOW - 24 * HOUR, formed: false });
    expect(list.list).toEqual([
      { node: '', term: null, from: 0, to: 0.5 },
      { node: 'a', term: 3, from: 0.5, to: 0.75 },
      { node: 'b', term: 4, from: 0.75, to: 1 },
    ]);
  });

  it('begin when the cluster was formed, so that those of a new one have room', () => {
    const r = reigns([elected(2, { node: 'a', term: 1 }), elected(1, { node: 'b', term: 2 })], NOW, 'b', 2);
    expect(r).toMatchObject({ start: NOW - 2 * HOUR, formed: true });
    expect(r.list.map((x) => [x.node, x.from, x.to])).toEqual([
      ['a', 0, 0.5],
      ['b', 0.5, 1],
    ]);
  });

  it('change when another member leads: not with the first one, and not with one that is elected again', () => {
    const terms = (...leaders: LogEvent['details'][]) =>
      changes(leaders.map((d, i) => elected(9 - i, { ...d, term: i + 1 }, 'in words of another version'))).map(
        (e) => e.details.term,
      );
    const reason = 'unknown';
    const [a, b] = [{ node: 'a' }, { node: 'b' }];
    expect(terms(a, { ...b, reason }, { ...b, reason }, { ...a, reason })).toEqual([2, 4]);
    // The earlier version gives no reasons.
    expect(terms(a, b, b, a)).toEqual([2, 4]);
    // The log has a leader before, which the page does not know.
    expect(terms({ ...a, reason }, b)).toEqual([1, 2]);
    // The names of members that were removed are gone.
    expect(terms({}, {}, { reason }, { ...a, reason })).toEqual([3, 4]);
  });

  it('have as much of a label as there is room for', () => {
    const list = [
      { node: 'node-a', term: 14, from: 0, to: 0.97 },
      { node: 'node-b', term: 15, from: 0.97, to: 1 },
    ];
    const texts = (width: number) => pieces(list, width).map((p) => p.text);
    expect(texts(3000)).toEqual(['node-a · 14', 'node-b · 15']);
    expect(texts(600)).toEqual(['node-a · 14', 'node-b']);
    expect(texts(150)).toEqual(['node-a · 14', '']);
  });

  it('have no term where their election was written without one', () => {
    expect(reigns([elected(24, { node: 'a' })], NOW, 'a', 3).list).toEqual([{ node: 'a', term: null, from: 0, to: 1 }]);
  });
});
