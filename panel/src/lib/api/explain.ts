import type { Words } from '../i18n/en';
import { ApiError } from './client';
import { meanwhile, Moved } from './moved';

/** Why a call failed, in a sentence of the viewer's language with the node's own words. */
export function explain(e: unknown, t: Words): string {
  if (e instanceof Moved) return meanwhile(e, t);
  if (!(e instanceof ApiError)) return `${t.states.callFailed} ${e instanceof Error ? e.message : String(e)}`;
  if (e.status === 0) return `${t.states.callFailed} ${t.states.noAnswer}.`;
  if (e.status === 401) return `${t.states.callFailed} ${t.states.noKey}.`;
  if (e.status === 403) return `${t.states.callFailed} ${e.message || t.states.wrongKey}.`;
  const field = e.field === null ? '' : `${e.field}: `;
  return `${t.states.callFailed} ${field}${e.message || e.status}.`.replace(/\.\.$/, '.');
}

/** The reason alone, for places that say themselves what failed. */
export function reason(e: unknown, t: Words): string {
  if (!(e instanceof ApiError)) return e instanceof Error ? e.message : String(e);
  if (e.status === 0) return t.states.noAnswer;
  if (e.status === 401) return t.states.noKey;
  return e.message || String(e.status);
}
