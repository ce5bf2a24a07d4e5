/** What the page of events lists: events, and where the feed was away. */
import type { LogEvent } from '../../lib/feed/types';
import type { Words } from '../../lib/i18n/en';
import { told } from '../../lib/told/told';
import type { Break } from '../../lib/store/tables';

export interface Gap {
  gap: Break;
  key: string;
}

/** Events stand for themselves: in objects made anew they would be drawn anew. */
export type Item = LogEvent | Gap;

/** Who asked for it: somebody through the API, be it a person or a proxy, or nobody. */
export type Who = 'all' | 'api' | 'automatic';

/** Events that fit the filters, newest first. `events` come oldest first. */
export function select(events: readonly LogEvent[], q: string, who: Who, type: string, w: Words): LogEvent[] {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const out: LogEvent[] = [];
  for (let i = events.length - 1; i >= 0; i--) {
    const e = events[i];
    if (e === undefined || (type !== '' && e.event_type !== type)) continue;
    if (who === 'api' ? !e.by : who === 'automatic' ? !!e.by : false) continue;
    if (words.length > 0) {
      const text =
        `${told(e, w)} ${e.message} ${e.category} ${e.by?.name ?? ''} ${e.by?.address ?? ''} ${e.stream_id ?? ''}`.toLowerCase();
      if (!words.every((w) => text.includes(w))) continue;
    }
    out.push(e);
  }
  return out;
}

/** Puts a line above the newest event that was known before each break, and at the end when nothing is left from before. */
export function withBreaks(events: readonly LogEvent[], breaks: readonly Break[]): Item[] {
  const out: Item[] = [];
  const rest = [...breaks].sort((a, b) => b.move.backAt - a.move.backAt);
  for (const event of events) {
    while (rest[0] !== undefined && event.id <= rest[0].after) {
      const gap = rest.shift() as Break;
      out.push({ gap, key: `b${gap.move.backAt}` });
    }
    out.push(event);
  }
  for (const gap of rest) out.push({ gap, key: `b${gap.move.backAt}` });
  return out;
}

/** Events as lines of JSON, for a file. */
export const jsonl = (events: readonly LogEvent[]): string => events.map((e) => JSON.stringify(e)).join('\n') + '\n';
