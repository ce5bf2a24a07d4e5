/** A made-up cluster for development: 3 hosts, 40 engines, 120 streams, one sick host. No part of the product. */
import type { Json } from '../../src/lib/api/types';
import { firstSettings } from '../cluster-settings';
import { cluster } from './cluster';
import { changes, log } from './history';
import type {
  ClusterObject,
  EngineObject,
  LogEvent,
  NodeObject,
  StreamObject,
  VpnObject,
} from '../../src/lib/feed/types';

let seed = 7;
export const rnd = (lo = 0, hi = 1): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return lo + (seed / 0x7fffffff) * (hi - lo);
};
export const int = (lo: number, hi: number): number => Math.floor(rnd(lo, hi + 1));
export const hex = (n: number): string => Array.from({ length: n }, () => '0123456789abcdef'[int(0, 15)]).join('');
export const ago = (s: number): string => new Date(Date.now() - s * 1000).toISOString();

export interface World {
  cluster: ClusterObject;
  nodes: NodeObject[];
  engines: EngineObject[];
  streams: StreamObject[];
  vpns: VpnObject[];
  events: LogEvent[];
  settings: Record<string, Json>;
  history: {
    revision: number;
    at: string;
    node: string;
    by: LogEvent['by'];
    reverts: number | null;
    changes: { name: string; from: Json; to: Json }[];
  }[];
}

/** Both ways in which a node says where its API is. */
export const addressed = (at: string) => ({ http_address: at, url: `http://${at}` });

const node = (name: string, i: number, extra: Partial<NodeObject>): NodeObject => ({
  name,
  id: 1000 + i,
  role: 'voter',
  state: 'up',
  address: `10.0.0.${11 + i}:8001`,
  version: '0.1.0',
  ...addressed(`10.0.0.${11 + i}:8000`),
  docker: 'available',
  docker_error: null,
  capacity: 20,
  availability: 'active',
  unavailable_since: null,
  unavailable: null,
  answers_others: [],
  down_since: null,
  drain: null,
  passed_over: null,
  engines: 0,
  streams: 0,
  fsync_p99_ms: 3,
  slow_disk: false,
  key: '9f86d081884c7d65',
  secrets: ['60303ae22b998861'],
  ...extra,
});

/** Names of the nodes and where their APIs listen. */
export function world(https: string[], engines = 40, streams = 120): World {
  const nodes = [
    node('node-a', 0, {
      fsync_p99_ms: 2.9,
      passed_over: {
        code: 'failing',
        message:
          'the circuit breaker over node-a is open after 5 failures in a row, lastly: acestream-62 on node-a: port 19062 is held by another program',
      },
    }),
    node('node-b', 1, { role: 'leader', fsync_p99_ms: 3.1 }),
    node('node-c', 2, {
      fsync_p99_ms: 94,
      slow_disk: true,
      capacity: 24,
      availability: 'draining',
      drain: { returns: false, deadline: ago(-2700), engines_left: 12, streams_left: 44 },
      passed_over: { code: 'draining', message: 'is draining' },
    }),
  ];
  for (let i = nodes.length; i < https.length; i++) nodes.push(node(`node-${'abcdefg'[i]}`, i, {}));
  nodes.forEach((n, i) => Object.assign(n, addressed(https[i] ?? n.http_address ?? '')));
  const vpns = [
    vpn('node-a', 'gluetun-a1', true, 'Amsterdam', 'Netherlands', 51413, 7),
    vpn('node-a', 'gluetun-a2', false, 'Madrid', 'Spain', null, 4),
    vpn('node-b', 'gluetun-b1', true, 'Zürich', 'Switzerland', 40218, 10),
  ];
  const plan: [string, string | null, number][] = [
    ['node-a', 'gluetun-a1', 7],
    ['node-a', 'gluetun-a2', 4],
    ['node-a', null, 3],
    ['node-b', 'gluetun-b1', 10],
    ['node-b', null, 5],
    ['node-c', null, 11],
    ...nodes.slice(3).map((n): [string, null, number] => [n.name, null, 6]),
  ];
  const list: EngineObject[] = [];
  let id = 3;
  const times = Math.max(1, Math.round(engines / 40));
  for (let r = 0; r < times; r++) {
    for (const [h, v, n] of plan)
      for (let i = 0; i < n; i++) list.push(engine((id += int(1, 2)), h, v, i === 0 && r === 0));
  }
  const sick = list[4];
  if (sick)
    Object.assign(sick, {
      health_status: 'unhealthy',
      listed: false,
      unlisted: 'it is unhealthy: it does not answer',
      unlisted_code: 'unhealthy',
      fault: 'it does not answer',
      failing_since: ago(130),
    });
  const fresh = list.filter((e) => e.node === 'node-b')[14];
  if (fresh)
    Object.assign(fresh, { phase: 'starting', health_status: 'unknown', reserved_at: ago(14), first_seen: ago(14) });
  for (const e of list)
    if (e.vpn_container === 'gluetun-a2')
      Object.assign(e, {
        health_status: 'unhealthy',
        listed: false,
        unlisted: 'its VPN is unhealthy',
        unlisted_code: 'network',
        failing_since: ago(360),
      });
  const all: StreamObject[] = [];
  const able = list.filter((e) => e !== fresh && e.vpn_container !== 'gluetun-a2');
  for (let i = 0; i < streams; i++) {
    const e = able[i % able.length];
    if (e) all.push(stream(e, int(30, 14000)));
  }
  for (let i = 0; i < 260; i++) {
    const s = stream(able[int(0, able.length - 1)] as EngineObject, int(60, 3500), true);
    all.push(s);
  }
  for (const n of nodes) {
    n.engines = list.filter((e) => e.node === n.name).length;
    n.streams = list.filter((e) => e.node === n.name).reduce((a, e) => a + e.streams.length, 0);
  }
  return {
    cluster: cluster(list, streams, nodes.length),
    nodes,
    engines: list,
    streams: all,
    vpns,
    events: log(list, all),
    settings: firstSettings(),
    history: changes(),
  };
}

