import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../../lib/feed/types';
import { en } from '../../lib/i18n/en';
import { es } from '../../lib/i18n/es';
import { marks } from './activity';

const FROM = Date.parse('2026-03-02T19:00:00Z');
/** So wide is the chart, in pixels: 15 letters take six minutes of the hour. */
const WIDE = 1000;

const leads = (minute: number, node: string, term: number): LogEvent => ({
  id: term,
  timestamp: new Date(FROM + minute * 60_000).toISOString(),
  event_type: 'system',
  category: 'leader_changed',
  message: `${node} leads since term ${term}`,
  details: { node, term },
  container_id: null,
  stream_id: null,
  by: null,
});
const texts = (events: LogEvent[], w = en, width = WIDE) => marks(events, FROM, w, width).map((m) => m.text);

describe('marks of the hour', () => {
  it('name each leader', () => {
    const events = [leads(5, 'node-a', 1), leads(20, 'node-b', 2), leads(40, 'node-c', 3)];
    expect(texts(events)).toEqual(['node-a leads', 'node-b leads', 'node-c leads']);
    expect(texts(events, es)).toEqual(['lidera node-a', 'lidera node-b', 'lidera node-c']);
  });
  it('are shorter where the next one needs the room', () => {
    expect(texts([leads(3, 'node-a', 1), leads(7, 'node-b', 2), leads(30, 'node-c', 3)])).toEqual([
      'node-a',
      'node-b leads',
      'node-c leads',
    ]);
  });
  it('are empty where they would cover another', () => {
    expect(texts([leads(3, 'node-a', 1), leads(6, 'node-b', 2), leads(20, 'node-c', 3)], en, 500)).toEqual([
      'node-a',
      '',
      'node-c leads',
    ]);
  });
  it('stand before their mark at the end of the hour', () => {
    expect(marks([leads(58, 'node-a', 1)], FROM, en, WIDE)).toMatchObject([{ text: 'node-a leads', before: true }]);
  });
  it('of leaders that follow at once show the last of them', () => {
    expect(texts([leads(5, 'node-a', 1), leads(5.5, 'node-b', 2)])).toEqual(['node-b leads']);
  });
});
