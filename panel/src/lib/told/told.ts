/** What nodes say of what happened and why, in the viewer's words. */
import type { components } from '../api/schema';
import type { By, LogEvent } from '../feed/types';
import type { Words } from '../i18n/en';
import { answerOf, clauseOf, listedOf, obstacleOf, wordingOf, type Facts } from './sayings';

type Obstacle = components['schemas']['PassedOver'];

interface Reason {
  code: string;
  message: string;
}

const known = <T extends object>(table: T, code: string): T[keyof T] | undefined =>
  Object.hasOwn(table, code) ? table[code as keyof T] : undefined;

/** Codes among the facts become words, clauses are said in turn. */
function said(f: Facts, w: Words): Facts {
  return {
    ...f,
    ...(f.n === 'one' ? { n: '1' } : {}),
    ...(f.cause === undefined ? {} : { cause: cause(f.cause, w) }),
    ...(f.reason === undefined ? {} : { reason: ended(f.reason, w) }),
    ...(f.why === undefined ? {} : { why: clause(f.why, w) }),
    ...(f.each === undefined ? {} : { each: list(f.each, w) }),
  };
}

/** An event as a sentence. The first leader's name was not known when its event was written; its details have it. */
export function told(e: LogEvent, w: Words): string {
  const found = wordingOf(`${e.event_type}/${e.category}`, e.message);
  if (found === null) return e.message;
  const [wording, facts] = found;
  const node = e.details.node;
  const sentence = w.told[wording](said({ ...facts, ...(node != null ? { node } : {}) }, w));
  const why = leaderReason(e, w);
  return why === null ? sentence : `${sentence}: ${why}`;
}

/** Why another member leads since this event; null for all others, and where its node does not say. */
function leaderReason(e: LogEvent, w: Words): string | null {
  const { reason, asked_by } = e.details;
  if (reason == null) return null;
  return known(w.leaderReasons, reason)?.(asked_by == null ? null : caller(asked_by, w)) ?? reason;
}

/** What fits a wording, in the language's words; null when it fits none, or the language has none. */
const worded = <K extends string>(found: [K, Facts] | null, words: Record<K, (f: Facts) => string> | null, w: Words) =>
  found === null || words === null ? null : words[found[0]](said(found[1], w));

/** What a node says to people: a reason that stands after what it explains or alone, an answer, a consequence. */
export const clause = (text: string, w: Words): string =>
  worded(clauseOf(text), w.clauses, w) ?? worded(answerOf(text), w.answers, w) ?? hostIs(text, w) ?? text;

/** An entry of a list. */
const listed = (text: string, w: Words): string => worded(listedOf(text), w.answers, w) ?? clause(text, w);
const list = (text: string, w: Words): string =>
  text
    .split('; ')
    .map((x) => listed(x, w))
    .join('; ');

/** The setting that bounds all hosts together. */
const ALL: NonNullable<Obstacle['setting']> = 'MAX_REPLICAS';

/** A host's name with why it is passed over; null where answers are shown as nodes word them. */
function hostIs(text: string, w: Words): string | null {
  if (w.answers === null) return null;
  const [, host, message] = /^(?!it )(\S+) (.+)$/s.exec(text) ?? [];
  const code = message === undefined ? null : obstacleOf(message);
  return message === undefined || code === null
    ? null
    : `${host} ${passedOver({ code, message, setting: message.includes(ALL) ? ALL : null }, w)}`;
}

/** Why an engine stops or did not start. */
export const cause = (code: string, w: Words): string => known(w.causes, code) ?? code;

/** Why a stream ended; events may say so in their own words. */
export const ended = (code: string, w: Words): string => known(w.ends, code) ?? known(w.proxyEnds, code) ?? code;

/** By what a stream is asked for. */
export const keyType = (code: string, w: Words): string => known(w.keyTypes, code) ?? code.replace('_', ' ');

/** What a caller showed: a named key is called by its name. */
export const credential = (name: string, w: Words): string => known(w.credentials, name) ?? name;

/** “API key · 10.0.0.9”, “command line · node-a”, “acexy · 10.0.0.9” of a named key. */
export const caller = (by: Pick<By, 'name' | 'node'> & { address?: string | null }, w: Words): string =>
  `${credential(by.name, w)} · ${by.address ?? by.node}`;

/** What follows the first colon is particular to the moment. */
const particular = (message: string): string => /: (.+)$/s.exec(message)?.[1] ?? '';

/** Why a host gets no new engine, to follow its name. */
export function passedOver(r: Obstacle, w: Words): string {
  const say = known(w.passedOver, r.code);
  if (say === undefined) return r.message;
  const why = r.setting ?? clause(r.code === 'failing' ? r.message : particular(r.message), w);
  return say(why, /\d+/.exec(r.message)?.[0] ?? '');
}

/** Why no engine can be started; the node's sentence follows where it says more, and takes its place where it begins alike. */
export function blocked(r: Reason, w: Words): string {
  const word = known(w.blockedBy, r.code);
  const why = clause(r.message, w);
  return word === undefined || why.toLowerCase().startsWith(word.toLowerCase()) ? why : `${word}: ${why}`;
}
