/** Asks for logs of containers: the last lines, or lines as they come. */
import { ApiError, read, write } from '../api/client';
import { key } from '../api/key.svelte';
import type { LogEntry } from '../api/types';
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

/**
 * Opens a log that goes on until `signal`: behind a position, or with the newest lines before. Throws an {@link ApiError} when it
 * cannot be read.
 */
export async function open(
  container: string,
  from: { behind: string } | { newest: number },
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const behind = 'behind' in from;
  const url = address(container, behind ? 'follow=true' : `follow=true&tail=${from.newest}`);
  const response = await write<Response>(async () => {
    const place: Record<string, string> = behind ? { 'Last-Event-ID': from.behind } : {};
    const r = await fetch(url, { headers: { ...headers(), ...place }, signal });
    return r.ok ? { data: r, response: r } : { error: await r.json().catch(() => ({})), response: r };
  });
  if (response.body === null) throw new ApiError(0, '', null, container);
  return response.body;
}
