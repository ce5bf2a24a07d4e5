/** Short news of what was done. */
export interface Toast {
  id: number;
  text: string;
  undo: (() => Promise<unknown>) | null;
}

/** An undo is offered for so long, other news stay half of it; in milliseconds. */
const UNDO_MS = 10_000;

class Toasts {
  list: Toast[] = $state([]);
  private next = 1;

  show(text: string, undo: (() => Promise<unknown>) | null = null): void {
    const id = this.next++;
    this.list.push({ id, text, undo });
    if (this.list.length > 4) this.list.shift();
    setTimeout(() => this.close(id), undo === null ? UNDO_MS / 2 : UNDO_MS);
  }

  close(id: number): void {
    this.list = this.list.filter((t) => t.id !== id);
  }
}

export const toasts = new Toasts();
