/** The calls of the API that pages make, answered by the fake cluster. */
import type { IncomingMessage } from 'node:http';
import type { Fleet } from './fleet';
import { no, ok, type Answer } from './answer';
import { change } from './change';
import { ago, rnd } from './data';
import { logLine, newest, numberAt } from './logs';
import { preview } from './removal';
import { settings } from './settings';

export const KEY = 'fake-key-of-the-panel';
/** What a session is shown by, which the key is given for. */
export const TOKEN = 'acefleet_session_fake';
/** Whether a request has the key: null when it is good. */
export function keyProblem(f: Fleet, req: IncomingMessage): Answer | null {
  if (f.keyless) return null;
  const sent = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
  if (sent === undefined) return no(401, 'missing bearer token');
  return sent === KEY || sent === TOKEN ? null : no(403, 'invalid token');
}

export function rest(f: Fleet, method: string, url: URL, body: Record<string, unknown>, req: IncomingMessage): Answer {
  const path = url.pathname;
  const w = f.world;
  if (method === 'POST' && path === '/session')
    return (
      keyProblem(f, req) ??
      ok(
        f.keyless
          ? { token: null, role: 'admin', name: 'no key', ends_at: null, ends_in_seconds: null }
          : { token: TOKEN, role: 'admin', name: 'API key', ends_at: ago(-43_200), ends_in_seconds: 43_200 },
      )
    );
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
      voters: w.nodes.length,
      differing: [],
      disputed: false,
      disk: { free_bytes: 53687091200, total_bytes: 107374182400, low: false },
      nodes: w.nodes,
      left_behind: [],
    });
  const placement = /^\/engines\/([^/]+)\/placement$/.exec(path);
  if (placement) return ok(place(f, placement[1] ?? ''));
  const removal = /^\/cluster\/nodes\/([^/]+)\/removal$/.exec(path);
  if (removal) {
    const would = preview(f, removal[1] ?? '');
    return would === null ? no(404, 'no such node') : ok(would);
  }
  const since = url.searchParams.get('since');
  const tail = since === null ? Number(url.searchParams.get('tail') ?? 50) : newest() + 1 - numberAt(since);
  const logs = /^\/containers\/([^/]+)\/logs$/.exec(path);
  if (logs)
    return (
      keyProblem(f, req) ??
      ok({ lines: [], entries: Array.from({ length: tail }, (_, i) => logLine(newest() - tail + 1 + i)) })
    );
  if (method === 'GET') return no(404, 'Not Found');
  const refused = keyProblem(f, req);
  if (refused) return refused;
  if (f.leader === null)
    return no(503, {
      error: 'write_blocked',
      code: 'no_leader',
      message: 'no leader took the write in time; it was not applied',
      recovery_eta_seconds: 2,
      can_retry: true,
      should_wait: true,
    });
  const wanted = req.headers['if-match'];
  const { revision } = settings(f);
  if (path.startsWith('/settings') && wanted !== undefined && wanted !== `"${revision}"`)
    return {
      status: 412,
      body: {
        detail: `the settings are at revision ${revision} and not at ${wanted.replaceAll('"', '')}: look at them again, then repeat the change`,
        revision,
      },
    };
  return change(f, method, path, body, url.searchParams);
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
      ['streams', 'speed_down', 'speed_up', 'engines', 'healthy', 'in_use'],
      [walk(live - 6, 1), walk(84000, 900), walk(20000, 500), walk(40, 0.2), walk(35, 0.3), walk(27, 0.5)],
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
  const [kind, ...rest] = of.split(':');
  const [fields, values] = shape[kind ?? ''] ?? [[], []];
  // Points of an ended stream stay; nothing follows them.
  const end = f.world.streams.find((s) => kind === 'stream' && s.id === rest.join(':'))?.ended_at;
  const last = end == null ? now : Date.parse(end) / 1000;
  return {
    of,
    step_s: 5,
    fields,
    units: { speed_down: 'KB/s', speed_up: 'KB/s' },
    points: Array.from({ length: 720 }, (_, i) => {
      const at = now - (719 - i) * 5;
      return [at, ...values.map((v) => (at > last ? null : (v[i] ?? null)))];
    }),
  };
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
