/** The calls of the API that pages make, answered by the fake cluster. */
import type { IncomingMessage } from 'node:http';
import type { Fleet } from './fleet';
import { ago, event, int, rnd, SETTINGS } from './data';

export interface Answer {
  status: number;
  body: unknown;
}

export const KEY = 'fake-key-of-the-panel';
const BY = { name: 'API key', address: '127.0.0.1', node: 'node-a' };
/** As nodes word it. */
const SAYS: Record<string, string> = {
  active: 'takes new engines again',
  cordoned: 'takes no new engines',
  draining: 'drains: its engines leave with their streams',
};
const ok = (body: unknown): Answer => ({ status: 200, body });
const no = (status: number, detail: unknown): Answer => ({ status, body: { detail } });

/** Whether a request has the key: null when it is good. */
export function keyProblem(req: IncomingMessage): Answer | null {
  const sent = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
  if (sent === undefined) return no(401, 'missing bearer token');
  return sent === KEY ? null : no(403, 'invalid token');
}

export function rest(f: Fleet, method: string, url: URL, body: Record<string, unknown>, req: IncomingMessage): Answer {
  const path = url.pathname;
  const w = f.world;
  if (method === 'GET' && path === '/cluster/key') return keyProblem(req) ?? ok({ required: true });
  if (method === 'GET' && path === '/events') return ok(events(f, url));
  if (method === 'GET' && path === '/events/stats')
    return ok({
      total: w.events.length,
      by_type: {},
      oldest: w.events[0]?.timestamp ?? null,
      newest: w.events.at(-1)?.timestamp ?? null,
    });
  if (method === 'GET' && path === '/series') return ok(series(f, url.searchParams.get('of') ?? ''));
  if (method === 'GET' && path === '/settings') return ok(settings(f));
  if (method === 'GET' && path === '/settings/history') return ok(w.history);
  if (method === 'GET' && path === '/cluster')
    return ok({
      cluster_id: w.cluster.cluster_id,
      leader: f.leader,
      term: w.cluster.term,
      revision: f.revision,
      node: 'node-a',
      staleness_ms: 12,
      voters: 3,
      differing: [],
      disputed: false,
      disk: { free_bytes: 53687091200, total_bytes: 107374182400, low: false },
      nodes: w.nodes,
      left_behind: [],
    });
  const placement = /^\/engines\/([^/]+)\/placement$/.exec(path);
  if (placement) return ok(place(f, placement[1] ?? ''));
  if (/^\/streams\/.+\/stats$/.test(path)) return ok(stats());
  const logs = /^\/containers\/([^/]+)\/logs$/.exec(path);
  if (logs)
    return (
      keyProblem(req) ??
      ok({
        lines: [],
        entries: Array.from(
          { length: Number(url.searchParams.get('tail') ?? 50) },
          (_, i, n = Number(url.searchParams.get('tail') ?? 50)) => logLine((n - i) * 1.4),
        ),
      })
    );
  if (method === 'GET') return no(404, 'Not Found');
  const refused = keyProblem(req);
  if (refused) return refused;
  if (f.leader === null)
    return no(503, {
      error: 'write_blocked',
      code: 'no_leader',
      message: 'the cluster has no leader; nothing was done',
      recovery_eta_seconds: 2,
      can_retry: true,
      should_wait: true,
    });
  return change(f, method, path, body, url.searchParams.get('dry_run') === 'true');
}

