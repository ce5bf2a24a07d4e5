/** Events that the feed did not bring, asked from the log. */
import { api, read } from '../api/client';
import type { LogEvent } from '../feed/types';

/** Newest first; at most 1000. */
export const pastEvents = (query: {
  limit?: number;
  before?: number;
  event_type?: LogEvent['event_type'];
}): Promise<LogEvent[]> => read(() => api().GET('/events', { params: { query } })) as Promise<LogEvent[]>;

/** Two lists of events as one, oldest first, each event once. */
export function joined(a: readonly LogEvent[], b: readonly LogEvent[]): LogEvent[] {
  const by = new Map<number, LogEvent>();
  for (const e of a) by.set(e.id, e);
  for (const e of b) by.set(e.id, e);
  return [...by.values()].sort((x, y) => x.id - y.id);
}
