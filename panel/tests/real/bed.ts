/**
 * The cluster under test, and the words in which its owner is asked to break it.
 *
 * A line `bed: kill node-a` on standard output is a request. The owner answers each with one line: `ok`, or what went wrong.
 */
import { createInterface } from 'node:readline';
import type { components } from '../../src/lib/api/schema';

export type Cluster = components['schemas']['ClusterView'];
export type Entry = components['schemas']['EventEntry'];

export interface Node {
  name: string;
  /** Address of its API, with a slash at the end. */
  base: string;
}

/** What the owner of the bed does: end a node at once, start it again, change what a host's VPN pretends, let an engine hang. */
export type Deed = `kill ${string}` | `start ${string}` | `tunnel ${string} ${'up' | 'down'}` | `hang ${string}`;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export class Bed {
  constructor(
    readonly nodes: readonly Node[],
    readonly key: string,
  ) {}

  /** Reads `node-a=http://10.0.0.1:8000,node-b=…`. */
  static parse(text: string, key: string): Bed {
    const nodes = text.split(',').map((part) => {
      const [name, base] = part.split('=');
      if (!name || !base) throw new Error(`--nodes: ${part} is not NAME=URL`);
      return { name, base: base.endsWith('/') ? base : `${base}/` };
    });
    return new Bed(nodes, key);
  }

  node(name: string): Node {
    const found = this.nodes.find((n) => n.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Has something done, and waits until it is. */
  async have(deed: Deed): Promise<void> {
    console.log(`bed: ${deed}`);
    const { value, done } = await answers.next();
    if (done === true || value !== 'ok') throw new Error(`${deed}: ${done === true ? 'nobody answers' : value}`);
  }

  /** Calls a node. */
  async call(at: string, method: string, path: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.key}` };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const init: RequestInit = { method, headers, signal: AbortSignal.timeout(20_000) };
    if (body !== undefined) init.body = JSON.stringify(body);
    return fetch(new URL(path, this.node(at).base), init);
  }

  /** The same for an answer that has to be good. */
  async json<T>(at: string, method: string, path: string, body?: unknown): Promise<T> {
    const r = await this.call(at, method, path, body);
    const text = await r.text();
    if (!r.ok) throw new Error(`${method} ${path} at ${at}: ${r.status} ${text.slice(0, 300)}`);
    return JSON.parse(text) as T;
  }

  get<T>(at: string, path: string): Promise<T> {
    return this.json<T>(at, 'GET', path);
  }

  /** Waits for a leader that this node knows and that is not `other`; gives its name. */
  leader(at: string, other: string | null = null): Promise<string> {
    return eventually(`a leader in the place of ${other ?? 'none'}`, async () => {
      const { leader } = await this.get<Cluster>(at, 'cluster');
      if (!leader || leader === other) throw new Error(`it is ${leader}`);
      return leader;
    });
  }
}

/** Tries until it goes well, for 30 s at the most. */
export async function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const until = performance.now() + 30_000;
  for (;;) {
    try {
      return await attempt();
    } catch (e) {
      if (performance.now() > until) throw new Error(`waited 30 s for ${what}: ${String(e)}`);
      await new Promise((r) => setTimeout(r, 100));
    }
  }
}
