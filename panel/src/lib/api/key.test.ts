import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const BASE = 'http://a:8000/';
const asked = vi.fn<(url: URL) => Promise<Response>>();

vi.stubGlobal('sessionStorage', { getItem: () => null, setItem: () => {}, removeItem: () => {} });
vi.stubGlobal('fetch', asked);

beforeEach(() => vi.resetModules());
afterEach(() => void asked.mockReset());
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
  key.answer(null);
  await wanted;
});

it('a node that does not say it is asked, and what was found out stays', async () => {
  const key = await fresh();
  key.greeted(null);
  asked.mockResolvedValue(Response.json({ required: false }));
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
