/** A change of settings that is being made: what is typed, what it means. */
import type { Json, Setting } from '../../lib/api/types';

/** What is in a field, by name of the setting. */
export type Draft = Record<string, string>;

export const shown = (v: Json): string => (v === null ? '' : String(v));

/** The value that a field stands for; undefined when it is not accepted. */
export function parse(s: Setting, text: string): Json | undefined {
  const t = text.trim();
  if (s.type === 'boolean') return t === 'true';
  if (s.type === 'ports' || s.type === 'label') return t === '' ? undefined : t;
  if (!/^-?\d+(\.\d+)?$/.test(t)) return undefined;
  const n = Number(t);
  if (s.type === 'integer' && !Number.isInteger(n)) return undefined;
  if ((s.minimum != null && n < s.minimum) || (s.maximum != null && n > s.maximum)) return undefined;
  return n;
}

/** Settings whose field differs from what is in force. */
export const edited = (list: readonly Setting[], draft: Draft): Setting[] =>
  list.filter((s) => s.name in draft && draft[s.name] !== shown(s.value));

/** Names of fields whose text stands for no value, from the top of the page on. */
export const invalid = (list: readonly Setting[], draft: Draft): string[] =>
  edited(list, draft)
    .filter((s) => parse(s, draft[s.name] ?? '') === undefined)
    .map((s) => s.name);

/** The body of the change; null while a field is not accepted. */
export function body(list: readonly Setting[], draft: Draft): Record<string, Json> | null {
  if (invalid(list, draft).length > 0) return null;
  return Object.fromEntries(edited(list, draft).map((s) => [s.name, parse(s, draft[s.name] ?? '') as Json]));
}

/** Settings under the headings of the documents, in their order. */
export function sections(list: readonly Setting[]): { title: string; settings: Setting[] }[] {
  const by = new Map<string, Setting[]>();
  for (const s of list) by.set(s.section, [...(by.get(s.section) ?? []), s]);
  return [...by].map(([title, settings]) => ({ title, settings }));
}

export interface DiffLine {
  kind: 'a' | 'r' | 'c';
  text: string;
}

/** Lines of a diff: what changes, within the settings of the same headings. */
export function diff(list: readonly Setting[], draft: Draft): DiffLine[] {
  const changed = new Set(edited(list, draft).map((s) => s.name));
  const sectionsOf = new Set(list.filter((s) => changed.has(s.name)).map((s) => s.section));
  const near = list.filter((s) => sectionsOf.has(s.section));
  const width = Math.max(0, ...near.map((s) => s.name.length)) + 2;
  return near.flatMap((s): DiffLine[] => {
    const line = (v: string) => s.name.padEnd(width) + v;
    if (!changed.has(s.name)) return [{ kind: 'c', text: line(shown(s.value)) }];
    return [
      { kind: 'r', text: line(shown(s.value)) },
      { kind: 'a', text: line(draft[s.name] ?? '') },
    ];
  });
}
