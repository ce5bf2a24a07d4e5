import { describe, expect, it } from 'vitest';
import { en } from './en';
import { es } from './es';

type Leaf = string | ((...a: never[]) => string);

function leaves(o: object, path = ''): [string, Leaf][] {
  return Object.entries(o).flatMap(([k, v]) =>
    typeof v === 'object' && v !== null
      ? leaves(v as object, `${path}${k}.`)
      : ([[`${path}${k}`, v as Leaf]] as [string, Leaf][]),
  );
}

/** Facts of events: each is there. */
const FACTS = new Proxy({}, { get: (_, name) => (name === 'other' ? '2 of 3' : '2') });
const said = (l: Leaf, k: string): string =>
  typeof l === 'string'
    ? l
    : /^(told|clauses|answers)\./.test(k)
      ? (l as (f: unknown) => string)(FACTS)
      : (l as (...a: unknown[]) => string)(...(/^passedOver/.test(k) ? ['2', '3'] : [2, 3, 4, 5]));
/** English shows these as nodes word them; tests of their own compare the Spanish with that. */
const AS_NODES = /^(answers|catalogue)\b/;
const common = (all: [string, Leaf][]) => all.filter(([k]) => !AS_NODES.test(k));
const english = common(leaves(en));
const spanish = new Map(common(leaves(es)));
/** Words that are the same in both languages. */
const SAME =
  /^(pages\.(hosts|vpn)|hosts\.(docker|fsync|startHost|drainMinutes)|engines\.(startWhere|host|vpn|cpu|port|memory|startHost)|streams\.(host|id)|keyTypes\.(infohash|url)|vpn\.provider|logs\.(info|error|levels)|cluster\.api|states\.error|n\.hosts|overview\.hosts|common\.no|keys\.|events\.types\.vpn|attention\.soon|engine\.vpn|shell\.)/;

describe('languages', () => {
  it('have the same words', () => {
    expect([...spanish.keys()].sort()).toEqual(english.map(([k]) => k).sort());
  });
  it('leave none empty, and none that speaks of undefined', () => {
    for (const [k, l] of [...english, ...leaves(es)]) {
      const s = said(l, k);
      if (k !== 'engines.startHost') expect(s.length, k).toBeGreaterThan(0);
      expect(s, k).not.toMatch(/undefined|NaN|\[object/);
    }
  });
  it('are translated', () => {
    const same = english.filter(([k, l]) => said(l, k) === said(spanish.get(k) ?? '', k) && !SAME.test(k));
    expect(same.map(([k, l]) => `${k}: ${said(l, k)}`)).toEqual([]);
  });
  it('name a moment of an earlier day as well as a time of this one', () => {
    const day = '9 ene 14:05';
    const { shell, hosts, cluster, events } = es;
    const said = [
      shell.staleTail(day),
      hosts.noContact(day),
      cluster.leadersSince(day),
      events.resumed('a', '3 s', day, '7'),
    ];
    expect(said.filter((s) => !s.includes(day) || /\blas 9/.test(s))).toEqual([]);
  });
  it('take as many values', () => {
    for (const [k, l] of english)
      if (typeof l === 'function')
        expect((spanish.get(k) as { length: number }).length, k).toBeLessThanOrEqual(l.length);
  });
});
