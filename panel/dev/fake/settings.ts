/** Settings of the fake cluster: read, changed, brought back. */
import type { Json, Setting } from '../../src/lib/api/types';
import { clusterSettings, typeOf, unitOf, valueOf, type Listed } from '../cluster-settings';
import { ago, event } from './data';
import type { Fleet } from './fleet';

export const BY = { name: 'API key', address: '127.0.0.1', node: 'node-a' };

function described(f: Fleet, s: Listed): Setting {
  const bounds = /from ([\d.]+) to ([\d.]+)/.exec(s.accepted);
  const numeric = typeOf(s) === 'integer' || typeOf(s) === 'number';
  return {
    name: s.name,
    value: f.world.settings[s.name] ?? null,
    default: valueOf(s),
    type: typeOf(s),
    unit: unitOf(s),
    minimum: numeric ? Number(bounds?.[1]) : null,
    maximum: numeric ? Number(bounds?.[2]) : null,
    accepted: s.accepted,
    section: s.section,
    description: s.description,
    applies: 'live',
  };
}

export function settings(f: Fleet) {
  const last = f.world.history[0];
  return {
    revision: last?.revision ?? f.revision,
    changed_at: last?.at ?? null,
    changed_on: 'node-b',
    settings: clusterSettings().map((s) => described(f, s)),
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

/** What follows, as nodes word it. */
function consequences(c: { name: string; from: Json; to: Json }): string[] {
  const [from, to] = [Number(c.from), Number(c.to)];
  if (c.name === 'MIN_FREE_REPLICAS' && to > from)
    return [
      to - from === 1
        ? `1 engine is started: ${from} are free and MIN_FREE_REPLICAS is ${to}`
        : `${to - from} engines are started: ${from} are free and MIN_FREE_REPLICAS is ${to}`,
    ];
  if (c.name === 'CONTAINER_LABEL') return ['containers that exist keep the label that they were made with'];
  if (c.name === 'ACEFLEET_DOWN_AFTER_S' && to < 6)
    return ['a host that is silent for a few seconds loses its engines and streams'];
  return [];
}

/** Why settings cannot be in force, as nodes word it, and at which one of them; null when they can. */
export function faultOf(f: Fleet, values: Record<string, unknown>): [name: string, why: string] | null {
  const then = { ...f.world.settings, ...values } as Record<string, Json>;
  for (const name of ['MIN_REPLICAS', 'MIN_FREE_REPLICAS'])
    if (Number(then[name]) > Number(then.MAX_REPLICAS))
      return [
        name in values ? name : 'MAX_REPLICAS',
        `${name}=${then[name]} is above MAX_REPLICAS=${then.MAX_REPLICAS}: lower the one or raise the other`,
      ];
  if (!String(then.CONTAINER_LABEL).includes('='))
    return [
      'CONTAINER_LABEL',
      'CONTAINER_LABEL: there is no =; accepted: KEY=VALUE with exactly one = and a key that is not empty',
    ];
  return null;
}

/** Changes settings, or says what that would do. */
export function setTo(f: Fleet, values: Record<string, unknown>, dry: boolean, reverts: number | null) {
  const w = f.world;
  const changes = Object.entries(values)
    .filter(([n, v]) => n in w.settings && w.settings[n] !== v)
    .map(([name, to]) => ({ name, from: w.settings[name] ?? null, to: to as Json }));
  const follows = changes.flatMap(consequences);
  if (dry) return { revision: w.history[0]?.revision ?? 1, dry_run: true, changes, consequences: follows };
  for (const c of changes) w.settings[c.name] = c.to;
  const revision = (w.history[0]?.revision ?? 0) + 1;
  w.history.unshift({ revision, at: ago(0), node: 'node-a', by: BY, reverts, changes });
  f.say(
    event('system', 'settings_changed', changes.map((c) => `${c.name} ${c.from} → ${c.to}`).join(', '), 0, { by: BY }),
  );
  return { revision, dry_run: false, changes, consequences: follows };
}
