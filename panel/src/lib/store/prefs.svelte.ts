/** What the viewer chose, remembered by the browser. */
import { setLocale } from '../format/format';

export type Theme = 'dark' | 'light' | 'system';
export type Lang = 'en' | 'es';

const stored = <T extends string>(name: string, of: readonly T[], or: T): T => {
  const v = localStorage.getItem(`acefleet.${name}`);
  return of.find((x) => x === v) ?? or;
};
const keep = (name: string, v: string) => localStorage.setItem(`acefleet.${name}`, v);

class Prefs {
  theme: Theme = $state(stored('theme', ['dark', 'light', 'system'], 'system'));
  lang: Lang = $state(stored('lang', ['en', 'es'], navigator.language.startsWith('es') ? 'es' : 'en'));
  narrow: boolean = $state(stored('narrow', ['1', '0'], '0') === '1');

  constructor() {
    setLocale(this.lang);
  }

  setTheme(t: Theme): void {
    this.theme = t;
    keep('theme', t);
  }

  nextTheme(): void {
    this.setTheme(this.theme === 'dark' ? 'light' : this.theme === 'light' ? 'system' : 'dark');
  }

  setLang(l: Lang): void {
    setLocale(l);
    this.lang = l;
    keep('lang', l);
  }

  toggleNarrow(): void {
    this.narrow = !this.narrow;
    keep('narrow', this.narrow ? '1' : '0');
  }
}

export const prefs = new Prefs();
