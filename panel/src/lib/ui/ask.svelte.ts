/** Questions before something is done that cannot be taken back. */
import type { Tone } from '../store/status';

export interface Consequence {
  tone: Tone;
  text: string;
}

export type Field =
  | { kind: 'select'; name: string; label: string; options: { value: string; text: string }[] }
  | { kind: 'check'; name: string; label: string };

export type Values = Record<string, string>;

export interface Question {
  title: string;
  text: string;
  fields?: Field[];
  /** What it will do, for what was chosen. */
  consequences: (values: Values) => Consequence[];
  /** Why it cannot be done, for what was chosen; null while it can. */
  barred?: (values: Values) => string | null;
  yes: string;
  danger: boolean;
  /** Does it; an error stays in the dialog. */
  run: (values: Values) => Promise<unknown>;
}

class Ask {
  question: Question | null = $state.raw(null);

  open(q: Question): void {
    this.question = q;
  }

  close(): void {
    this.question = null;
  }
}

export const ask = new Ask();
