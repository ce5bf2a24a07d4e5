/** What the fake cluster says of itself as a whole. */
import type { ClusterObject, EngineObject } from '../../src/lib/feed/types';
import { ago } from './data';

export function cluster(engines: EngineObject[], streams: number, voters: number): ClusterObject {
  const healthy = engines.filter((e) => e.health_status === 'healthy').length;
  return {
    cluster_id: '7f3a9c1e-52d0-4b1f-9a47-0c5fd1b6a2e8',
    leader: 'node-b',
    term: 14,
    voters,
    status: 'degraded',
    engines: { total: engines.length, running: engines.length, healthy, unhealthy: engines.length - healthy },
    streams: { active: streams, total: streams },
    capacity: {
      total: healthy,
      used: healthy - 3,
      marked: 1,
      available: 3,
      max_replicas: Math.max(60, engines.length + 20),
      min_replicas: 20,
    },
    provisioning: {
      can_provision: true,
      circuit_breaker_state: 'closed',
      replacement_breaker_state: 'open',
      last_failure: ago(78),
      blocked_reason: null,
      blocked_reason_details: null,
      blocked_reasons: [],
    },
    left_behind: [],
    differing: [],
    disputed: false,
    time_offset_ms: 1_767_225_600_000,
    config: { auto_delete: false, debug_mode: false, engine_variant: 'krinkuto11-amd64', grace_period_s: 30 },
    vpn: { connected: true, container: 'gluetun-a1', enabled: true, forwarded_port: 51413, health: 'healthy' },
  };
}
