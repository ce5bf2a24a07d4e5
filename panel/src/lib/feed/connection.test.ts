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
  for (const [i, piece] of ['event: snapshot\ndata: {"nodes"', ':[]', '}'].entries()) {
    send(piece);
    await vi.waitFor(() => expect(heard).toHaveBeenCalledTimes(i + 1));
  }
  expect(frame).not.toHaveBeenCalled();
  send('\n\n');
  await vi.waitFor(() => expect(frame).toHaveBeenCalledWith({ kind: 'snapshot', data: { nodes: [] } }));
  stop();
});

const refusals: [name: string, body: string, code: string][] = [
  ['behind', '{"detail":{"error":"read_blocked","code":"behind","message":"not yet"}}', 'behind'],
  ['of another code', '{"detail":{"code":"busy","message":"it is not \\"code\\": \\"behind\\""}}', 'status'],
  ['in words alone', '{"detail":"\\"code\\": \\"behind\\""}', 'status'],
  ['of a proxy', '<html>"code": "behind"</html>', 'status'],
];
it.each(refusals)('a refusal %s is told by its code', async (_, body, code) => {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(body, { status: 503 })));
  const closed = vi.fn();
  open('http://a:8000/', '9d1f3c0a-1-1', null, { heard: () => {}, frame: () => {}, closed });
  await vi.waitFor(() => expect(closed).toHaveBeenCalledWith({ code, status: 503, detail: body }));
});
