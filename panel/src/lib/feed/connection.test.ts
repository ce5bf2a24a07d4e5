import { afterEach, expect, it, vi } from 'vitest';
import { open } from './connection';

afterEach(() => vi.unstubAllGlobals());

it('each piece of a frame is a sign of life, before the frame is whole', async () => {
  const bytes = new TextEncoder();
  let send: (text: string) => void = () => {};
  const body = new ReadableStream<Uint8Array>({ start: (c) => void (send = (t) => c.enqueue(bytes.encode(t))) });
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(body)));
  const heard = vi.fn();
  const frame = vi.fn();
  const stop = open('http://a:8000/', null, null, { heard, frame, closed: () => {} });
  for (const [i, piece] of ['event: snapshot\ndata: {"revision"', ':5', '}'].entries()) {
    send(piece);
    await vi.waitFor(() => expect(heard).toHaveBeenCalledTimes(i + 1));
  }
  expect(frame).not.toHaveBeenCalled();
  send('\n\n');
  await vi.waitFor(() => expect(frame).toHaveBeenCalledWith({ kind: 'snapshot', data: { revision: 5 } }));
  stop();
});
