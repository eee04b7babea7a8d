// The language of the page: the one that the user has chosen, else Russian for browsers that accept
// it, else English.
import { en } from './texts/en.js';
import { ru } from './texts/ru.js';
import type { Texts } from './texts/ru.js';

export type Language = 'ru' | 'en';

const dictionaries: Record<Language, Texts> = { ru, en };

/** The key of the chosen language in the local storage. */
const storageKey = 'talon-language';

/** The current language. */
export let language: Language = 'ru';

/** The texts of the page in the current language. */
export let t: Texts = ru;

/** Sets the language of the page, but not for later visits. */
export function setLanguage(next: Language): void {
  language = next;
  t = dictionaries[next];
}

/** Stores the language that the user has chosen, and sets it. */
export function chooseLanguage(next: Language): void {
  setLanguage(next);
  try {
    localStorage.setItem(storageKey, next);
  } catch {
    // The browser forbids the storage: the choice lasts until a reload.
  }
}

/** Returns the stored language. The browser can forbid the storage. */
function storedLanguage(): string | null {
  try {
    return localStorage.getItem(storageKey);
  } catch {
    return null;
  }
}

/** Returns the language for a user: the stored one, or else English for browsers without Russian. */
export function preferredLanguage(): Language {
  const stored = storedLanguage();
  if (stored === 'ru' || stored === 'en') return stored;
  return navigator.languages.some((each) => each.startsWith('ru')) ? 'ru' : 'en';
}
