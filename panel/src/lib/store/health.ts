/** Health of an engine over the last hour, read from the log of events. */
import type { EngineObject, LogEvent } from '../feed/types';

/** An engine is given so long to become healthy for the first time, in milliseconds. */
const START_MS = 60_000;

export type Bar = '' | 'w' | 'x' | 'u';

/** Bars of two minutes each, oldest first: fine, in part unhealthy, unhealthy, not there yet. */
export function bars(e: EngineObject, events: readonly LogEvent[], now: number, count = 30, span = 3_600_000): Bar[] {
  const from = now - span;
  const born = Date.parse(e.first_seen);
  const turns = events
    .filter((x) => x.event_type === 'health' && (x.category === 'failed' || x.category === 'recovered'))
    .map((x) => ({ at: Date.parse(x.timestamp), sick: x.category === 'failed' }));
  // Before the first turn it was the other way round; without turns it has been as it is now.
  const sickNow = e.health_status === 'unhealthy';
  const since = e.failing_since === null ? now : Date.parse(e.failing_since);
  if (turns.length === 0 && sickNow && since > from) turns.push({ at: since, sick: true });
  // A new engine becomes healthy once: that is no turn from bad to good.
  if (turns[0] !== undefined && !turns[0].sick && turns[0].at - born < START_MS) turns.shift();
  const first = turns[0] === undefined ? sickNow : !turns[0].sick;
  const width = span / count;
  return Array.from({ length: count }, (_, i) => {
    const a = from + i * width;
    const b = a + width;
    if (b <= born) return 'u';
    const before = turns.findLast((t) => t.at <= a)?.sick ?? first;
    const inside = turns.filter((t) => t.at > a && t.at <= b);
    if (inside.length === 0) return before ? 'x' : '';
    return before && inside.every((t) => t.sick) ? 'x' : 'w';
  });
}
