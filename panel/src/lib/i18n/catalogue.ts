/** What cluster-wide settings are, in the viewer's language. English is what the API says. */
import type { SettingName, SettingSection, SettingUnit } from '../api/codes';
import type { Setting } from '../api/types';
import type { Words } from './en';

export interface Catalogue {
  sections: Record<SettingSection, string>;
  units: Record<SettingUnit, string>;
  /** What each is, in a sentence. */
  about: Record<SettingName, string>;
}

/** The word of the catalogue; what a node says whose settings are others. */
const word = (table: Readonly<Record<string, string>> | undefined, key: string): string | undefined =>
  table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;

export const sectionOf = (title: string, w: Words): string => word(w.catalogue?.sections, title) ?? title;
export const unitOf = (unit: string, w: Words): string => word(w.catalogue?.units, unit) ?? unit;
export const aboutOf = (s: Pick<Setting, 'name' | 'description'>, w: Words): string =>
  word(w.catalogue?.about, s.name) ?? firstSentence(s.description);

/** The first sentence of a description, without the marks of Markdown. */
export const firstSentence = (description: string): string => description.replace(/`/g, '').split(/(?<=\.)\s/)[0] ?? '';
