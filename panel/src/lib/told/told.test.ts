import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LogEvent } from '../feed/types';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { EVENT_KINDS, wordingOf } from './sayings';
import { blocked, cause, clause, ended, passedOver, told } from './told';

/** What nodes write, one of each kind. */
const SAID: [kind: string, message: string, inSpanish: string][] = [
  [
    'engine/reserved',
    'acestream-7 on node-b is to start: it replaces acestream-3 on node-a',
    'acestream-7 arranca en node-b: reemplaza a acestream-3 en node-a',
  ],
  [
    'engine/reserved',
    'acestream-7 on node-b is to start: it replaces engine 3',
    'acestream-7 arranca en node-b: reemplaza a engine 3',
  ],
  [
    'engine/reserved',
    'acestream-7 on node-b is to start: a caller asks for it',
    'acestream-7 arranca en node-b: lo pide un cliente',
  ],
  [
    'system/settings_changed',
    'the configuration of node-a gives the settings of the cluster',
    'la configuración de node-a da los ajustes del clúster',
  ],
  [
    'system/settings_changed',
    'the configuration of the leader gives the settings of the cluster: MAX_REPLICAS 20 → 40',
    'la configuración del líder da los ajustes del clúster: MAX_REPLICAS 20 → 40',
  ],
  ['engine/created', 'acestream-7 started on node-b', 'acestream-7 funciona en node-b'],
  ['engine/failed', 'acestream-7 on node-b: no such image', 'acestream-7 no arrancó en node-b: no such image'],
  [
    'engine/retiring',
    'acestream-7 is offered no more (vpn_port_changed)',
    'acestream-7 ya no se ofrece: su VPN reenvía otro puerto',
  ],
  ['engine/stopping', 'acestream-7 is being removed (idle)', 'acestream-7 se está parando: estaba libre'],
  ['engine/deleted', 'acestream-7 is gone (oom): killed', 'acestream-7 ya no existe: se quedó sin memoria (killed)'],
  ['engine/adopted', 'acestream-7 on node-b was adopted', 'acestream-7 de node-b fue adoptado'],
  ['stream/ended', 'stream 3b1c|c81f ended (engine_gone)', 'la emisión 3b1c|c81f terminó: su motor ya no existe'],
  ['stream/ended', 'stream 3b1c|c81f ended (viewer left)', 'la emisión 3b1c|c81f terminó: viewer left'],
  [
    'stream/found',
    'acestream-7 still plays what was stream 3b1c|c81f',
    'acestream-7 aún reproduce lo que fue la emisión 3b1c|c81f',
  ],
  [
    'vpn/connected',
    'VPN g1 on node-a is connected again; its engines are replaced one by one',
    'la VPN g1 de node-a está conectada otra vez; sus motores se reemplazan uno a uno',
  ],
  ['vpn/disconnected', 'VPN g1 on node-a is disconnected: timeout', 'la VPN g1 de node-a está caída: timeout'],
  [
    'vpn/port_changed',
    'VPN g1 on node-a has no forwarded port any more',
    'la VPN g1 de node-a ya no tiene puerto reenviado',
  ],
  [
    'health/failed',
    'acestream-7 is unhealthy: it answers too slowly',
    'acestream-7 falla: responde demasiado despacio',
  ],
  [
    'health/failed',
    'the circuit breaker over general is open after 5 failures in a row, lastly: acestream-7 on node-b: exit 1',
    'los arranques están en pausa (general): fallaron 5 seguidos, el último acestream-7 on node-b: exit 1',
  ],
  [
    'health/recovered',
    'the circuit breaker over node-a is closed: an engine has lived for a minute',
    'los arranques siguen (node-a): un motor ha durado un minuto',
  ],
  [
    'health/reset',
    'the circuit breakers over new engines are reset',
    'los arranques se permiten de nuevo: se restableció un cortacircuitos',
  ],
  [
    'system/node_unavailable',
    'node-b is unavailable: it answers no member; one of its 9 engines does not answer either, and is lost',
    'node-b está ausente, ningún miembro lo oye: 1 de sus 9 motores tampoco responde y se pierde',
  ],
  [
    'system/node_available',
    'node-b answers again; 2 of its 9 engines have not answered yet',
    'node-b responde de nuevo; 2 de sus 9 motores aún no han respondido',
  ],
  [
    'system/leader_changed',
    'node-b leads since term 14, after node-c',
    'node-b es líder desde el mandato 14, tras node-c',
  ],
  [
    'system/settings_changed',
    'the settings are those of revision 3 again: MAX_REPLICAS 40 → 60',
    'los ajustes son otra vez los de la revisión 3: MAX_REPLICAS 40 → 60',
  ],
  ['system/settings_changed', 'MAX_REPLICAS 40 → 60', 'ajustes: MAX_REPLICAS 40 → 60'],
];

