/** What happened to the made-up cluster before it was looked at. */
import type { EngineObject, LogEvent, StreamObject } from '../../src/lib/feed/types';
import { ago, event, rnd, type World } from './data';

/** Changes of settings, the newest first. */
export const changes = (): World['history'] => [
  {
    revision: 3,
    at: ago(180),
    node: 'node-b',
    reverts: null,
    by: { name: 'API key', address: '10.0.0.50', node: 'node-b' },
    changes: [{ name: 'MIN_FREE_REPLICAS', from: 0, to: 1 }],
  },
  {
    revision: 2,
    at: ago(93000),
    node: 'node-a',
    reverts: null,
    by: { name: 'command line', address: null, node: 'node-a' },
    changes: [{ name: 'IDLE_TTL_S', from: 300, to: 600 }],
  },
  {
    revision: 1,
    at: ago(900000),
    node: 'node-a',
    reverts: null,
    by: null,
    changes: [{ name: 'MAX_REPLICAS', from: 20, to: 60 }],
  },
];

/** The log of events, the oldest first. */
export function log(engines: EngineObject[], streams: StreamObject[]): LogEvent[] {
  const by = { name: 'API key', address: '10.0.0.50', node: 'node-b' };
  const sick = engines[4];
  const out: LogEvent[] = [];
  for (const s of streams.filter((x) => x.status === 'ended').slice(0, 60)) {
    out.push(
      event(
        'stream',
        'ended',
        `stream ${s.id} ended (${s.end_reason})`,
        (Date.now() - Date.parse(s.ended_at ?? '')) / 1000,
        {
          stream_id: s.id,
          container_id: s.container_id,
          by: rnd() > 0.5 ? { name: 'API key', address: '10.0.0.21', node: 'node-a' } : null,
        },
      ),
    );
  }
  const A2 = { details: { node: 'node-a', vpn: 'gluetun-a2' } };
  const more: [LogEvent['event_type'], string, string, number, Partial<LogEvent>][] = [
    ['system', 'leader_changed', 'node-a leads since term 11', 82000, { details: { node: 'node-a', term: 11 } }],
    ['vpn', 'disconnected', 'VPN gluetun-a2 on node-a is disconnected: timeout', 40000, A2],
    ['vpn', 'connected', 'VPN gluetun-a2 on node-a is connected', 39800, A2],
    [
      'system',
      'leader_changed',
      'node-c leads since term 12, after node-a',
      47000,
      { details: { node: 'node-c', term: 12, reason: 'leader_stopped' } },
    ],
    ['system', 'leader_changed', 'node-c leads since term 13', 39000, { details: { node: 'node-c', term: 13 } }],
    [
      'system',
      'draining',
      'node-c drains: its engines leave with their streams',
      3300,
      { by, details: { node: 'node-c' } },
    ],
    [
      'system',
      'leader_changed',
      'node-b leads since term 14, after node-c',
      2500,
      { details: { node: 'node-b', term: 14, reason: 'leader_drained' } },
    ],
    ['vpn', 'disconnected', 'VPN gluetun-a2 on node-a is disconnected: AUTH_FAILED', 360, A2],
    [
      'engine',
      'failed',
      'acestream-62 on node-a: port 19062 is held by another program',
      78,
      { details: { node: 'node-a' } },
    ],
    ['system', 'settings_changed', 'MIN_FREE_REPLICAS 0 → 1', 180, { by }],
    [
      'health',
      'failed',
      `${sick?.container_name} is unhealthy: it does not answer`,
      130,
      { container_id: sick?.container_id ?? null },
    ],
    [
      'engine',
      'reserved',
      `${engines[28]?.container_name} is to start: the settings ask for more engines than there are`,
      14,
      { container_id: engines[28]?.container_id ?? null },
    ],
  ];
  for (const [t, c, m, s, x] of more) out.push(event(t, c, m, s, x));
  out.sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp)).forEach((e, i) => (e.id = i + 1));
  return out;
}