function change(f: Fleet, method: string, path: string, body: Record<string, unknown>, dry: boolean): Answer {
  const w = f.world;
  const act = /^\/cluster\/nodes\/([^/]+)\/(cordon|uncordon|drain)$/.exec(path);
  if (act) {
    const n = f.node(act[1] ?? '');
    if (!n) return no(404, 'no such node');
    n.availability = act[2] === 'cordon' ? 'cordoned' : act[2] === 'drain' ? 'draining' : 'active';
    n.drain =
      act[2] === 'drain'
        ? {
            deadline: body.deadline_seconds ? ago(-Number(body.deadline_seconds)) : null,
            engines_left: n.engines,
            streams_left: n.streams,
          }
        : null;
    n.passed_over = n.availability === 'active' ? null : { code: n.availability, message: `is ${n.availability}` };
    f.change('node', n.name, n);
    f.say(
      event(
        'system',
        n.availability === 'active' ? 'uncordoned' : n.availability,
        `${n.name} ${SAYS[n.availability]}`,
        0,
        {
          by: BY,
          details: { node: n.name },
        },
      ),
    );
    return ok(n);
  }
  const container = /^\/containers\/([^/]+)$/.exec(path);
  if (method === 'DELETE' && container) return stopped(f, container[1] ?? '');
  const replace = /^\/engines\/([^/]+)\/replace$/.exec(path);
  if (replace) {
    const streams = f.replaceEngine(replace[1] ?? '', BY);
    const name = w.engines.find((e) => e.container_id === replace[1])?.container_name;
    return streams === null ? no(404, 'no such engine') : ok({ replacing: name, streams });
  }
  const lead = /^\/cluster\/nodes\/([^/]+)\/lead$/.exec(path);
  if (lead) {
    const n = f.node(lead[1] ?? '');
    if (!n) return no(404, 'no such node');
    f.setLeader(n.name);
    return ok(n);
  }
  const stream = /^\/streams\/(.+)$/.exec(path);
  if (method === 'DELETE' && stream)
    return f.endStream(decodeURIComponent(stream[1] ?? ''), BY)
      ? ok({ message: 'stopped', stream_id: stream[1] })
      : no(404, 'no such stream');
  const removed = /^\/cluster\/nodes\/([^/]+)$/.exec(path);
  if (method === 'DELETE' && removed) return no(409, `${removed[1]} lives and runs containers: drain it first`);
  if (path === '/provision/acestream') {
    const e = f.startEngine(String(body.node ?? ''), BY);
    return ok({
      container_id: e.container_id,
      container_name: e.container_name,
      host_http_port: e.port,
      container_http_port: e.port,
      container_https_port: e.port + 26000,
    });
  }
  if (path === '/health/circuit-breaker/reset') {
    w.cluster.provisioning.replacement_breaker_state = 'closed';
    w.cluster.provisioning.circuit_breaker_state = 'closed';
    f.change('cluster', '', w.cluster);
    return ok({ message: 'reset' });
  }
  if (method === 'PATCH' && path === '/settings') return ok(setTo(f, body, dry, null));
  if (path === '/settings/revert') {
    const back: Record<string, number> = {};
    for (const h of w.history) if (h.revision > Number(body.revision)) for (const c of h.changes) back[c.name] = c.from;
    return ok(setTo(f, back, dry, Number(body.revision)));
  }
  return no(404, 'Not Found');
}

function stopped(f: Fleet, id: string): Answer {
  const streams = f.world.engines.find((e) => e.container_id === id)?.streams.length ?? 0;
  return f.stopEngine(id, BY) ? ok({ deleted: id, streams }) : no(404, 'no such container');
}

function events(f: Fleet, url: URL) {
  const q = url.searchParams;
  const before = Number(q.get('before') ?? Infinity);
  const type = q.get('event_type');
  return f.world.events
    .filter((e) => e.id < before && (!type || e.event_type === type))
    .reverse()
    .slice(0, Number(q.get('limit') ?? 100));
}

function series(f: Fleet, of: string) {
  const now = Math.floor(Date.now() / 5000) * 5;
  const walk = (mid: number, jump: number) => {
    let v = mid;
    return Array.from({ length: 720 }, () => (v = Math.max(0, v + rnd(-jump, jump) + (mid - v) * 0.05)));
  };
  const whole = (values: number[]) => values.map(Math.round);
  const live = f.world.streams.filter((s) => s.status === 'started').length;
  const shape: Record<string, [string[], number[][]]> = {
    cluster: [
      ['streams', 'speed_down', 'speed_up', 'engines', 'healthy'],
      [walk(live - 6, 1), walk(84000, 900), walk(20000, 500), walk(40, 0.2), walk(35, 0.3)],
    ],
    engine: [
      ['cpu_percent', 'memory_bytes', 'rx_bps', 'tx_bps'],
      [walk(22, 2), walk(3e8, 3e6), walk(8e6, 1e5), walk(1e6, 3e4)],
    ],
    stream: [
      ['speed_down', 'speed_up', 'peers', 'buffer_pieces', 'behind_live_s'],
      [walk(780, 30), walk(180, 16), walk(28, 1.4), whole(walk(12, 1)), whole(walk(14, 1))],
    ],
    host: [
      ['engines', 'healthy', 'streams', 'speed_down', 'speed_up', 'cpu_percent', 'memory_bytes', 'rx_bps', 'tx_bps'],
      [14, 13, 40, 30000, 7000, 260, 4e9, 4e7, 1e7].map((mid) => walk(mid, mid / 60)),
    ],
  };
  const [fields, values] = shape[of.split(':')[0] ?? ''] ?? [[], []];
  return {
    of,
    step_s: 5,
    fields,
    units: { speed_down: 'KB/s', speed_up: 'KB/s' },
    points: Array.from({ length: 720 }, (_, i) => [now - (719 - i) * 5, ...values.map((v) => v[i] ?? null)]),
  };
}

function stats() {
  let v = 780;
  return Array.from({ length: 240 }, (_, i) => {
    v = Math.max(100, v + rnd(-40, 40) + (780 - v) * 0.05);
    return {
      ts: ago((240 - i) * 15),
      peers: Math.round(v / 26),
      speed_down: Math.round(v),
      speed_up: Math.round(v * 0.22),
      downloaded: i * 1e7,
      uploaded: i * 2e6,
      status: 'dl',
    };
  });
}