const event = (kind: string, message: string, details: LogEvent['details'] = {}): LogEvent => {
  const [event_type, category] = kind.split('/') as [LogEvent['event_type'], string];
  return {
    id: 1,
    timestamp: '',
    event_type,
    category,
    message,
    details,
    container_id: null,
    stream_id: null,
    by: null,
  };
};

describe('events', () => {
  it.each(SAID)('%s: %s', (kind, message, spanish) => {
    expect(wordingOf(kind, message)).not.toBeNull();
    expect(told(event(kind, message), es)).toBe(spanish);
    expect(told(event(kind, message), en)).not.toMatch(/undefined|\b[a-z]+_[a-z]+\b/);
  });
  it('of kinds or words that nobody knows are shown as the node wrote them', () => {
    expect(told(event('system/eclipse', 'the sun is gone'), es)).toBe('the sun is gone');
    expect(told(event('system/cordoned', 'node-a rests'), es)).toBe('node-a rests');
  });
  it('say why another member leads, and who asked for it', () => {
    const by = { name: 'API key', address: '10.0.0.1', node: 'node-c' };
    const why = (details: object) =>
      [en, es].map((w) => {
        const e = event('system/leader_changed', 'b leads since term 2, after a', details as LogEvent['details']);
        return told(e, w).split(': ')[1];
      });
    expect(why({ reason: 'asked', asked_by: by })).toEqual([
      'asked for by API key · 10.0.0.1',
      'pedido por clave de API · 10.0.0.1',
    ]);
    expect(why({ reason: 'asked', asked_by: { ...by, name: 'acexy', key: 'acexy' } })[1]).toBe(
      'pedido por acexy · 10.0.0.1',
    );
    expect(why({ reason: 'asked', asked_by: { ...by, name: 'command line', address: null } })).toEqual([
      'asked for by command line · node-c',
      'pedido por línea de órdenes · node-c',
    ]);
    expect(why({ reason: 'asked' })).toEqual(['it was asked for', 'alguien lo pidió']);
    expect(why({ reason: 'leader_stopped' })).toEqual(['the leader before was stopped', 'el líder anterior se paró']);
    expect(why({ reason: 'leader_drained' })).toEqual(['the leader before drains', 'el líder anterior se vacía']);
    expect(why({ reason: 'unknown' })).toEqual([
      'the leader before fell silent',
      'el líder anterior dejó de responder',
    ]);
    expect(why({ reason: 'eclipse' })).toEqual(['eclipse', 'eclipse']);
    expect(why({})).toEqual([undefined, undefined]);
  });
  it('name the first leader by their details', () => {
    expect(told(event('system/leader_changed', 'node 1234 leads since term 1', { node: 'node-a' }), en)).toBe(
      'node-a leads since term 1',
    );
  });
});

