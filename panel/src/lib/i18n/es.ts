/** Spanish. */
import type { Words } from './en';
import { pages, n, common, key, palette, keys } from './es/common';
import { shell, states } from './es/shell';
import { engine, stream, host, vpnState, role } from './es/things';
import { attention, overview } from './es/overview';
import { hosts, vpn } from './es/hosts';
import { engines } from './es/engines';
import { streams, logs, events } from './es/streams';
import { catalogue } from './es/catalogue';
import { told, clauses } from './es/told';
import { answers } from './es/answers';
import { passedOver, blockedBy, causes, ends, proxyEnds, keyTypes, credentials, leaderReasons } from './es/reasons';
import { cluster, settings } from './es/cluster';

export const es: Words = {
  pages,
  n,
  common,
  key,
  palette,
  keys,
  shell,
  states,
  engine,
  stream,
  host,
  vpnState,
  role,
  attention,
  overview,
  hosts,
  vpn,
  engines,
  streams,
  logs,
  events,
  cluster,
  settings,
  catalogue,
  told,
  clauses,
  answers,
  passedOver,
  blockedBy,
  causes,
  ends,
  proxyEnds,
  keyTypes,
  credentials,
  leaderReasons,
};
