/** Calls that change the fake cluster. */
import type { Json } from '../../src/lib/api/types';
import { no, ok, type Answer } from './answer';
import { ago, event } from './data';
import type { Fleet } from './fleet';
import { remove } from './removal';
import { BY, faultOf, setTo } from './settings';

/** As nodes word it. */
const SAYS: Record<string, string> = {
  active: 'takes new engines again',
  cordoned: 'takes no new engines',
  draining: 'drains: its engines leave with their streams',
};
export function change(
  f: Fleet,
  method: string,
  path: string,
  body: Record<string, unknown>,
  query: URLSearchParams,
): Answer {
  const [dry, force] = ['dry_run', 'force'].map((k) => query.get(k) === 'true') as [boolean, boolean];
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
            returns: false,
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
    return streams === null ? no(404, 'container not found') : ok({ replacing: name, streams });
  }
  const lead = /^\/cluster\/nodes\/([^/]+)\/lead$/.exec(path);
  if (lead) {
    const n = f.node(lead[1] ?? '');
    if (!n) return no(404, 'no such node');
    f.setLeader(n.name, BY);
    return ok(n);
  }
  const stream = /^\/streams\/(.+)$/.exec(path);
  if (method === 'DELETE' && stream)
    return f.endStream(decodeURIComponent(stream[1] ?? ''), BY)
      ? ok({ message: 'stopped', stream_id: stream[1] })
      : no(404, 'Stream not found');
  const removed = /^\/cluster\/nodes\/([^/]+)$/.exec(path);
  if (method === 'DELETE' && removed) return remove(f, removed[1] ?? '', force);
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
  if (method === 'PATCH' && path === '/settings') {
    const fault = faultOf(f, body);
    return fault === null
      ? ok(setTo(f, body, dry, null))
      : no(422, [{ type: 'value_error', loc: ['body', fault[0]], msg: `Value error, ${fault[1]}` }]);
  }
  if (path === '/settings/revert') {
    const back: Record<string, Json> = {};
    for (const h of w.history) if (h.revision > Number(body.revision)) for (const c of h.changes) back[c.name] = c.from;
    return ok(setTo(f, back, dry, Number(body.revision)));
  }
  return no(404, 'Not Found');
}

function stopped(f: Fleet, id: string): Answer {
  const streams = f.world.engines.find((e) => e.container_id === id)?.streams.length ?? 0;
  return f.stopEngine(id, BY) ? ok({ deleted: id, streams }) : no(404, 'container not found');
}
