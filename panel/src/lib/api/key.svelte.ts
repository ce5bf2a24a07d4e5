/** The key that changes need: asked once, kept for this tab, sent in a header and never in an address. */
import { ApiError } from './error';

const NAME = 'acefleet.key';
/** A node that hangs is waited for so long, in milliseconds. */
const ANSWER_MS = 5000;

/** What a node answers to somebody who shows this key. */
export const tryKey = (base: string, shown: string | null): Promise<Response> =>
  fetch(new URL('cluster/key', base), {
    headers: shown === null ? {} : { Authorization: `Bearer ${shown}` },
    signal: AbortSignal.timeout(ANSWER_MS),
  }).catch(() => {
    throw new ApiError(0, '', null, base);
  });

class Key {
  value: string | null = $state(sessionStorage.getItem(NAME));
  /** Resolves the question that is open, with null when it was put off. */
  private waiting: ((k: string | null) => void)[] = [];
  asking = $state(false);
  /** Whether the cluster wants a key; null until it has said so. */
  required: boolean | null = $state(null);
  /** The last key was refused. */
  refused = $state(false);

  /** Opens the question; gives what was entered, or null. */
  ask(refused = false): Promise<string | null> {
    this.refused = refused;
    this.asking = true;
    return new Promise((r) => this.waiting.push(r));
  }

  answer(k: string | null): void {
    if (k !== null) {
      this.value = k;
      sessionStorage.setItem(NAME, k);
    }
    this.asking = false;
    for (const w of this.waiting.splice(0)) w(k);
  }

  /** Calls that need the key may be made. Where nobody has said that one is wanted, the node that is called decides. */
  get ready(): boolean {
    return this.value !== null || this.required !== true;
  }

  /** They are not refused for want of a key, for all that is known: what nobody has asked for is called only then. */
  get sure(): boolean {
    return this.value !== null || this.required === false;
  }

  /** What the node of the feed says of itself; null leaves what was found out otherwise. */
  greeted(required: boolean | null): void {
    if (required !== null) this.required = required;
  }

  /** Asks for the key, unless the cluster needs none; where nobody has said so, one call tells. */
  async want(base: string): Promise<void> {
    if (this.value !== null) return;
    if (this.required === null) await this.check(base);
    if (!this.ready) await this.ask();
  }

  /** Asks a node whether a key is wanted; a kept one that is wrong is forgotten. */
  async check(base: string): Promise<void> {
    const r = await tryKey(base, this.value);
    if (r.ok) this.required = ((await r.json()) as { required: boolean }).required;
    else if (r.status === 401 || r.status === 403) {
      this.required = true;
      this.forget();
    }
  }

  forget(): void {
    this.value = null;
    sessionStorage.removeItem(NAME);
  }
}

export const key = new Key();
