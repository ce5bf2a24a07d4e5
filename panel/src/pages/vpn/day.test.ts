import { describe, expect, it } from 'vitest';
import type { LogEvent, VpnObject } from '../../lib/feed/types';
import { dayBars, knownSince, outages } from './day';

const NOW = Date.parse('2026-03-02T20:00:00Z');
const HOUR = 3_600_000;
const vpn = { node: 'a', container: 'gluetun', connected: false } as VpnObject;
let id = 0;
const event = (category: string, hoursAgo: number): LogEvent =>
  ({
    id: ++id,
    event_type: 'vpn',
    category,
    message: '',
    details: { node: 'a', vpn: 'gluetun' },
    timestamp: new Date(NOW - hoursAgo * HOUR).toISOString(),
  }) as unknown as LogEvent;

describe('the last day of a VPN', () => {
  it('is not known before the log begins', () => {
    const events = [event('disconnected', 2)];
    const bars = dayBars(outages(vpn, events, NOW), NOW, knownSince(vpn, events, NOW - 3 * HOUR));
    expect(bars.slice(0, 42)).toEqual(Array(42).fill('u'));
    expect(bars.slice(42)).toEqual(['', '', 'x', 'x', 'x', 'x']);
  });

  it('is not known before it came up for the first time', () => {
    const events = [event('connected', 1)];
    const bars = dayBars([], NOW, knownSince(vpn, events, NOW - 24 * HOUR));
    expect(bars).toEqual([...Array(46).fill('u'), '', '']);
  });

  it('is fine where nothing happened for longer than a day', () => {
    expect(dayBars([], NOW, knownSince(vpn, [], NOW - 48 * HOUR))).toEqual(Array(48).fill(''));
  });
});
