/** English, and the shape that every language has: a missing word does not compile. */
import type { AnswerWording } from '../told/answers';
import type { Facts } from '../told/sayings';
import type { Catalogue } from './catalogue';
import { pages, n, common, key, palette, keys } from './en/common';
import { shell, states } from './en/shell';
import { engine, stream, host, vpnState, role } from './en/things';
import { attention, overview } from './en/overview';
import { hosts, vpn } from './en/hosts';
import { engines } from './en/engines';
import { streams, logs, events } from './en/streams';
import { told, clauses } from './en/told';
import { passedOver, blockedBy, causes, ends, proxyEnds, keyTypes, credentials, leaderReasons } from './en/reasons';
import { cluster, settings } from './en/cluster';

export const en = {
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
  /** Null where settings are as the API describes them. */
  catalogue: null as Catalogue | null,
  told,
  clauses,
  /** Null where they are shown as nodes word them. */
  answers: null as Record<AnswerWording, (f: Facts) => string> | null,
  passedOver,
  blockedBy,
  causes,
  ends,
  proxyEnds,
  keyTypes,
  credentials,
  leaderReasons,
};

/** What each language has. */
export type Words = typeof en;
