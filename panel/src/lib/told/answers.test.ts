import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clusterSettings } from '../../../dev/cluster-settings';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { ANSWERS, LISTED } from './answers';
import { answerOf, clauseOf, EVENT_KINDS, listedOf, obstacleOf, wordingOf } from './sayings';
import { clause } from './told';

/** What nodes answer, and how it is told. */
const SAID: [answer: string, inSpanish: string][] = [
  [
    '3 engines are started: 5 are there and MIN_REPLICAS is 8; 0 are free and MIN_FREE_REPLICAS is 1',
    'arrancan 3 motores: hay 5 y MIN_REPLICAS es 8; hay 0 libres y MIN_FREE_REPLICAS es 1',
  ],
  [
    '1 engine is started: were node-b lost, its streams would lack a free engine elsewhere',
    'arranca 1 motor: si se perdiera node-b, a sus emisiones les faltaría 1 motor en otros hosts',
  ],
  [
    '1 engine with ports outside of 19000-19999 keep them while they run',
    '1 motor con puertos fuera de 19000-19999 los conserva',
  ],
  [
    '2 engines are missing to the floors: 20 engines exist, MAX_REPLICAS is 20',
    'faltan 2 motores para los mínimos: hay 20 motores y MAX_REPLICAS es 20',
  ],
  [
    'MIN_REPLICAS=30 is above MAX_REPLICAS=20: lower the one or raise the other',
    'MIN_REPLICAS=30 supera MAX_REPLICAS=20: baje el uno o suba el otro',
  ],
  [
    'CONTAINER_LABEL: there is no =; accepted: KEY=VALUE with exactly one = and a key that is not empty',
    'no vale como etiqueta: no tiene =',
  ],
  [
    'PORT_RANGE_HOST: not FIRST-LAST; accepted: two ports FIRST-LAST from 1 to 65535, FIRST not above LAST',
    'se acepta: dos puertos PRIMERO-ÚLTIMO de 1 a 65535, el primero no mayor que el último',
  ],
  [
    'no host can start an engine now: node-a is cordoned; node-b runs 20 engines, which is its ACEFLEET_CAPACITY',
    'ningún host puede aceptar un motor ahora: node-a está acordonado; node-b está lleno: tiene 20 motores, que es su ACEFLEET_CAPACITY',
  ],
  [
    'the registry holds 64 MiB of engines, as much as it may; end some',
    'el registro ya guarda 64 MiB de motores, lo máximo: quite algunos motores',
  ],
  [
    'the registry holds 64 MiB of started streams, as much as it may; end some',
    'el registro ya guarda 64 MiB de emisiones en curso, lo máximo: termine algunas emisiones',
  ],
  ['too many follow logs through this node', 'hay demasiados lectores de registros en este nodo'],
  [
    'it did not complete the transfer in time, as one that lags behind does not',
    'no completó el relevo a tiempo, como ocurre cuando va retrasado',
  ],
  ['node-a is being stopped', 'node-a se está parando'],
  [
    'node-a lives and runs 1 container: drain it first (acefleet drain node-a)',
    'node-a responde y tiene 1 contenedor: vacíelo antes y espere a que no quede ninguno, o use la fuerza, que lo deja en el host sin clúster',
  ],
  [
    'node-a lives and runs 2 containers: drain it first (acefleet drain node-a)',
    'node-a responde y tiene 2 contenedores: vacíelo antes y espere a que no quede ninguno, o use la fuerza, que los deja en el host sin clúster',
  ],
  [
    'node-a has answered 1 event that it could not write yet, which would be lost with it: make sure',
    'node-a ha contestado 1 evento que aún no pudo escribir y se perdería: haga que llegue a un líder y repita, o use la fuerza',
  ],
  [
    'node-a has answered 2 events that it could not write yet, which would be lost with it: make sure',
    'node-a ha contestado 2 eventos que aún no pudo escribir y se perderían: haga que llegue a un líder y repita, o use la fuerza',
  ],
  [
    'all 1 hosts that could run it have as many engines as their ACEFLEET_CAPACITY allows',
    'el único host que podría tiene tantos motores como permite su ACEFLEET_CAPACITY',
  ],
  [
    'no VPN is connected (g1 on node-a: the container is exited; g2 on node-a: not known to be up yet)',
    'ninguna VPN está conectada (g1 de node-a: su contenedor está en estado exited; g2 de node-a: aún no se sabe si está en pie)',
  ],
  ['node-b does not answer: no answer in time', 'node-b no responde: sin respuesta a tiempo'],
  [
    'node-c did not take over from node-b, which goes on: it does not answer the leader',
    'node-c no tomó el relevo de node-b, que sigue: no responde al líder',
  ],
  [
    'node-a cannot use its Docker: Docker does not answer: unix:///var/run/docker.sock: no answer within 5 s',
    'node-a no puede usar su Docker: Docker no responde: unix:///var/run/docker.sock: sin respuesta en 5 s',
  ],
  ['permission denied on /var/run: sorry', 'permission denied on /var/run: sorry'],
  ['it is down', 'it is down'],
];

