/** Short news of what was done. */
export interface Toast {
  id: number;
  text: string;
  undo: (() => Promise<unknown>) | null;
  bad: boolean;
}

/** An undo is offered, and a failure is shown, for so long; other news stay half of it. In milliseconds. */
const UNDO_MS = 10_000;

class Toasts {
  list: Toast[] = $state([]);
  private next = 1;

  /** Says that something did not work. */
  fail(text: string): void {
    this.show(text, null, true);
  }

  show(text: string, undo: Toast['undo'] = null, bad = false): void {
    const id = this.next++;
    this.list.push({ id, text, undo, bad });
    if (this.list.length > 4) this.list.shift();
    setTimeout(() => this.close(id), undo === null && !bad ? UNDO_MS / 2 : UNDO_MS);
  }

  close(id: number): void {
    this.list = this.list.filter((t) => t.id !== id);
  }
}

export const toasts = new Toasts();
