/** The last day of a VPN, from the log of events. */
import type { LogEvent, VpnObject } from '../../lib/feed/types';
import { isOfVpn } from '../../lib/store/events';
import type { Bar } from '../../lib/store/health';

export interface Outage {
  from: number;
  /** When it ended; the present while it lasts. */
  to: number;
}

const DAY_MS = 86_400_000;

/** Outages of the last 24 hours, oldest first; `events` come oldest first. */
export function outages(v: VpnObject, events: readonly LogEvent[], now: number): Outage[] {
  const out: Outage[] = [];
  let from: number | null = null;
  for (const e of events) {
    if (!isOfVpn(e, v)) continue;
    const at = Date.parse(e.timestamp);
    if (e.category === 'disconnected') from ??= at;
    else if (e.category === 'connected' && from !== null) {
      out.push({ from, to: at });
      from = null;
    }
  }
  if (from !== null && !v.connected) out.push({ from, to: now });
  return out.filter((o) => o.to > now - DAY_MS).map((o) => ({ from: Math.max(o.from, now - DAY_MS), to: o.to }));
}

/**
 * The moment before which nothing is known of a VPN: when the log begins, whose oldest event is `oldest`, or when the VPN came up
 * for the first time that is known.
 */
export function knownSince(v: VpnObject, events: readonly LogEvent[], oldest: number): number {
  const first = events.find((e) => isOfVpn(e, v) && (e.category === 'connected' || e.category === 'disconnected'));
  return first?.category === 'connected' ? Date.parse(first.timestamp) : oldest;
}

/** Bars of half an hour each: fine, an outage in it, out at its end, not known. */
export function dayBars(list: readonly Outage[], now: number, known: number, count = 48): Bar[] {
  const width = DAY_MS / count;
  return Array.from({ length: count }, (_, i) => {
    const a = now - DAY_MS + i * width;
    const b = a + width;
    if (b <= known) return 'u';
    const inside = list.filter((o) => o.from < b && o.to > a);
    if (inside.length === 0) return '';
    return inside.some((o) => o.to >= b && o.from <= a + width * 0.8) ||
      (i === count - 1 && inside.some((o) => o.to >= now))
      ? 'x'
      : 'w';
  });
}