describe('answers of nodes', () => {
  it.each(SAID)('%s', (answer, spanish) => {
    expect(clause(answer, es)).toBe(spanish);
  });
  it('stand in English as they came', () => {
    for (const answer of ['container not found', 'node-a runs 20 engines, which is its ACEFLEET_CAPACITY'])
      expect(clause(answer, en)).toBe(answer);
  });
});

/** Rust with answers in it: a file, and the function or type that has them. */
const WRITTEN: [file: string, item: string][] = [
  ['cluster/registry/src/plan/consequences.rs', 'fn consequences'],
  ['cluster/registry/src/plan/consequences.rs', 'fn ceiling'],
  ['cluster/registry/src/plan/consequences.rs', 'fn engines_to_come_and_go'],
  ['cluster/registry/src/plan/consequences.rs', 'fn ports'],
  ['cluster/registry/src/plan/wait_texts.rs', 'Self::Floor'],
  ['cluster/registry/src/plan/wait_texts.rs', 'Self::Replacement'],
  ['cluster/registry/src/plan/wait_texts.rs', 'fn text'],
  ['cluster/registry/src/rules/floors_missed.rs', 'fn describe'],
  ['cluster/registry/src/rules/settings.rs', 'fn describe'],
  ['cluster/registry/src/rules/settings.rs', 'fn accepts'],
  ['cluster/registry/src/rules/settings.rs', 'fn label_fault'],
  ['cluster/registry/src/rules/admission.rs', 'fn decide'],
  ['cluster/registry/src/rules/admission.rs', 'fn limit_reached'],
  ['cluster/registry/src/rules/admission.rs', 'fn no_room'],
  ['cluster/registry/src/rules/admission.rs', 'fn all_passed_over'],
  ['cluster/registry/src/rules/ports.rs', 'fn no_free_ports'],
  ['cluster/registry/src/rules/ports.rs', 'fn no_ports_on'],
  ['cluster/registry/src/rules/ports.rs', 'fn choose_vpn_ports'],
  ['cluster/registry/src/rules/vpn.rs', 'fn no_tunnel'],
  ['cluster/registry/src/rules/vpn.rs', 'fn unconnected'],
  ['cluster/registry/src/rules/held.rs', 'fn held'],
  ['cluster/registry/src/rules/hosts.rs', 'fn fmt'],
  ['cluster/registry/src/apply/settings.rs', 'fn change'],
  ['cluster/registry/src/apply/nodes.rs', 'fn availability'],
  ['cluster/registry/src/apply/engines.rs', 'fn stop'],
  ['cluster/raft/src/errors.rs', 'enum WriteError'],
  ['cluster/raft/src/errors.rs', 'enum MembershipError'],
  ['cluster/raft/src/errors.rs', 'enum AskError'],
  ['cluster/raft/src/membership/reconfigure.rs', 'fn remove'],
  ['src/fleet/removal.rs', 'fn check'],
  ['src/fleet/errors.rs', 'enum FleetError'],
  ['src/fleet/errors.rs', 'fn not_done'],
  ['src/fleet/settings.rs', 'enum EditError'],
  ['src/fleet/settings.rs', 'fn draft'],
  ['src/fleet/members.rs', 'fn member'],
  ['src/fleet/members.rs', 'fn transfer_leadership'],
  ['src/fleet/containers.rs', 'fn delete_container'],
  ['src/fleet/containers.rs', 'fn wait_gone'],
  ['src/fleet/containers.rs', 'fn ask_owner'],
  ['src/fleet/containers.rs', 'fn not_found'],
  ['src/fleet/streams.rs', 'fn stop_stream'],
  ['src/fleet/blocked.rs', 'fn passed_over'],
  ['src/fleet/blocked.rs', 'fn docker_reason'],
  ['src/fleet/hooks.rs', 'fn answer'],
  ['src/fleet/hooks.rs', 'fn not_led'],
  ['src/http/answer/problem.rs', 'fn not_formed'],
  ['src/http/answer/problem.rs', 'fn late'],
  ['src/http/front.rs', 'fn answer_for_health'],
  ['src/http/engines/logs.rs', 'fn get'],
  ['src/http/request/known.rs', 'enum Refused'],
  ['src/http/request/visitors.rs', 'fn refused'],
  ['src/http/settings/body.rs', 'fn change'],
  ['src/http/provision/body.rs', 'fn engine'],
  ['src/http/streams/mod.rs', 'fn stop'],
  ['src/agent/starting.rs', ''],
  ['src/agent/allowed/mod.rs', 'enum NotAllowed'],
  ['src/agent/runtime.rs', 'enum RuntimeError'],
  ['src/agent/docker_connection.rs', 'fn connect'],
  ['src/agent/docker_connection.rs', 'fn explain'],
  ['src/agent/docker_connection.rs', 'fn no_answer'],
  ['src/agent/docker_refusal.rs', 'fn forbidden'],
  ['src/agent/vpn/asking.rs', 'fn note_port'],
  ['src/agent/vpn/control.rs', 'fn port'],
  ['src/agent/vpn/control.rs', 'fn closed'],
  ['src/agent/vpn/words.rs', 'fn note'],
  ['src/agent/vpn/verdict.rs', 'fn note'],
  ['src/agent/vpn/monitor.rs', 'fn report'],
  ['src/agent/left_behind.rs', 'fn find'],
];

