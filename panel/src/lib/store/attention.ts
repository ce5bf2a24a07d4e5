/** What is wrong, worst first: pure, so that tests and pages agree. */
import type { ClusterObject, LogEvent } from '../feed/types';
import type { EngineRow, HostRow, StreamRow, VpnRow } from './rows';
import { isOfVpn } from './events';
import { isSilent, majority, spare } from './status';

export type Problem = { urgent: boolean; since: string | null; key: string } & (
  | { kind: 'no_leader'; answering: number; voters: number; needed: number }
  | { kind: 'host_away'; host: string; engines: number; down: boolean; why: string | null }
  | { kind: 'host_stopped'; host: string; mayFail: number }
  | { kind: 'host_suspect'; host: string; silentMs: number | null }
  | { kind: 'docker'; host: string; why: string | null }
  | { kind: 'vpn_down'; vpn: string; vpnKey: string; host: string; engines: number; why: string | null }
  | { kind: 'engine'; name: string; engineKey: string; host: string; streams: number; why: string | null }
  | { kind: 'engines'; engines: number; names: string }
  | { kind: 'breaker'; which: 'general' | 'replacement'; state: string; failure: LogEvent | null }
  | { kind: 'blocked'; code: string; why: string }
  | { kind: 'left_behind'; containers: number; host: string; why: string }
  | { kind: 'stalled'; streams: number; engine: string | null }
  | { kind: 'disk'; host: string; ms: number }
);

export interface Picture {
  cluster: ClusterObject | null;
  leader: string | null;
  hosts: readonly HostRow[];
  engines: readonly EngineRow[];
  vpns: readonly VpnRow[];
  streams: readonly StreamRow[];
  events: LogEvent[];
}

/** The voters that the node of this page hears, itself included. */
export const heard = (hosts: readonly HostRow[]): number =>
  hosts.filter((h) => h.node.role !== 'learner' && !isSilent(h) && (h.figures?.last_contact_ms ?? 0) < 2000).length;

/** More failing engines than this are told in one line. */
const ENGINES_SINGLY = 5;

export function attention(p: Picture): Problem[] {
  const c = p.cluster;
  if (c === null) return [];
  const out: Problem[] = [];
  if (p.leader === null) {
    const [answering, needed] = [heard(p.hosts), majority(c.voters)];
    out.push({ kind: 'no_leader', key: 'no_leader', urgent: true, since: null, answering, voters: c.voters, needed });
  }
  for (const h of p.hosts) {
    const n = h.node;
    const at = { host: h.key, key: `host/${h.key}` };
    if (h.word === 'away' || h.word === 'down') {
      const since = n.unavailable_since ?? n.down_since ?? null;
      out.push({
        ...at,
        kind: 'host_away',
        urgent: true,
        since,
        engines: h.engines,
        down: h.word === 'down',
        why: n.unavailable ?? null,
      });
    } else if (h.word === 'stopped') {
      const mayFail = spare(p.hosts, c.voters);
      out.push({ ...at, kind: 'host_stopped', urgent: false, since: null, mayFail });
    } else if (h.word === 'suspect') {
      out.push({
        ...at,
        kind: 'host_suspect',
        urgent: false,
        since: null,
        silentMs: h.figures?.last_contact_ms ?? null,
      });
    } else if (n.docker === 'unavailable') {
      out.push({ ...at, kind: 'docker', urgent: true, since: null, why: n.docker_error ?? null });
    }
    if (!isSilent(h) && n.slow_disk && n.fsync_p99_ms != null) {
      out.push({ ...at, kind: 'disk', key: `disk/${h.key}`, urgent: false, since: null, ms: n.fsync_p99_ms });
    }
  }
  const sick = p.engines.filter((e) => e.word === 'unhealthy');
  if (sick.length > ENGINES_SINGLY) {
    out.push({
      kind: 'engines',
      key: 'engines',
      urgent: true,
      since: null,
      engines: sick.length,
      names: sick
        .slice(0, 4)
        .map((e) => e.name)
        .join(', '),
    });
  } else {
    for (const e of sick) {
      const since = e.since;
      out.push({
        kind: 'engine',
        key: `engine/${e.key}`,
        engineKey: e.key,
        urgent: true,
        since,
        name: e.name,
        host: e.node,
        streams: e.streams,
        why: e.engine.fault,
      });
    }
  }
  for (const v of p.vpns) {
    if (v.word !== 'down') continue;
    out.push({
      kind: 'vpn_down',
      key: `vpn/${v.key}`,
      vpnKey: v.key,
      urgent: true,
      vpn: v.name,
      host: v.vpn.node,
      engines: v.vpn.engines,
      why: v.vpn.error ?? null,
      since: p.events.findLast((e) => e.category === 'disconnected' && isOfVpn(e, v.vpn))?.timestamp ?? null,
    });
  }
  for (const which of ['general', 'replacement'] as const) {
    const state = which === 'general' ? c.provisioning.circuit_breaker_state : c.provisioning.replacement_breaker_state;
    if (state === 'closed') continue;
    const failure = p.events.findLast((e) => e.event_type === 'engine' && e.category === 'failed') ?? null;
    out.push({
      kind: 'breaker',
      key: `breaker/${which}`,
      urgent: which === 'general',
      since: failure?.timestamp ?? (which === 'general' ? (c.provisioning.last_failure ?? null) : null),
      which,
      state,
      failure,
    });
  }
  for (const b of c.provisioning.blocked_reasons) {
    // The breaker and the missing leader have lines of their own, and without a leader the rest is what was.
    if (p.leader === null || b.code === 'circuit_breaker' || b.code === 'no_leader') continue;
    out.push({
      kind: 'blocked',
      key: `blocked/${b.code}`,
      urgent: b.code === 'no_free_ports',
      since: null,
      code: b.code,
      why: b.message,
    });
  }
  for (const [host, list] of groupLeft(c)) {
    out.push({
      kind: 'left_behind',
      key: `left/${host}`,
      urgent: false,
      since: null,
      host,
      containers: list.length,
      why: list[0]?.why ?? '',
    });
  }
  const stalled = p.streams.filter((s) => s.word === 'stalled' && s.engine?.word !== 'unhealthy');
  if (stalled.length > 0) {
    out.push({
      kind: 'stalled',
      key: 'stalled',
      urgent: false,
      since: null,
      streams: stalled.length,
      engine: stalled.length === 1 ? (stalled[0]?.engine?.name ?? null) : null,
    });
  }
  return out.sort((a, b) => Number(b.urgent) - Number(a.urgent));
}

function groupLeft(c: ClusterObject): Map<string, ClusterObject['left_behind']> {
  const m = new Map<string, ClusterObject['left_behind']>();
  for (const l of c.left_behind) m.set(l.node, [...(m.get(l.node) ?? []), l]);
  return m;
}
