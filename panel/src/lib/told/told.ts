/** What nodes say of what happened and why, in the viewer's words. */
import type { LogEvent } from '../feed/types';
import type { Words } from '../i18n/en';
import { clauseOf, wordingOf, type Facts } from './sayings';

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
  };
}

/** An event as a sentence. The first leader's name was not known when its event was written; its details have it. */
export function told(e: LogEvent, w: Words): string {
  const found = wordingOf(`${e.event_type}/${e.category}`, e.message);
  if (found === null) return e.message;
  const [wording, facts] = found;
  const node = e.details.node;
  return w.told[wording](said({ ...facts, ...(node != null ? { node } : {}) }, w));
}

/** A reason that stands after what it explains, or alone. */
export function clause(text: string, w: Words): string {
  const found = clauseOf(text);
  return found === null ? text : w.clauses[found[0]](said(found[1], w));
}

/** Why an engine stops or did not start. */
export const cause = (code: string, w: Words): string => known(w.causes, code) ?? code;

/** Why a stream ended; events may say so in their own words. */
export const ended = (code: string, w: Words): string => known(w.ends, code) ?? code;

/** What a caller showed. */
export const credential = (name: string, w: Words): string => known(w.credentials, name) ?? name;

/** What follows the first colon is particular to the moment. */
const particular = (message: string): string => /: (.+)$/s.exec(message)?.[1] ?? '';

/** Why a host gets no new engine, to follow its name. */
export function passedOver(r: Reason, w: Words): string {
  const say = known(w.passedOver, r.code);
  if (say === undefined) return r.message;
  return say(r.code === 'failing' ? clause(r.message, w) : particular(r.message), /\d+/.exec(r.message)?.[0] ?? '');
}

/** Why no engine can be started; the node's sentence follows where it says more. */
export function blocked(r: Reason, w: Words): string {
  const word = known(w.blockedBy, r.code);
  return word === undefined ? r.message : `${word}: ${r.message}`;
}
