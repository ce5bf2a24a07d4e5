import { afterEach, beforeEach, expect, it, vi } from 'vitest';

/** So long each request takes, in milliseconds; somebody types the key for `takes`. */
const REQUEST = 400;
const typed = vi.hoisted(() => ({ key: '' as string | null, takes: 12_000 }));
const key = vi.hoisted(() => ({
  value: null as string | null,
  required: true,
  get ready() {
    return this.value !== null || !this.required;
  },
  async ask() {
    await new Promise((r) => setTimeout(r, typed.takes));
    return (this.value = typed.key);
  },
  async want() {
    if (!this.ready) await this.ask();
  },
}));

vi.mock('../feed/feed.svelte', () => ({ feed: { base: 'http://a:8000/' } }));
vi.mock('./key.svelte', () => ({ key }));

const TYPING = typed.takes;
const { ApiError } = await import('./error');
const { timed } = await import('./client');

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(key, { value: null, required: true });
});
afterEach(() => void vi.useRealTimers());

let made = 0;

/** Gives these answers in turn, each after the time of a request. */
function calls(...statuses: number[]) {
  return async () => {
    made++;
    await new Promise((r) => setTimeout(r, REQUEST));
    const response = new Response('{}', { status: statuses.shift() ?? 500 });
    Object.defineProperty(response, 'url', { value: 'http://a:8000/streams/1' });
    return response.ok ? { data: 'done', response } : { error: {}, response };
  };
}

it('a change asks for the key before it is sent, and takes no longer for the typing', async () => {
  [typed.key, made] = ['secret', 0];
  const done = timed(calls(200));
  await vi.advanceTimersByTimeAsync(TYPING - 1);
  expect(made).toBe(0);
  await vi.advanceTimersByTimeAsync(1 + REQUEST);
  expect(await done).toEqual({ data: 'done', tookMs: REQUEST });
  expect(made).toBe(1);
});

it('a change asks again when the key was wrong', async () => {
  [typed.key, made] = ['right', 0];
  key.value = 'wrong';
  const done = timed(calls(403, 200));
  await vi.advanceTimersByTimeAsync(TYPING + 2 * REQUEST);
  expect(await done).toEqual({ data: 'done', tookMs: REQUEST });
  expect(made).toBe(2);
});

it('a change on a cluster without a key is made at once', async () => {
  made = 0;
  key.required = false;
  const done = timed(calls(200));
  await vi.advanceTimersByTimeAsync(REQUEST);
  expect(await done).toEqual({ data: 'done', tookMs: REQUEST });
});

it('a change is not made when no key is typed', async () => {
  [typed.key, made] = [null, 0];
  const done = expect(timed(calls())).rejects.toBeInstanceOf(ApiError);
  await vi.advanceTimersByTimeAsync(TYPING + REQUEST);
  await done;
  expect(made).toBe(0);
});
