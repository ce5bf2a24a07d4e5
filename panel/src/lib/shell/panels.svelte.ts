/** Which dialog of the shell is open. */
export type Panel = 'palette' | 'keys' | 'more' | 'join';

class Panels {
  open: Panel | null = $state(null);

  close(): void {
    this.open = null;
  }
}

export const panels = new Panels();
