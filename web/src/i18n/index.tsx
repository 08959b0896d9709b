import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { I18nProvider } from 'react-aria-components';
import { de, type Text } from './de';
import { en } from './en';

export type { Text };
export type Language = 'de' | 'en';
const TEXTS: Record<Language, Text> = { de, en };
export const LANGUAGES: Language[] = ['de', 'en'];
const KEY = 'verbund.language';

interface Choice {
  text: Text;
  language: Language;
  choose(language: Language): void;
}

const Context = createContext<Choice>({ text: de, language: 'de', choose: () => undefined });

export function preferred(stored: string | null, languages: readonly string[]): Language {
  if (stored === 'de' || stored === 'en') return stored;
  const first = languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === 'de' || tag === 'en');
  return (first as Language | undefined) ?? 'en';
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(() => preferred(localStorage.getItem(KEY), navigator.languages));
  const choice = useMemo<Choice>(
    () => ({
      text: TEXTS[language],
      language,
      choose: (next) => {
        localStorage.setItem(KEY, next);
        setLanguage(next);
      },
    }),
    [language],
  );
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  return (
    <Context.Provider value={choice}>
      <I18nProvider locale={language === 'de' ? 'de-DE' : 'en-US'}>{children}</I18nProvider>
    </Context.Provider>
  );
}

export const useLanguage = (): Choice => useContext(Context);
export const useText = (): Text => useContext(Context).text;
export const languageName = (language: Language): string => TEXTS[language].languageName;

/** Today: the time; else date and time. */
export function moment(text: Text, iso: string, now = new Date()): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit' };
  if (at.toDateString() === now.toDateString()) return at.toLocaleTimeString(text.locale, time);
  return at.toLocaleString(text.locale, { day: '2-digit', month: '2-digit', year: 'numeric', ...time });
}
