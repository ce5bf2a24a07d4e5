import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../../lib/feed/types';
import { reigns } from './leaders';

const NOW = Date.parse('2026-01-10T12:00:00Z');
const HOUR = 3_600_000;

const elected = (hoursAgo: number, details: LogEvent['details']): LogEvent => ({
  id: 100 - hoursAgo,
  timestamp: new Date(NOW - hoursAgo * HOUR).toISOString(),
  event_type: 'system',
  category: 'leader_changed',
  message: 'node 7 leads since term 99',
  details,
  container_id: null,
  stream_id: null,
  by: null,
});

describe('leaders of the last day', () => {
  it('have the term that the details of their election name', () => {
    const list = reigns([elected(12, { node: 'a', term: 3 }), elected(6, { node: 'b', term: 4 })], NOW, 'b', 4);
    expect(list).toEqual([
      { node: '', term: null, from: 0, to: 0.5 },
      { node: 'a', term: 3, from: 0.5, to: 0.75 },
      { node: 'b', term: 4, from: 0.75, to: 1 },
    ]);
  });

  it('have no term where their election was written without one', () => {
    expect(reigns([elected(24, { node: 'a' })], NOW, 'a', 3)).toEqual([{ node: 'a', term: null, from: 0, to: 1 }]);
  });
});
