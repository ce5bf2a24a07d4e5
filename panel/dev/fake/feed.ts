/** The feed of the fake node: greeting, snapshot, events, figures each second. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EngineFigures, Figures, StreamFigures } from '../../src/lib/feed/types';
import { rnd } from './data';
import type { Fleet } from './fleet';

export function serveFeed(f: Fleet, me: string, req: IncomingMessage, res: ServerResponse): void {
  const url = new URL(req.url ?? '/', 'http://x');
  const last = String(req.headers['last-event-id'] ?? url.searchParams.get('last_event_id') ?? '');
  const cluster_id = f.world.cluster.cluster_id ?? '';
  const id = (event: number) => `${cluster_id.slice(0, 8)}-${f.revision}-${event}`;
  const place = /^(.{8})-(\d+)-(\d+)$/.exec(last);
  const from = place !== null && cluster_id.startsWith(place[1] ?? '') ? place : null;
  if (from && Number(from[2]) > f.revision) {
    const detail = { error: 'read_blocked', code: 'behind', message: `this node has revision ${f.revision}` };
    return void res
      .writeHead(503, { 'Content-Type': 'application/json', ...cors(req) })
      .end(JSON.stringify({ detail }));
  }
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', ...cors(req) });
  const send = (event: string, data: unknown, id?: string) =>
    res.write(`event: ${event}\n${id ? `id: ${id}\n` : ''}data: ${JSON.stringify(data)}\n\n`);
  const w = f.world;
  const events = w.events;
  const newest = events.at(-1)?.id ?? 0;
  const behind = Math.max(0, from ? Number(from[3]) : newest - Number(url.searchParams.get('tail') ?? 0));
  const members = w.nodes.map((n) => ({ name: n.name, http: n.http_address, url: n.url }));
  send(
    'hello',
    {
      node: me,
      cluster_id,
      version: '0.1.0',
      revision: f.revision,
      event: behind,
      resumed: from !== null,
      lost: last === '' || from !== null ? 0 : null,
      members,
      ...(f.tellsKey && { key_required: !f.keyless }),
    },
    id(behind),
  );
  send('snapshot', {
    revision: f.revision,
    at: new Date().toISOString(),
    cluster: w.cluster,
    nodes: w.nodes,
    engines: w.engines,
    streams: w.streams,
    vpns: w.vpns,
  });
  for (const e of events) if (e.id > behind) send('event', e, id(e.id));
  // As a node does: events alone have a position.
  const stop = f.listen((kind, data) => send(kind, data, kind === 'event' ? id(w.events.at(-1)?.id ?? 0) : undefined));
  const told = { engines: new Set<string>(), streams: new Set<string>() };
  const tell = () => send('figures', withGone(told, figures(f, me)));
  tell();
  const timer = setInterval(() => (f.mute ? undefined : tell()), 1000);
  res.on('close', () => {
    stop();
    clearInterval(timer);
  });
}

export const cors = (req: IncomingMessage): Record<string, string> => ({
  'Access-Control-Allow-Origin': req.headers.origin ?? '*',
  'Access-Control-Allow-Headers': 'authorization, content-type, last-event-id',
  'Access-Control-Allow-Methods': 'GET, POST, PATCH, DELETE',
});

const speeds = new Map<string, number>();
const loads = new Map<string, [number, number]>();

const silentSince = (f: Fleet, n: { name: string; unavailable_since: string | null }): number | null =>
  f.silent.get(n.name) ?? (n.unavailable_since === null ? null : Date.parse(n.unavailable_since));

/** As a node: null under the key of what has none any more. */
function withGone(told: Record<'engines' | 'streams', Set<string>>, now: Figures): object {
  const out: Record<string, unknown> = { ...now };
  for (const k of ['engines', 'streams'] as const) {
    const has = now[k] ?? {};
    const gone = [...told[k]].filter((key) => !(key in has));
    told[k] = new Set(Object.keys(has));
    out[k] = { ...has, ...Object.fromEntries(gone.map((key) => [key, null])) };
  }
  return out;
}

function figures(f: Fleet, me: string): Figures {
  const w = f.world;
  const engines: Record<string, EngineFigures> = {};
  const streams: Record<string, StreamFigures> = {};
  for (const e of w.engines) {
    const [c, m] = loads.get(String(e.id)) ?? [rnd(6, 34), rnd(160, 420)];
    const n: [number, number] = [Math.max(0.5, c + rnd(-3, 3)), Math.max(80, m + rnd(-6, 6.2))];
    loads.set(String(e.id), n);
    engines[e.id] = {
      last_seen: new Date().toISOString(),
      last_health_check: new Date().toISOString(),
      cpu_percent: n[0],
      memory_bytes: n[1] * 1048576,
      memory_limit_bytes: 512 * 1048576,
      rx_bps: 8e6,
      tx_bps: 1e6,
    };
  }
  const sick = new Set(w.engines.filter((e) => e.health_status === 'unhealthy').flatMap((e) => e.streams));
  for (const s of w.streams) {
    if (s.status !== 'started') {
      speeds.delete(s.id);
      continue;
    }
    const v = sick.has(s.id) ? 0 : Math.max(180, (speeds.get(s.id) ?? rnd(300, 1200)) + rnd(-60, 60));
    speeds.set(s.id, v);
    const forS = (Date.now() - Date.parse(s.started_at)) / 1000;
    streams[s.id] = {
      peers: sick.has(s.id) ? 0 : Math.round(v / 24),
      speed_down: Math.round(v),
      speed_up: Math.round(v * 0.24),
      downloaded: Math.round(forS * v * 1000),
      uploaded: Math.round(forS * v * 240),
      status: 'dl',
    };
  }
  const nodes = Object.fromEntries(
    w.nodes.map((n) => [
      n.name,
      {
        last_contact_ms:
          n.name === me
            ? null
            : silentSince(f, n) !== null
              ? Date.now() - (silentSince(f, n) ?? 0)
              : 60 + Math.round(rnd(0, 60)),
        applied_index: f.revision - (n.name === 'node-c' ? 5 : 0),
        suspect: f.silent.has(n.name),
        outbox: f.leader === null && n.name === me ? 4 : 0,
      },
    ]),
  );
  return {
    at: new Date().toISOString(),
    revision: f.revision,
    age_ms: 80,
    leader: f.leader,
    term: w.cluster.term,
    nodes,
    engines,
    streams,
  };
}
