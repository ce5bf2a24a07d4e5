import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SILENT_MS } from '../feed/machine';
import { follow } from './follow';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function run() {
  const cancelled = vi.fn();
  let out!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (c) => void (out = c), cancel: cancelled });
  const lines: [string, string | null][] = [];
  const end = follow(body, (l, position) => lines.push([l.text, position]));
  const send = async (text: string, afterMs = 0) => {
    await vi.advanceTimersByTimeAsync(afterMs);
    out.enqueue(new TextEncoder().encode(text));
    await vi.advanceTimersByTimeAsync(0);
  };
  return { send, lines, end, cancelled, close: () => out.close() };
}
const line = (n: number) => `event: line\nid: ${n}\ndata: {"at":"","stream":"stdout","text":"line ${n}"}\n\n`;

describe('a log that is followed', () => {
  it('gives lines with their positions, until its end', async () => {
    const r = run();
    await r.send(line(1) + line(2).slice(0, 20));
    await r.send(line(2).slice(20) + 'event: end\ndata: {"reason":"it exited"}\n\n');
    expect(await r.end).toBe('it exited');
    expect(r.lines).toEqual([
      ['line 1', '1'],
      ['line 2', '2'],
    ]);
  });

  it('goes on later when the connection ends', async () => {
    const r = run();
    await r.send(line(1));
    r.close();
    expect(await r.end).toBeNull();
  });

  it('leaves a node that is silent, and no connection behind; a comment is life', async () => {
    const r = run();
    let over = false;
    void r.end.then(() => (over = true));
    for (let i = 0; i < 5; i++) await r.send(': beat\n\n', SILENT_MS - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(SILENT_MS);
    expect(await r.end).toBeNull();
    expect(r.cancelled).toHaveBeenCalled();
  });
});