type Untold =
  'part of others' | 'asked by no page' | 'said by the status' | 'only logged' | 'said by Docker' | 'fault of ours';

/** Sentences of these that have no words, and why. */
const UNTOLD: Record<string, Untold> = {
  'new engines': 'part of others',
  ', two for each engine with ACE_MAP_HTTPS': 'part of others',
  'MAX_ACTIVE_REPLICAS or GLUETUN_PORT_RANGE_1': 'part of others',
  ' over {}': 'part of others',
  'port {port}': 'part of others',
  'port {port} is not among the ports {}-{} that the VPN container {container} publishes': 'asked by no page',
  'engine {id} is not live': 'asked by no page',
  '{} stays: {keeps}': 'asked by no page',
  'node {0} is not a member of this cluster': 'asked by no page',
  'it has more than {FIELDS_MAX} fields: change fewer settings at once': 'asked by no page',
  'If-Match does not name this revision': 'asked by no page',
  'no strong tag names it': 'part of others',
  'not at {}': 'part of others',
  ' or ': 'part of others',
  ' until it returns': 'part of others',
  'no node': 'part of others',
  'Stream stopped successfully': 'said by the status',
  'another container has its place': 'only logged',
  'permission denied': 'said by Docker',
  'missing bearer token': 'said by the status',
  'the cluster has not formed yet, or this node has nothing of its log': 'part of others',
  'the key {key} ended at {}: ask for a new one': 'said by the status',
  'this session is over, or its key is not in force here any more: sign in again with a key (POST /session)':
    'said by the status',
  'a new key is made on the host of a node, by the user that runs it: acefleet key --new': 'asked by no page',
  'this needs a key with the role {needed}, and {} has the role {has}': 'said by the status',
  'the settings contradict each other or are out of bounds': 'part of others',
  'the registry gave an unexpected reply: look at the settings before you repeat the change': 'fault of ours',
  'answer not understood: {e}': 'fault of ours',
};

