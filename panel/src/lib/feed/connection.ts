/** The thin part of the feed: one `fetch` whose body is read piece by piece. */
import { codeOf } from '../api/refusal';
import type { components } from '../api/schema';
import { decode } from './decode';
import type { Reason } from './machine';
import { SseParser } from './sse';
import type { Frame } from './types';

export interface Listener {
  /** Bytes came. A snapshot is megabytes: over a slow link it takes longer than a node may be silent. */
  heard(): void;
  frame(frame: Frame): void;
  closed(reason: Reason): void;
}

/** The code of a node that does not have the place yet at which the feed is to go on. */
const BEHIND: components['schemas']['Blocked']['code'] = 'behind';
/** Newest events that the first connection asks for. */
const TAIL = 300;

/** Opens the feed at a base address; gives a function that ends it. `closed` is called once at the most. */
export function open(base: string, lastId: string | null, key: string | null, to: Listener): () => void {
  const abort = new AbortController();
  let over = false;
  const end = (reason: Reason) => {
    if (over) return;
    over = true;
    abort.abort();
    to.closed(reason);
  };
  void read(
    base,
    lastId,
    key,
    abort.signal,
    { heard: () => over || to.heard(), frame: (f) => over || to.frame(f) },
    end,
  );
  return () => {
    over = true;
    abort.abort();
  };
}

async function read(
  base: string,
  lastId: string | null,
  key: string | null,
  signal: AbortSignal,
  to: { heard: () => void; frame: (f: Frame) => void },
  end: (reason: Reason) => void,
): Promise<void> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (lastId !== null) headers['Last-Event-ID'] = lastId;
  if (key !== null) headers['Authorization'] = `Bearer ${key}`;
  try {
    const res = await fetch(new URL(`events/stream?tail=${TAIL}`, base), { headers, signal, cache: 'no-store' });
    if (!res.ok || res.body === null) {
      return end(refusal(res.status, await res.text()));
    }
    const reader = res.body.getReader();
    const text = new TextDecoder();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return end({ code: 'ended' });
      to.heard();
      for (const raw of parser.push(text.decode(value, { stream: true }))) {
        let f: Frame | null;
        try {
          f = decode(raw);
        } catch (e) {
          return end({ code: 'unreadable', detail: String(e) });
        }
        if (f !== null) to.frame(f);
      }
    }
  } catch (e) {
    end({ code: 'network', detail: String(e) });
  }
}

/** Why a node does not answer with a feed. One that is behind the place that was asked for says so. */
function refusal(status: number, body: string): Reason {
  const detail = body.slice(0, 500);
  return { code: codeOf(parsed(body)) === BEHIND ? 'behind' : 'status', status, detail };
}

/** A proxy between may answer with a page of its own, which has no code. */
function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
