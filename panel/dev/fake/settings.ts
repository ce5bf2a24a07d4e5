/** Settings of the fake cluster: read, changed, brought back. */
import { ago, event, SETTINGS } from './data';
import type { Fleet } from './fleet';

export const BY = { name: 'API key', address: '127.0.0.1', node: 'node-a' };

export function settings(f: Fleet) {
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
export function setTo(f: Fleet, values: Record<string, unknown>, dry: boolean, reverts: number | null) {
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
