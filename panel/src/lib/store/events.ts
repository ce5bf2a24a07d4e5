/** Events as the page shows them: shape by kind, who did it. */
import type { LogEvent } from '../feed/types';
import type { Tone } from './status';

export interface EventLook {
  icon: string;
  /** Class of its colour. */
  cls: 'ok' | 'warn' | 'bad' | 'info' | 'acc' | 'sec';
}

const TONE_CLASS: Record<Tone, EventLook['cls']> = {
  ok: 'ok',
  warn: 'warn',
  bad: 'bad',
  start: 'info',
  drain: 'info',
  idle: 'sec',
};

const LOOK: Record<string, Tone | 'crown' | 'settings' | 'stop' | 'refresh' | 'key'> = {
  'engine/created': 'ok',
  'engine/reserved': 'start',
  'engine/listed': 'ok',
  'engine/retiring': 'drain',
  'engine/stopping': 'drain',
  'engine/deleted': 'stop',
  'engine/failed': 'warn',
  'engine/adopted': 'ok',
  'engine/kept': 'ok',
  'health/failed': 'bad',
  'health/recovered': 'ok',
  'health/reset': 'refresh',
  'stream/started': 'ok',
  'stream/ended': 'stop',
  'stream/resumed': 'ok',
  'stream/found': 'ok',
  'vpn/connected': 'ok',
  'vpn/disconnected': 'bad',
  'vpn/port_changed': 'refresh',
  'vpn/address_changed': 'refresh',
  'system/draining': 'drain',
  'system/cordoned': 'drain',
  'system/uncordoned': 'ok',
  'system/node_down': 'bad',
  'system/docker_unavailable': 'bad',
  'system/docker_available': 'ok',
  'system/node_stopping': 'drain',
  'system/node_joined': 'ok',
  'system/node_removed': 'stop',
  'system/key_changed': 'key',
  'system/leader_changed': 'crown',
  'system/settings_changed': 'settings',
};

export function look(e: LogEvent): EventLook {
  const l = LOOK[`${e.event_type}/${e.category}`];
  if (l === undefined) return { icon: e.category.includes('setting') ? 'settings' : 'events', cls: 'sec' };
  if (l === 'crown') return { icon: l, cls: 'acc' };
  if (l === 'settings' || l === 'stop' || l === 'refresh' || l === 'key') return { icon: l, cls: 'sec' };
  return { icon: l, cls: TONE_CLASS[l] };
}

/** What an event says; the message of the first leader has its number alone, as its name was not known then. */
export const message = (e: LogEvent): string => {
  const node = e.details?.['node'];
  return e.category === 'leader_changed' && typeof node === 'string'
    ? e.message.replace(/^.*? leads/, `${node} leads`)
    : e.message;
};

/** “API key · 10.0.0.9”, “command line · node-a”; null when the cluster did it by itself. */
export const who = (e: LogEvent): string | null =>
  e.by === null ? null : `${e.by.name} · ${e.by.address ?? e.by.node}`;
