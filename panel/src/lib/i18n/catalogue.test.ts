import { describe, expect, it } from 'vitest';
import { clusterSettings, unitOf as unit } from '../../../dev/cluster-settings';
import { aboutOf, firstSentence, sectionOf } from './catalogue';
import { en } from './en';
import { es } from './es';

/** The English that the Spanish was written for. When a line changes, the Spanish of that setting has to follow. */
const WRITTEN_FOR: Record<string, string> = {
  ACEFLEET_DOWN_AFTER_S:
    'A node that has answered no member for this long is down: its engines are not listed and are replaced elsewhere, their streams end.',
  CONTAINER_LABEL: 'Label that marks managed containers.',
  PORT_RANGE_HOST: 'Ports of engines on their hosts.',
  ACE_HTTPS_RANGE: 'HTTPS ports of engines inside their containers.',
  ACE_MAP_HTTPS: 'Publish the HTTPS port of each engine too, on a second port of PORT_RANGE_HOST.',
  STARTUP_TIMEOUT_S: 'How long a new engine may take until its container runs.',
  MIN_REPLICAS: 'Engines that exist at all times in the whole cluster.',
  MIN_FREE_REPLICAS: 'Engines without a stream that are ready in the whole cluster.',
  ACEFLEET_SPARE_FOR_HOST:
    'Keep as many engines free on other hosts as any one host has streams, so that its viewers find others when it is lost.',
  MAX_REPLICAS: 'Ceiling of engines in the whole cluster, whoever asks.',
  AUTO_DELETE: 'Remove engines that have been idle for ENGINE_GRACE_PERIOD_S, down to the floors above.',
  ENGINE_GRACE_PERIOD_S:
    'How long an engine must be idle before AUTO_DELETE takes it off the list, 0 for at once; it stops 35 s later.',
  IDLE_TTL_S: 'How long an engine must be idle for a call of /gc to remove it.',
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: 'Failed creations in a row that stop further ones.',
  CIRCUIT_BREAKER_RECOVERY_TIMEOUT_S: 'How long after the last failure until one creation is tried again.',
  CIRCUIT_BREAKER_REPLACEMENT_THRESHOLD:
    'The same for replacements of engines that failed, or lost their VPN: failures in a row.',
  CIRCUIT_BREAKER_REPLACEMENT_TIMEOUT_S:
    'The same for replacements of engines that failed, or lost their VPN: time until the next try.',
};

describe('cluster-wide settings', () => {
  const listed = clusterSettings();
  const spanish = es.catalogue;
  it('are those of the document, and no others', () => {
    const names = listed.map((s) => s.name).sort();
    expect(Object.keys(spanish?.about ?? {}).sort()).toEqual(names);
    expect(new Set(Object.keys(spanish?.sections ?? {}))).toEqual(new Set(listed.map((s) => s.section)));
    expect(new Set(Object.keys(spanish?.units ?? {}))).toEqual(new Set(listed.flatMap((s) => unit(s) ?? [])));
  });
  it('are described in Spanish as they are in English now', () => {
    expect(Object.fromEntries(listed.map((s) => [s.name, firstSentence(s.description)]))).toEqual(WRITTEN_FOR);
  });
  it('are shown in the words of the language, and of other nodes in their own', () => {
    const s = { name: 'MAX_REPLICAS', description: 'Ceiling of `engines`. More.' };
    expect([aboutOf(s, en), sectionOf('Cluster', en)]).toEqual(['Ceiling of engines.', 'Cluster']);
    expect([aboutOf(s, es), sectionOf('Cluster', es)]).toEqual([spanish?.about.MAX_REPLICAS, 'Clúster']);
    expect(aboutOf({ ...s, name: 'toString' }, es)).toBe('Ceiling of engines.');
    expect(sectionOf('Weather', es)).toBe('Weather');
  });
});