describe('reasons', () => {
  it('follow their codes, with what is particular to the moment', () => {
    expect(passedOver({ code: 'cordoned', message: 'is cordoned' }, es)).toBe('está acordonado');
    expect(passedOver({ code: 'docker', message: 'cannot use its Docker: no route' }, es)).toBe(
      'no puede usar su Docker: no route',
    );
    expect(passedOver({ code: 'full', message: 'runs 20 engines, as many as …', setting: 'MAX_REPLICAS' }, es)).toBe(
      'está lleno: tiene 20 motores, tantos como MAX_REPLICAS permite a todos los hosts juntos',
    );
    expect(passedOver({ code: 'full', message: 'runs 20 engines, which is its ACEFLEET_CAPACITY' }, es)).toContain(
      '20 motores',
    );
    expect(
      passedOver(
        { code: 'failing', message: 'the circuit breaker over node-a is open after 5 failures in a row, lastly: x' },
        es,
      ),
    ).toBe('no consigue arrancar motores: fallaron 5 arranques seguidos, el último x');
    expect(passedOver({ code: 'haunted', message: 'is haunted' }, es)).toBe('is haunted');
    expect(blocked({ code: 'no_free_ports', message: 'x' }, es)).toBe('No queda ningún puerto de host: x');
    expect(
      blocked({ code: 'vpn_disconnected', message: 'no VPN is connected (g1 on a: the container is exited)' }, es),
    ).toBe('ninguna VPN está conectada (g1 de a: su contenedor está en estado exited)');
  });
  it('are said once where a code and its sentence begin alike', () => {
    expect(blocked({ code: 'no_host', message: 'no host can start an engine now: node-a is cordoned' }, es)).toBe(
      'ningún host puede aceptar un motor ahora: node-a está acordonado',
    );
  });
  it('of engines and streams are words, and others stay as they are', () => {
    expect(cause('idle_ttl', en)).toBe('it was idle for IDLE_TTL_S');
    expect(ended('unviewed', es)).toBe('30\u00a0s sin cifras ni clientes');
    expect([ended('client_disconnected', en), ended('client_disconnected', es)]).toEqual([
      'the viewer left',
      'el espectador se fue',
    ]);
    expect(ended('viewer left', es)).toBe('viewer left');
    expect(clause('it stops when its streams have ended: replaced', es)).toBe(
      'para cuando terminen sus emisiones: un cliente de la API pidió reemplazarlo',
    );
  });
});

describe('what nodes write', () => {
  const dir = new URL('../../../../cluster/registry/src/', import.meta.url);
  const source = (path: string) => readFileSync(new URL(path, dir), 'utf8');
  const apply = readdirSync(new URL('apply/', dir)).filter((f) => f.endsWith('.rs') && !f.includes('test'));
  const known = new Set(SAID.map(([kind]) => kind));

  const snake = (s: string) => s.replace(/(?!^)([A-Z])/g, '_$1').toLowerCase();
  const variants = (path: string, name: string): string[] => {
    const body = new RegExp(`pub enum ${name} \\{(.*?)\\n\\}`, 's').exec(source(path))?.[1] ?? '';
    return [...body.matchAll(/(?:strum\(serialize = "([^"]+)"\)\]\s+)?^ {4}([A-Z]\w+),/gm)].map(
      (m) => m[1] ?? snake(m[2] ?? ''),
    );
  };
  it('has a word for each kind of event', () => {
    const written = new Set(variants('records/category.rs', 'MemberCategory').map((word) => `system/${word}`));
    for (const file of apply)
      for (const m of source(`apply/${file}`).matchAll(/EventType::(\w+),\s*"(\w+)"/g))
        written.add(`${m[1]?.toLowerCase()}/${m[2]}`);
    expect(written.size).toBeGreaterThan(25);
    expect([...written].filter((k) => !EVENT_KINDS.has(k))).toEqual([]);
    expect([...known].filter((k) => !EVENT_KINDS.has(k))).toEqual([]);
  });

  it('has a word for each cause, and each end of a stream', () => {
    const causes = variants('records/cause.rs', 'Cause');
    const ends = variants('records/end_reason.rs', 'EndReason');
    expect([causes.length, ends.length].every((n) => n > 8)).toBe(true);
    expect(causes.sort()).toEqual(Object.keys(en.causes).sort());
    expect(ends.sort()).toEqual(Object.keys(en.ends).sort());
  });
  it('has a word for each obstacle of a host', () => {
    const codes = [...source('rules/hosts.rs').matchAll(/Self::\w+(?:\(_\)| \{ \.\. \})? => "(\w+)"/g)].map(
      (m) => m[1],
    );
    expect(codes.sort()).toEqual(Object.keys(en.passedOver).sort());
  });
});
