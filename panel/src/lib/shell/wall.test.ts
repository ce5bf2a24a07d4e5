import { expect, it, vi } from 'vitest';

/** A browser's history: setting the address adds an entry at once, going back happens later. */
class Tab {
  entries = [
    { hash: '#/hosts', state: null as unknown },
    { hash: '#/engines', state: null as unknown },
  ];
  at = 1;
  private pending = 0;
  private changed: () => void = () => {};

  constructor() {
    vi.stubGlobal('addEventListener', (_: string, f: () => void) => (this.changed = f));
    vi.stubGlobal('location', this);
    vi.stubGlobal('history', this);
  }
  get hash(): string {
    return this.entries[this.at]?.hash ?? '';
  }
  set hash(hash: string) {
    this.entries = [...this.entries.slice(0, ++this.at), { hash, state: null }];
  }
  get state(): unknown {
    return this.entries[this.at]?.state;
  }
  replaceState(state: unknown, _: string, hash = this.hash): void {
    this.entries[this.at] = { hash, state };
  }
  back(): void {
    this.pending++;
  }
  /** What the browser does between two tasks. */
  settle(): void {
    this.at = Math.max(0, this.at - this.pending);
    this.pending = 0;
    this.changed();
  }
}

vi.mock('../i18n/i18n.svelte', () => ({ i18n: { t: { shell: { wallLeave: '' } } } }));
vi.mock('../ui/toasts.svelte', () => ({ toasts: { show: () => {} } }));

it('is left for the page before it, however often the key is pressed meanwhile', async () => {
  const tab = new Tab();
  const { wall } = await import('./wall');
  for (const presses of [1, 2, 3]) {
    wall.toggle();
    expect([wall.on, tab.hash]).toEqual([true, '#/overview?wall=1']);
    for (let i = 0; i < presses; i++) wall.toggle();
    tab.settle();
    expect([wall.on, tab.hash], `${presses} presses`).toEqual([false, '#/engines']);
  }
});
