// The language of the page: Russian, or English if the user has chosen it or the browser asks for it.
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
  localStorage.setItem(storageKey, next);
  setLanguage(next);
}

/** Returns the language for a user: the stored one, or else English for browsers without Russian. */
export function preferredLanguage(): Language {
  const stored = localStorage.getItem(storageKey);
  if (stored === 'ru' || stored === 'en') return stored;
  return navigator.languages.some((each) => each.startsWith('ru')) ? 'ru' : 'en';
}
