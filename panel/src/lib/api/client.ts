/** Typed calls to the node that the feed comes from. */
import createClient, { type Client, type Middleware } from 'openapi-fetch';
import { feed } from '../feed/feed.svelte';
import { ApiError } from './error';
import { key } from './key.svelte';
import { codeOf, detailOf } from './refusal';
import type { paths } from './schema';

/** Longest time that a call may take; removing a member or an engine may take 20 s. */
const LIMIT_MS = 25_000;

const withKey: Middleware = {
  onRequest({ request }) {
    if (key.value !== null) request.headers.set('Authorization', `Bearer ${key.value}`);
    return request;
  },
};

let client: { base: string; api: Client<paths> } | null = null;

/** The client of the node that the page is live from. */
export function api(): Client<paths> {
  const base = feed.base;
  if (client?.base !== base) {
    const api = createClient<paths>({ baseUrl: base.replace(/\/$/, ''), cache: 'no-store' });
    api.use(withKey);
    client = { base, api };
  }
  return client.api;
}

type Result<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

/** Gives the data of an answer, or throws an {@link ApiError}. */
export async function read<T>(call: () => Result<T>): Promise<T> {
  let r: Awaited<Result<T>>;
  try {
    r = await Promise.race([call(), timeout()]);
  } catch (e) {
    throw e instanceof ApiError ? e : new ApiError(0, '', null, feed.base);
  }
  if (r.response.ok) return r.data as T;
  throw toError(r.error, r.response);
}

/** As {@link read}, for what needs the key: asks for it first when it is missing, and once more when it was wrong. */
export const write = async <T>(call: () => Result<T>): Promise<T> => (await timed(call)).data;

/** As {@link write}, with the time that the request took which was answered; a key that was typed before is no part of it. */
export async function timed<T>(call: () => Result<T>): Promise<{ data: T; tookMs: number }> {
  const once = async () => {
    const from = performance.now();
    const data = await read(call);
    return { data, tookMs: performance.now() - from };
  };
  // A call that is sure to be refused is not made: it would stand in the console as an error.
  await key.want(feed.base);
  if (!key.ready) throw new ApiError(401, '', null, feed.base);
  try {
    return await once();
  } catch (e) {
    if (!(e instanceof ApiError) || (e.status !== 401 && e.status !== 403)) throw e;
    // The token is over, or its key has ended.
    if (e.status === 401) key.forget();
    if (!(await key.ask(key.value !== null))) throw e;
    return once();
  }
}

function timeout(): Promise<never> {
  return new Promise((_, no) => setTimeout(() => no(new ApiError(0, '', 'timeout', feed.base)), LIMIT_MS));
}

/** What an answer says that is none. */
export function toError(body: unknown, response: Response): ApiError {
  const asked = new URL(response.url).pathname;
  const detail = detailOf(body);
  if (Array.isArray(detail)) {
    const first = detail[0] as { msg?: string; loc?: unknown[] } | undefined;
    const field = first?.loc?.at(-1);
    return new ApiError(
      response.status,
      // What stands before a reason of the node's own is a habit of validators.
      (first?.msg ?? '').replace(/^Value error, /, ''),
      'invalid',
      asked,
      field === undefined ? null : String(field),
    );
  }
  if (typeof detail === 'object' && detail !== null) {
    const { message } = detail as { message?: string };
    return new ApiError(response.status, message ?? '', codeOf(body), asked);
  }
  return new ApiError(response.status, typeof detail === 'string' ? detail : '', null, asked);
}
