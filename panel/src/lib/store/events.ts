/** Events as the page shows them: shape by kind, who did it. */
import type { LogEvent, VpnObject } from '../feed/types';
import type { Words } from '../i18n/en';
import { caller } from '../told/told';
import type { Kind } from '../told/sayings';
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

type Look = Tone | 'crown' | 'settings' | 'stop' | 'refresh' | 'key';

const LOOK: Record<Kind, Look> = {
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
  'health/unknown': 'idle',
  'health/reset': 'refresh',
  'stream/started': 'ok',
  'stream/ended': 'stop',
  'stream/resumed': 'ok',
  'stream/found': 'ok',
  'vpn/connected': 'ok',
  'vpn/disconnected': 'bad',
  'vpn/unknown': 'idle',
  'vpn/port_changed': 'refresh',
  'vpn/address_changed': 'refresh',
  'system/draining': 'drain',
  'system/cordoned': 'drain',
  'system/uncordoned': 'ok',
  'system/node_down': 'bad',
  'system/node_back': 'ok',
  'system/node_unavailable': 'bad',
  'system/node_available': 'ok',
  'system/engines_lost': 'bad',
  'system/engines_back': 'ok',
  'system/docker_unavailable': 'bad',
  'system/docker_available': 'ok',
  'system/docker_unknown': 'idle',
  'system/node_stopping': 'drain',
  'system/node_joined': 'ok',
  'system/node_removed': 'stop',
  'system/node_replaced': 'refresh',
  'system/cluster_recovered': 'refresh',
  'system/level_raised': 'refresh',
  'system/found': 'ok',
  'system/key_changed': 'key',
  'system/leader_changed': 'crown',
  'system/leadership_transfer': 'crown',
  'system/removal_wanted': 'stop',
  'system/settings_changed': 'settings',
};

const isKind = (kind: string): kind is Kind => Object.hasOwn(LOOK, kind);

export function look(e: LogEvent): EventLook {
  const kind = `${e.event_type}/${e.category}`;
  if (!isKind(kind)) return { icon: 'events', cls: 'sec' };
  const l = LOOK[kind];
  if (l === 'crown') return { icon: l, cls: 'acc' };
  if (l === 'settings' || l === 'stop' || l === 'refresh' || l === 'key') return { icon: l, cls: 'sec' };
  return { icon: l, cls: TONE_CLASS[l] };
}

/** Who did it; null when the cluster did it by itself. */
export const who = (e: LogEvent, w: Words): string | null => (e.by === null ? null : caller(e.by, w));

/** Whether an event is about this VPN; old events name it in their message alone. */
export const isOfVpn = (e: LogEvent, v: VpnObject): boolean =>
  e.event_type === 'vpn' &&
  (e.details.vpn != null
    ? e.details.vpn === v.container && e.details.node === v.node
    : e.message.startsWith(`VPN ${v.container} on ${v.node} `));
