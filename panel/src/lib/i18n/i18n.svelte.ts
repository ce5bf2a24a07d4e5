/** All words of all pages, in the language that the viewer chose. */
import { prefs } from '../store/prefs.svelte';
import { en, type Words } from './en';
import { es } from './es';

export const languages: Record<'en' | 'es', Words> = { en, es };

class I18n {
  get t(): Words {
    return languages[prefs.lang];
  }
}

export const i18n = new I18n();
