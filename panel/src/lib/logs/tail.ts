/** Reads logs of containers: the last lines, or lines as they come. */
import { ApiError, read, write } from '../api/client';
import { key } from '../api/key.svelte';
import type { LogEntry } from '../api/types';
import { SseParser } from '../feed/sse';
import { feed } from '../feed/feed.svelte';

interface Lines {
  lines?: string[];
  entries?: LogEntry[];
}

const address = (container: string, query: string) =>
  new URL(`containers/${encodeURIComponent(container)}/logs?${query}`, feed.state.base);
const headers = (): Record<string, string> => (key.value === null ? {} : { Authorization: `Bearer ${key.value}` });

/** The newest lines; nodes without times give their texts. */
export async function tail(container: string, count: number): Promise<LogEntry[]> {
  const body = await read<Lines>(async () => {
    const response = await fetch(address(container, `tail=${count}`), { headers: headers() });
    const json = (await response.json().catch(() => ({}))) as Lines;
    return { data: json, error: json, response };
  });
  return (
    body.entries?.slice(-count) ?? (body.lines ?? []).slice(-count).map((text) => ({ at: '', stream: 'stdout', text }))
  );
}

/** Follows a log until `signal`; gives each line, and throws an {@link ApiError} when it cannot be read. */
export async function follow(
  container: string,
  count: number,
  sinceIso: string | null,
  signal: AbortSignal,
  line: (l: LogEntry) => void,
): Promise<string> {
  const query = `follow=true&tail=${count}${sinceIso === null ? '' : `&since=${encodeURIComponent(sinceIso)}`}`;
  const response = await write<Response>(async () => {
    const r = await fetch(address(container, query), { headers: headers(), signal });
    return r.ok ? { data: r, response: r } : { error: await r.json().catch(() => ({})), response: r };
  });
  if (response.body === null) throw new ApiError(0, '', null, container);
  const reader = response.body.getReader();
  const text = new TextDecoder();
  const parser = new SseParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return 'closed';
    for (const f of parser.push(text.decode(value, { stream: true }))) {
      if (f.event === 'line') line(JSON.parse(f.data) as LogEntry);
      else if (f.event === 'end') return (JSON.parse(f.data) as { reason: string }).reason;
    }
  }
}
