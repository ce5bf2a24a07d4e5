/** One of a thing is called by its singular, in each word of each language that has a number in it. */
import { describe, expect, it } from 'vitest';
import { en } from './en';
import { es } from './es';

type Say = (...a: unknown[]) => string;

function functions(o: object, path = ''): [string, Say][] {
  return Object.entries(o).flatMap(([k, v]): [string, Say][] =>
    typeof v === 'function'
      ? [[`${path}${k}`, v as Say]]
      : typeof v === 'object' && v !== null
        ? functions(v as object, `${path}${k}.`)
        : [],
  );
}

/** Numbers of which each is one, or some of them. */
const NUMBERS = [
  [1, 1, 1, 1, 1],
  [1, 3, 3, 3, 3],
  [3, 1, 1, 1, 1],
  [1, 3, 1, 3, 1],
  [3, 1, 3, 1, 3],
];
const VOTES = [1, 3].map((n) => ({ voters: 3, alive: n, needed: n, may_fail: n }));
const FACTS = [
  { n: '1', all: '1', value: '1', other: '1 of 1' },
  { n: '1', all: '3', value: '1', other: '1 of 3' },
  { n: '3', all: '3', value: '1', other: '3 of 3' },
];
/** Functions whose numbers come as text, with their units. */
const TEXTS = /^(attention\.diskWhy|cluster\.diskFree)$/;
/** Facts that are no numbers. */
const NAMES = { name: 'x-9', node: 'x-9', vpn: 'x-9', stream: 'x-9', cause: 'x', reason: 'x' };

/** Everything that a function says of one thing. */
function says(path: string, say: Say): string[] {
  if (/^(told|clauses)\./.test(path)) return FACTS.map((f) => say({ ...NAMES, ...f }));
  // There a value is a name, a port or a range.
  if (path.startsWith('answers.')) return FACTS.map((f) => say({ ...NAMES, ...f, value: 'x-9' }));
  if (/\.remove(Now|After)$/.test(path)) return VOTES.map((v) => say(v));
  if (TEXTS.test(path)) return [say('5 x', '5 x')];
  return NUMBERS.map((args) => say(...(path.startsWith('passedOver.') ? args.map(String) : args)));
}

const ENGLISH = [
  // A plural behind a one. What ends with an s beside it is a verb.
  /\b1 (?!(?:is|has|was|as|ms|answers|needs|runs|plays|ends|gets|belongs|does|leads|gives|takes|says)\b)\p{L}+s\b/u,
  // A verb of many behind a single thing.
  /\b1 (?:\p{L}+ )?(?:engine|stream|host|voter|event|container|VPN)s? (?:(?!does|is|has)\p{L}+ ){0,2}(?:are|have|do|answer|run|play|end|get|belong)\b/u,
  /^1 of \d+ \p{L}+ (?:are|have|do|answer)\b/u,
];
const SPANISH = [
  /\b1 (?!(?:más|tras|es|está|antes|después)(?!\p{L}))\p{L}+s(?!\p{L})/u,
  // A verb of many around a single thing.
  /(?<!\p{L})\p{L}{3,}[aeo]n (?:falta )?1(?!\d)/u,
  /(?<!de )\b1 (?:\p{L}+ ){0,2}\p{L}{2,}[aeo]n(?!\p{L})/u,
];

describe.each([
  ['English', en, ENGLISH],
  ['Spanish', es, SPANISH],
])('%s', (_, words, wrong) => {
  it('calls one of a thing by its singular', () => {
    const found = functions(words).flatMap(([path, say]) =>
      [...new Set(says(path, say))]
        .map((s) => s.replaceAll('\u00a0', ' '))
        // No part is larger than its whole.
        .filter((s) => !/\b3 (?:of|de) (?:its |su )?1\b/.test(s) && wrong.some((w) => w.test(s)))
        .map((s) => `${path}: ${s}`),
    );
    expect(found).toEqual([]);
  });
});

it('what follows from a stop counts engines and streams apart, of none, one and two', () => {
  const said = ([en, es] as const).map((w) =>
    [0, 1, 2].flatMap((streams) => [1, 2].map((engines) => w.engines.stopStreams(streams, engines))),
  );
  expect(said[0]).toEqual([
    'No stream is on it.',
    'No stream is on them.',
    '1 stream ends. Its client reconnects to other engines.',
    '1 stream ends. Its client reconnects to other engines.',
    '2 streams end. Their clients reconnect to other engines.',
    '2 streams end. Their clients reconnect to other engines.',
  ]);
  expect(said[1]?.map((s) => s.split('.')[0])).toEqual([
    'No tiene ninguna emisión',
    'No tienen ninguna emisión',
    'Termina 1 emisión',
    'Termina 1 emisión',
    'Terminan 2 emisiones',
    'Terminan 2 emisiones',
  ]);
  // A floor that is just met needs no other engine.
  expect([2, 1, 0].map((left) => en.engines.stopFloor(left, 2, 2))).toEqual([
    '2 engines stay, and the floor is 2: none is started in their stead.',
    'The floor is 2: another engine is started in their stead.',
    'The floor is 2: 2 others are started in their stead.',
  ]);
});
