import type { Words } from '../i18n/en';
import { clause } from '../told/told';
import { ApiError } from './error';
import { meanwhile, Moved } from './moved';

/** Why a call failed, in a sentence. */
export function explain(e: unknown, t: Words): string {
  if (e instanceof Moved) return meanwhile(e, t);
  if (!(e instanceof ApiError)) return `${t.states.callFailed} ${e instanceof Error ? e.message : String(e)}`;
  if (e.status === 0) return `${t.states.callFailed} ${t.states.noAnswer}.`;
  if (e.status === 401) return `${t.states.callFailed} ${t.states.noKey}.`;
  const why = reason(e, t);
  const field = e.field === null || why.startsWith(e.field) ? '' : `${e.field}: `;
  return `${t.states.callFailed} ${field}${why}.`.replace(/\.\.$/, '.');
}

/** The reason alone, for places that say themselves what failed. */
export function reason(e: unknown, t: Words): string {
  if (!(e instanceof ApiError)) return e instanceof Error ? e.message : String(e);
  if (e.status === 0) return t.states.noAnswer;
  if (e.status === 401) return t.states.noKey;
  if (e.message !== '') return clause(e.message, t);
  return e.status === 403 ? t.states.wrongKey : String(e.status);
}
