/**
 * A fake cluster for development and tests; no part of the product.
 *
 * `npm run fake -- [--ports 8100,8101,8102] [--engines 40] [--streams 120] [--base /]` serves the built panel at `…/panel/`
 * of each port, a feed and the calls that pages make. Faults: POST /dev/leader?name=node-a (none without a name),
 * /dev/away?name=node-c&on=1, /dev/die (this node closes), /dev/mute?on=1 (the feed hangs), /dev/slow?ms=500, /dev/calm?on=0.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { world } from './fake/data';
import { cors, serveFeed } from './fake/feed';
import { Fleet } from './fake/fleet';
import { no } from './fake/answer';
import { logLine, newest, numberAt } from './fake/logs';
import { keyProblem, rest } from './fake/rest';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export interface Fake {
  fleet: Fleet;
  servers: Server[];
}

/** Starts a node for each port. */
export function start(ports: number[], engines = 40, streams = 120, base = '/'): Fake {
  const fleet = new Fleet(
    world(
      ports.map((p) => `127.0.0.1:${p}`),
      engines,
      streams,
    ),
  );
  const servers = ports.map((port, i) => {
    const name = `node-${'abcdefg'[i]}`;
    const server = createServer((req, res) => void handle(fleet, name, server, base, req, res));
    return server.listen(port, '127.0.0.1');
  });
  return { fleet, servers };
}

/** Ports that nobody listens on now: several walks may be under way on one machine. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((r) => {
          const s = createServer().listen(0, '127.0.0.1', () => r(s));
        }),
    ),
  );
  const ports = held.map((s) => (s.address() as AddressInfo).port);
  await Promise.all(held.map((s) => new Promise((r) => s.close(r))));
  return ports;
}

async function handle(
  f: Fleet,
  me: string,
  server: Server,
  base: string,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://x');
  if (base !== '/' && url.pathname.startsWith(base)) url.pathname = `/${url.pathname.slice(base.length)}`;
  const page = req.headers.origin?.replace('http://', '');
  const known = page === req.headers.host || f.world.nodes.some((n) => n.http_address === page);
  if (f.strict && page !== undefined && !known) return void res.writeHead(403).end();
  if (req.method === 'OPTIONS') return void res.writeHead(204, cors(req)).end();
  if (url.pathname.startsWith('/panel')) return file(f, url.pathname, res);
  if (url.pathname.startsWith('/dev/')) return fault(f, server, url, res);
  if (f.slowMs > 0) await new Promise((r) => setTimeout(r, f.slowMs));
  if (url.pathname === '/events/stream') return serveFeed(f, me, req, res);
  if (url.searchParams.get('follow') === 'true') return follow(f, req, url, res);
  const body = await read(req);
  const answer = rest(f, req.method ?? 'GET', url, body, req);
  res.writeHead(answer.status, { 'Content-Type': 'application/json', ...cors(req) }).end(JSON.stringify(answer.body));
}

async function read(req: IncomingMessage): Promise<Record<string, unknown>> {
  let s = '';
  for await (const c of req) s += String(c);
  return s === '' ? {} : (JSON.parse(s) as Record<string, unknown>);
}

function file(f: Fleet, path: string, res: ServerResponse): void {
  if (path === '/panel') return void res.writeHead(308, { Location: 'panel/' }).end();
  const name = normalize(join(DIST, path.slice('/panel/'.length) || 'index.html'));
  if (!name.startsWith(DIST) || !existsSync(name)) return void res.writeHead(404).end();
  const members = f.world.nodes.map((n) => `http://${n.http_address}`).join(' ');
  res
    .writeHead(200, {
      'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
      'Content-Security-Policy': `default-src 'self'; connect-src 'self' ${members}; frame-ancestors 'none'`,
    })
    .end(readFileSync(name));
}

function follow(f: Fleet, req: IncomingMessage, url: URL, res: ServerResponse): void {
  const refused =
    keyProblem(f, req) ?? (url.pathname === '/containers/gone/logs' ? no(404, 'no such container') : null);
  if (refused)
    return void res
      .writeHead(refused.status, { 'Content-Type': 'application/json', ...cors(req) })
      .end(JSON.stringify(refused.body));
  res.writeHead(200, { 'Content-Type': 'text/event-stream', ...cors(req) });
  const behind = req.headers['last-event-id'];
  const since = url.searchParams.get('since');
  let n =
    behind !== undefined
      ? Number(behind)
      : since !== null
        ? numberAt(since) - 1
        : newest() - Number(url.searchParams.get('tail'));
  const send = () => {
    if (f.mute) return;
    if (n >= newest()) res.write(': beat\n\n');
    for (; n < newest(); n++) res.write(`event: line\nid: ${n + 1}\ndata: ${JSON.stringify(logLine(n + 1))}\n\n`);
  };
  send();
  const timer = setInterval(send, 400);
  res.on('close', () => clearInterval(timer));
}

function fault(f: Fleet, server: Server, url: URL, res: ServerResponse): void {
  const q = url.searchParams;
  const what = url.pathname.slice('/dev/'.length);
  if (what === 'leader') f.setLeader(q.get('name'));
  else if (what === 'away') f.away(q.get('name') ?? '', q.get('on') !== '0');
  else if (what === 'mute') f.mute = q.get('on') !== '0';
  else if (what === 'slow') f.slowMs = Number(q.get('ms') ?? 0);
  else if (what === 'die') {
    res.end('dying\n');
    server.close();
    server.closeAllConnections();
    return;
  } else return void res.writeHead(404).end();
  res.end('done\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      ports: { type: 'string', default: '8100,8101,8102' },
      engines: { type: 'string', default: '40' },
      streams: { type: 'string', default: '120' },
      base: { type: 'string', default: '/' },
    },
  });
  const ports = values.ports.split(',').map(Number);
  const { fleet } = start(ports, Number(values.engines), Number(values.streams), values.base);
  setInterval(() => fleet.live(), 2500);
  console.log(`panel at http://127.0.0.1:${ports[0]}${values.base}panel/`);
}
