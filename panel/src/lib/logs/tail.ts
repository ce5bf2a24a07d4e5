/** Asks for logs of containers: the last lines, or lines as they come. */
import { read, write } from '../api/client';
import { ApiError } from '../api/error';
import { key } from '../api/key.svelte';
import type { LogEntry } from '../api/types';
import { feed } from '../feed/feed.svelte';
import type { Place } from './place';

/** Lines that are asked of each container at first. */
const FIRST = 300;

const headers = (): Record<string, string> => (key.value === null ? {} : { Authorization: `Bearer ${key.value}` });

function ask(container: string, query: string, more: Record<string, string> = {}, signal?: AbortSignal) {
  const url = new URL(`containers/${encodeURIComponent(container)}/logs?${query}`, feed.base);
  return fetch(url, { headers: { ...headers(), ...more }, ...(signal && { signal }) });
}

async function lines(response: Response) {
  const body = (await response.json().catch(() => ({}))) as { entries?: LogEntry[] };
  return { data: body.entries ?? [], error: body, response };
}

/** The newest lines; does not ask for the key. */
export const tail = (container: string, count: number): Promise<LogEntry[]> =>
  read(async () => lines(await ask(container, `tail=${count}`)));

/** Where to begin: with the newest lines, or at the time of the last one that was read. */
const from = (place: Place): string => (place.at === null ? `tail=${FIRST}` : `since=${encodeURIComponent(place.at)}`);

/** The lines behind a place. */
export async function since(container: string, place: Place, signal: AbortSignal): Promise<LogEntry[]> {
  const all = await write(async () => lines(await ask(container, from(place), {}, signal)));
  return all.filter(place.behind());
}

/**
 * Opens a log that goes on until `signal`, behind a place; lines of its time come again when it has no position.
 *
 * Throws an {@link ApiError} when it cannot be read.
 */
export async function open(container: string, place: Place, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const known = place.position;
  const response = await write<Response>(async () => {
    const r =
      known === null
        ? await ask(container, `follow=true&${from(place)}`, {}, signal)
        : await ask(container, 'follow=true', { 'Last-Event-ID': known }, signal);
    return r.ok ? { data: r, response: r } : { error: await r.json().catch(() => ({})), response: r };
  });
  if (response.body === null) throw new ApiError(0, '', null, container);
  return response.body;
}
