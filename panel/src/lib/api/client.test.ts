import { afterEach, beforeEach, expect, it, vi } from 'vitest';

/** So long somebody types the key, and so long each request takes, in milliseconds. */
const TYPING = 12_000;
const REQUEST = 400;
const typed = vi.hoisted(() => ({ key: '' as string | null }));

vi.mock('../feed/feed.svelte', () => ({ feed: { base: 'http://a:8000/' } }));
vi.mock('./key.svelte', () => ({
  key: { value: null, found: () => {}, ask: () => new Promise((r) => setTimeout(() => r(typed.key), TYPING)) },
}));

const { ApiError } = await import('./error');
const { timed } = await import('./client');

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Gives these answers in turn, each after the time of a request. */
function calls(...statuses: number[]) {
  return async () => {
    await new Promise((r) => setTimeout(r, REQUEST));
    const response = new Response('{}', { status: statuses.shift() ?? 500 });
    Object.defineProperty(response, 'url', { value: 'http://a:8000/streams/1' });
    return response.ok ? { data: 'done', response } : { error: {}, response };
  };
}

it('a change takes as long as its last request, and not as long as the typing of the key', async () => {
  typed.key = 'secret';
  const done = timed(calls(401, 200));
  await vi.advanceTimersByTimeAsync(TYPING + 2 * REQUEST);
  expect(await done).toEqual({ data: 'done', tookMs: REQUEST });
});

it('a change is refused when no key is typed', async () => {
  typed.key = null;
  const done = expect(timed(calls(401))).rejects.toBeInstanceOf(ApiError);
  await vi.advanceTimersByTimeAsync(TYPING + REQUEST);
  await done;
});