function settings(f: Fleet) {
  const last = f.world.history[0];
  return {
    revision: last?.revision ?? f.revision,
    changed_at: last?.at ?? null,
    changed_on: 'node-b',
    settings: Object.entries(f.world.settings).map(([name, value]) => ({
      name,
      value,
      default: SETTINGS[name] ?? 0,
      type: 'integer',
      unit: name.endsWith('_S') ? 's' : name.includes('REPLICAS') ? 'engines' : null,
      minimum: 0,
      maximum: 65535,
      accepted: 'a whole number from 0 to 65535',
      section: name.includes('REPLICAS')
        ? 'How many engines'
        : name.includes('HEALTH') || name.includes('BREAKER')
          ? 'Health'
          : 'Times',
      description: DESCRIPTION[name] ?? name,
      applies: 'live',
    })),
    nodes: [
      {
        name: 'node-a',
        reported: true,
        differing: [{ name: 'MIN_FREE_REPLICAS', value: 0, in_force: f.world.settings['MIN_FREE_REPLICAS'] }],
      },
      { name: 'node-b', reported: true, differing: [] },
      {
        name: 'node-c',
        reported: true,
        differing: [{ name: 'MAX_REPLICAS', value: 40, in_force: f.world.settings['MAX_REPLICAS'] }],
      },
    ],
  };
}

const DESCRIPTION: Record<string, string> = {
  MIN_REPLICAS: 'Engines that exist at all times in the whole cluster.',
  MIN_FREE_REPLICAS: 'Engines without a stream that are ready in the whole cluster.',
  MAX_REPLICAS: 'Ceiling of engines in the whole cluster, whoever asks.',
  ENGINE_GRACE_PERIOD_S: 'How long an engine must be idle before `AUTO_DELETE` takes it.',
  IDLE_TTL_S: 'How long an engine must be idle for a call of `/gc` to remove it.',
  HEALTH_CHECK_INTERVAL_S: 'How often a healthy engine is probed.',
  HEALTH_FAILURE_THRESHOLD: 'Failed probes in a row that make an engine unhealthy.',
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: 'Failed creations in a row that stop further ones.',
  CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S: 'How long after the last failure until one creation is tried.',
};

/** Changes settings, or says what that would do. */
function setTo(f: Fleet, values: Record<string, unknown>, dry: boolean, reverts: number | null) {
  const w = f.world;
  const changes = Object.entries(values)
    .filter(([n, v]) => n in w.settings && w.settings[n] !== v)
    .map(([name, to]) => ({ name, from: w.settings[name] ?? 0, to: Number(to) }));
  const consequences = changes
    .filter((c) => c.name === 'MIN_FREE_REPLICAS' && c.to > c.from)
    .map((c) => `${c.to - c.from} engines are started for the free ones`);
  if (dry) return { revision: w.history[0]?.revision ?? 1, dry_run: true, changes, consequences };
  for (const c of changes) w.settings[c.name] = c.to;
  const revision = (w.history[0]?.revision ?? 0) + 1;
  w.history.unshift({ revision, at: ago(0), node: 'node-a', by: BY, reverts, changes });
  f.say(
    event('system', 'settings_changed', changes.map((c) => `${c.name} ${c.from} → ${c.to}`).join(', '), 0, { by: BY }),
  );
  return { revision, dry_run: false, changes, consequences };
}

function place(f: Fleet, id: string) {
  const e = f.world.engines.find((x) => x.container_id === id);
  return {
    container_id: id,
    container_name: e?.container_name ?? '',
    node: e?.node ?? '',
    reserved_at: e?.first_seen ?? ago(0),
    standing: e?.listed ? 'listed' : 'unlisted',
    why: e?.placement ?? '',
    hosts: f.world.nodes.map((n) => ({
      node: n.name,
      engines: n.engines,
      capacity: n.capacity,
      streams: n.streams,
      passed_over: n.passed_over,
    })),
    kept_by: null,
    replaced_by: null,
    replaces: null,
    unlisted: e?.unlisted ? { code: 'unhealthy', message: e.unlisted } : null,
  };
}

const TEXT = [
  '[info] buffering done in 1.8 s, peers 23',
  '[info] peer connected, 31 in all',
  '[debug] piece 48112 complete, 1 048 576 bytes',
  '[info] live position 14 s behind',
  '[warning] piece 48131 late by 2.4 s, asked from 3 more peers',
  '[error] tracker timed out after 10 s: udp://tracker.example:2710',
  '\u001b[32m[info]\u001b[0m status asked, answered in 3 ms',
  'session c81f77d2 keeps playing',
];
export const logLine = (s = 0) => ({
  at: new Date(Date.now() - s * 1000).toISOString(),
  stream: 'stdout',
  text: TEXT[Math.min(TEXT.length - 1, int(0, 11))] ?? '',
});