function vpn(
  node: string,
  container: string,
  up: boolean,
  city: string,
  country: string,
  port: number | null,
  engines: number,
): VpnObject {
  return {
    node,
    engines,
    container,
    container_name: container,
    connected: up,
    enabled: true,
    health: up ? 'healthy' : 'unhealthy',
    status: 'running',
    city,
    country,
    region: null,
    error: up ? null : 'AUTH_FAILED: the provider refuses the login',
    forwarded_port: port,
    last_check: ago(1),
    last_check_at: ago(1),
    provider: 'protonvpn',
    public_ip: up ? `203.0.113.${int(4, 90)}` : null,
    second_opinion: null,
  };
}

export function engine(id: number, node: string, vpn_container: string | null, forwarded = false): EngineObject {
  const arm = node === 'node-c';
  const since = ago(int(3600, 500000));
  return {
    id,
    container_id: hex(64),
    container_name: `acestream-${id}`,
    host: '10.0.0.11',
    port: 19000 + id,
    node,
    labels: { 'ondemand.app': 'myservice' },
    health_status: 'healthy',
    forwarded: forwarded && vpn_container !== null,
    forwarded_port: forwarded && vpn_container ? 51413 : null,
    vpn_container,
    engine_variant: arm ? 'jopsis-arm64' : 'krinkuto11-amd64',
    platform: arm ? 'arm64' : 'amd64',
    version: '3.2.11',
    first_seen: since,
    last_stream_usage: ago(int(10, 3000)),
    streams: [],
    phase: 'running',
    listed: true,
    unlisted: null,
    unlisted_code: null,
    unlisted_cause: null,
    image: 'ghcr.io/krinkuto11/acestream:3.2.11',
    failing_since: null,
    reserved_at: since,
    placement: 'alone least loaded: 9 of 20 engines, 22 streams, 3 of 3 hosts with room',
    fault: null,
    replaces: null,
  };
}

export function stream(e: EngineObject, forS: number, ended = false): StreamObject {
  const key = hex(40);
  const session = hex(32);
  const id = `${key}|${session}`;
  if (!ended) e.streams.push(id);
  const lasted = int(60, 9000);
  return {
    id,
    key,
    key_type: rnd() > 0.2 ? 'infohash' : 'content_id',
    container_id: e.container_id,
    playback_session_id: session,
    is_live: true,
    stat_url: `http://10.0.0.11:${e.port}/ace/stat/${key}/${session}`,
    command_url: `http://10.0.0.11:${e.port}/ace/cmd/${key}/${session}`,
    started_at: ago(ended ? forS + lasted : forS),
    ended_at: ended ? ago(forS) : null,
    status: ended ? 'ended' : 'started',
    ...(ended
      ? {
          end_reason:
            ['completed', 'completed', 'completed', 'unviewed', 'manual_stop_via_api', 'engine_gone'][int(0, 5)] ??
            null,
        }
      : {}),
    peers: null,
    speed_down: null,
    speed_up: null,
    downloaded: null,
    uploaded: null,
  };
}

/** An event that has no number yet. */
export function event(
  type: LogEvent['event_type'],
  category: string,
  message: string,
  sAgo: number,
  more: Partial<LogEvent> = {},
): LogEvent {
  return {
    id: 0,
    timestamp: ago(sAgo),
    event_type: type,
    category,
    message,
    details: {},
    container_id: null,
    stream_id: null,
    by: null,
    ...more,
  };
}
