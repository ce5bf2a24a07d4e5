import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const BASE = 'http://a:8000/';
const asked = vi.fn<(url: URL, init: RequestInit) => Promise<Response>>();

const kept = new Map<string, string>();
const TOKEN = { token: 'acefleet_session_1', role: 'operator', name: 'ops', ends_at: 'x', ends_in_seconds: 43_200 };
const NONE = { token: null, role: 'admin', name: 'no key', ends_at: null, ends_in_seconds: null };

vi.stubGlobal('sessionStorage', {
  getItem: (k: string) => kept.get(k) ?? null,
  setItem: (k: string, v: string) => void kept.set(k, v),
  removeItem: (k: string) => void kept.delete(k),
});
vi.stubGlobal('fetch', asked);

beforeEach(() => vi.resetModules());
afterEach(() => (asked.mockReset(), kept.clear()));
const fresh = async () => (await import('./key.svelte')).key;

it('a node that says that no key is needed is not asked again', async () => {
  const key = await fresh();
  expect([key.ready, key.sure]).toEqual([true, false]);
  key.greeted(false);
  expect(key.sure).toBe(true);
  await key.want(BASE);
  expect([key.ready, key.asking, asked.mock.calls.length]).toEqual([true, false, 0]);
});

it('a node that says that a key is needed is not asked again, but people are', async () => {
  const key = await fresh();
  key.greeted(true);
  const wanted = key.want(BASE);
  expect([key.ready, key.asking, asked.mock.calls.length]).toEqual([false, true, 0]);
  key.answer(false);
  await wanted;
});

it('a node that does not say it is asked, and what was found out stays', async () => {
  const key = await fresh();
  key.greeted(null);
  asked.mockResolvedValue(Response.json(NONE));
  await key.want(BASE);
  expect(asked).toHaveBeenCalledOnce();
  key.greeted(null);
  expect(key.ready).toBe(true);
});

it('a node that does not answer fails the one who wants the key', async () => {
  const key = await fresh();
  asked.mockRejectedValue(new TypeError('Failed to fetch'));
  await expect(key.want(BASE)).rejects.toMatchObject({ status: 0 });
  expect(key.asking).toBe(false);
});

it('a node that is too busy to say it decides with the call itself, and nobody is asked before', async () => {
  const key = await fresh();
  asked.mockResolvedValue(new Response('', { status: 503 }));
  await key.want(BASE);
  expect([key.ready, key.asking]).toEqual([true, false]);
});

it('a key is given for a token, and the token alone is kept', async () => {
  const key = await fresh();
  asked.mockResolvedValue(Response.json(TOKEN));
  expect((await key.show(BASE, 'the key')).ok).toBe(true);
  const [url, init] = asked.mock.calls[0] ?? [];
  expect([String(url), init?.method, init?.headers]).toEqual([
    `${BASE}session`,
    'POST',
    { Authorization: 'Bearer the key' },
  ]);
  expect([key.value, key.who, key.required, [...kept.values()]]).toEqual([
    TOKEN.token,
    ': ops (operator)',
    true,
    [TOKEN.token],
  ]);
  expect(Math.abs(key.renewAt - Date.now() - 21_600_000)).toBeLessThan(5000);
});

it('a token is renewed by itself, and one that is over is forgotten', async () => {
  kept.set('acefleet.key', 'old');
  const key = await fresh();
  expect([key.value, key.renewAt]).toEqual(['old', 0]);
  asked.mockResolvedValue(Response.json(TOKEN));
  await key.show(BASE);
  expect(asked.mock.calls[0]?.[1].headers).toEqual({ Authorization: 'Bearer old' });
  asked.mockResolvedValue(new Response('', { status: 503 }));
  await key.show(BASE);
  expect(key.value).toBe(TOKEN.token);
  asked.mockResolvedValue(new Response('', { status: 401 }));
  await key.show(BASE);
  expect([key.value, key.who, key.renewAt, kept.size]).toEqual([null, '', Infinity, 0]);
});

it('who has signed out stays so when a renewal is answered later', async () => {
  kept.set('acefleet.key', 'old');
  const key = await fresh();
  let answer = (_: Response) => {};
  asked.mockReturnValue(new Promise((r) => (answer = r)));
  const renewed = key.show(BASE);
  key.forget();
  answer(Response.json(TOKEN));
  await renewed;
  expect([key.value, kept.size]).toEqual([null, 0]);
});
