/** Reads a log that is followed: frames of server-sent events until their end. */
import type { LogEntry } from '../api/types';
import { SILENT_MS } from '../feed/machine';
import { SseParser } from '../feed/sse';

/**
 * Gives each line with its position, behind which the log goes on later.
 *
 * The result is why no more will come, or null when the connection ended or fell silent: a node sends something each second.
 */
export async function follow(
  body: ReadableStream<Uint8Array>,
  line: (l: LogEntry, position: string | null) => void,
): Promise<string | null> {
  const reader = body.getReader();
  const text = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const piece = await soon(reader.read());
      if (piece === null || piece.done) return null;
      for (const f of parser.push(text.decode(piece.value, { stream: true }))) {
        if (f.event === 'line') line(JSON.parse(f.data) as LogEntry, f.id);
        else if (f.event === 'end') return (JSON.parse(f.data) as { reason: string }).reason;
      }
    }
  } finally {
    // Without this a silent node keeps one of the few connections that a browser has for it.
    void reader.cancel().catch(() => undefined);
  }
}

/** What comes in time; null after a silence. */
async function soon<T>(next: Promise<T>): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<null>((r) => (timer = setTimeout(() => r(null), SILENT_MS)));
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
