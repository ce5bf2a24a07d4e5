/** The key that changes need: asked once, kept for this tab, sent in a header and never in an address. */
const NAME = 'acefleet.key';

class Key {
  value: string | null = $state(sessionStorage.getItem(NAME));
  /** Resolves the question that is open, with null when it was put off. */
  private waiting: ((k: string | null) => void)[] = [];
  asking = $state(false);
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

  forget(): void {
    this.value = null;
    sessionStorage.removeItem(NAME);
  }
}

export const key = new Key();
