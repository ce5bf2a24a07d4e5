/** Where an event leads: the thing that it is about, if that still exists and is named in what is said. */
import type { LogEvent } from '../feed/types';
import { href } from '../router/router.svelte';
import type { Fleet } from './fleet.svelte';

export interface Target {
  name: string;
  to: string;
}

export function target(e: LogEvent, said: string, fleet: Fleet): Target | null {
  const about = (key: keyof LogEvent['details']): string | null => {
    const v = e.details[key];
    return v === undefined || v === null ? null : String(v);
  };
  const engine =
    (e.container_id === null ? undefined : fleet.engineByContainer.get(e.container_id)) ??
    fleet.engineByKey.get(about('engine') ?? '');
  if (engine && said.includes(engine.name)) return { name: engine.name, to: href('engines', { sel: engine.key }) };
  const stream = e.stream_id === null ? undefined : fleet.tables.streams.get(e.stream_id);
  if (stream) {
    const name = [stream.id, stream.key].find((n) => said.includes(n));
    const view = stream.status === 'ended' ? 'ended' : null;
    if (name) return { name, to: href('streams', { sel: stream.id, view }) };
  }
  const vpn = about('vpn');
  if (vpn !== null && said.includes(vpn)) return { name: vpn, to: href('vpn') };
  if (e.category === 'settings_changed') {
    const name = /[A-Z]+(?:_[A-Z]+)+/.exec(said)?.[0];
    if (name) return { name, to: href('settings') };
  }
  const host = fleet.hosts.find((h) => (about('node') ?? '') === h.key || said.startsWith(`${h.key} `));
  if (host && said.includes(host.key))
    return { name: host.key, to: href(e.category === 'leader_changed' ? 'cluster' : 'hosts') };
  return null;
}