const SOURCE = new URL('../../../../', import.meta.url);

/** The part of a Rust file between the braces of each item of this name; without tests, comments and what is only logged. */
function rust(file: string, item: string): string {
  const whole = readFileSync(new URL(file, SOURCE), 'utf8').split('\n#[cfg(test)]')[0] ?? '';
  const text = whole.replace(/^\s*\/\/.*$/gm, '').replace(/tracing::\w+!\([\s\S]*?\);/g, '');
  if (item === '') return text;
  const parts = [
    ...text.matchAll(new RegExp(`^( *)(?:pub(?:\\([\\w: ]+\\))? )?(?:const )?(?:async )?${item}\\b`, 'gm')),
  ].map((m) => {
    const end = text.indexOf(`\n${m[1]}}`, m.index);
    return text.slice(m.index, end);
  });
  expect(parts.length, `${item} in ${file}`).toBeGreaterThan(0);
  return parts.join('\n');
}

/** Sentences among the literals; a line that ends with a backslash goes on in the next one. */
const sentences = (text: string): string[] =>
  [...text.matchAll(/"((?:[^"\\]|\\[\s\S])*)"/g)]
    .map((m) => (m[1] ?? '').replace(/\\\n\s*/g, '').replaceAll('\\"', '"'))
    .filter((s) => /[a-z]{2,} |\{\w*\} [a-z]/.test(s));

/** What stands in the places of formats, by their names where it is no number and no name of a thing. */
const FILLED: Record<string, string[]> = {
  engines: ['2 engines', '2'],
  verb: ['are'],
  leave: ['leave'],
  not: ['not at 3 or 4', 'no strong tag names it'],
  what: ['new engines', 'replacements', 'engines', 'started streams'],
  sums: ['voters: 3, alive 2, needed for a majority 2; without x: 2, alive 1, needed 2'],
};
const ANY = ['3', 'node-b', 'MAX_REPLICAS=5', '', 'MAX_REPLICAS', '2 engines', 'are'];
/** In places without a name are counted things as well. */
FILLED[''] = [...ANY, '1 container', '1 event'];
function* fillings(format: string): Generator<string> {
  const m = /\{([\w.:?]*)\}/.exec(format);
  if (m === null) yield format;
  else
    for (const f of FILLED[m[1] ?? ''] ?? ANY)
      yield* fillings(format.slice(0, m.index) + f + format.slice(m.index + m[0].length));
}

/** The wording that a format has in some filling. */
function wording(format: string): string | null {
  for (const text of fillings(format)) {
    const found = answerOf(text) ?? clauseOf(text) ?? listedOf(text);
    if (found !== null) return found[0];
    if (obstacleOf(text) !== null || clause(text, es) !== text) return 'obstacle of a host';
    if ([...EVENT_KINDS].some((kind) => wordingOf(kind, text) !== null)) return 'event';
  }
  return null;
}

describe('what nodes write', () => {
  const written = WRITTEN.flatMap(([file, item]) => sentences(rust(file, item)).map((s) => [s, wording(s)] as const));
  it('has words, or a reason why not', () => {
    expect(written.length).toBeGreaterThan(80);
    const unknown = written.filter(([s, w]) => w === null && !Object.hasOwn(UNTOLD, s)).map(([s]) => s);
    expect(unknown).toEqual([]);
  });
  it('is what the words are for', () => {
    const used = new Set([...written.map(([, w]) => w), ...clusterSettings().map((s) => answerOf(s.accepted)?.[0])]);
    expect([...Object.keys(ANSWERS), ...Object.keys(LISTED)].filter((k) => !used.has(k))).toEqual([]);
  });
  it('is left out for a reason', () => {
    const all = new Set(written.map(([s]) => s));
    expect(Object.keys(UNTOLD).filter((s) => !all.has(s))).toEqual([]);
  });
});
