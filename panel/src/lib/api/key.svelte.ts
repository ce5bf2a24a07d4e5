/** Who has signed in: the key is entered once and given for a token. That is kept for this tab, sent in a header and never in an address. */
import { ApiError } from './error';
import type { components } from './schema';

const NAME = 'acefleet.key';
/** A node that hangs is waited for so long, in milliseconds. */
const ANSWER_MS = 5000;

class Key {
  /** The token, or what was kept before there were any. */
  value: string | null = $state(sessionStorage.getItem(NAME));
  /** Behind the word for signing out: who has signed in, if that is known. */
  who = $state('');
  /** When the token is due to be renewed, on the clock of the browser; at once when it was kept. */
  renewAt = $state(this.value === null ? Infinity : 0);
  /** Resolves the question that is open, with false when it was put off. */
  private waiting: ((signedIn: boolean) => void)[] = [];
  asking = $state(false);
  /** Whether the cluster wants a key; null until it has said so. */
  required: boolean | null = $state(null);
  /** The last key was refused. */
  refused = $state(false);

  /** Opens the question; gives whether somebody has signed in. */
  ask(refused = false): Promise<boolean> {
    this.refused = refused;
    this.asking = true;
    return new Promise((r) => this.waiting.push(r));
  }

  answer(signedIn: boolean): void {
    this.asking = false;
    for (const w of this.waiting.splice(0)) w(signedIn);
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
    if (this.required === null) await this.show(base);
    if (!this.ready) await this.ask();
  }

  /** Shows a node a key, or what is kept, for a token; without either it says whether a key is wanted. What is refused is forgotten. */
  async show(base: string, shown = this.value): Promise<Response> {
    const before = this.value;
    const r = await fetch(new URL('session', base), {
      method: 'POST',
      headers: shown === null ? {} : { Authorization: `Bearer ${shown}` },
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch(() => {
      throw new ApiError(0, '', null, base);
    });
    // Somebody has signed out or in by now.
    if (this.value !== before) return r;
    if (r.ok) {
      const s = (await r.json()) as components['schemas']['SessionState'];
      const token = s.token ?? null;
      this.required = token !== null;
      if (token === null) this.forget();
      else {
        this.value = token;
        this.who = `: ${s.name} (${s.role})`;
        // In the middle of its life.
        this.renewAt = Date.now() + (s.ends_in_seconds ?? 0) * 500;
        sessionStorage.setItem(NAME, token);
      }
    } else if (r.status === 401 || r.status === 403) {
      this.required = true;
      this.forget();
    }
    return r;
  }

  /** Signs out: nobody else knows of the token. */
  forget(): void {
    this.value = null;
    this.who = '';
    this.renewAt = Infinity;
    sessionStorage.removeItem(NAME);
  }
}

export const key = new Key();
