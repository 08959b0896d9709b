/**
 * Folds text for searching and sorting. German letters have two common spellings (ü: "ue" and "u"), so a record is
 * kept in both: "mueller", "muller" and "Müller" all find "Müller" and "Mueller".
 */
export interface Folded {
  /** Umlauts as letter + e (DIN 5007-2). */
  expanded: string;
  /** Umlauts as the bare letter (DIN 5007-1); also the order of the tree. */
  bare: string;
}

const EXPANDED: Record<string, string> = { ä: 'ae', ö: 'oe', ü: 'ue' };
const OTHERS: Record<string, string> = { ß: 'ss', ı: 'i', ł: 'l', ø: 'o', æ: 'ae', œ: 'oe', đ: 'd' };
const PLAIN = /^[\x20-\x7e]*$/;

export function fold(text: string): Folded {
  const lower = text.toLowerCase();
  if (PLAIN.test(lower)) return { expanded: lower, bare: lower };
  const others = lower.normalize('NFC').replace(/[ßıłøæœđ]/g, (letter) => OTHERS[letter] ?? letter);
  const expanded = others.replace(/[äöü]/g, (letter) => EXPANDED[letter] ?? letter);
  return { expanded: withoutMarks(expanded), bare: withoutMarks(others) };
}

function withoutMarks(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '');
}

/** True when each word of the query occurs in one of the spellings. */
export function matcher(query: string): (text: Folded) => boolean {
  const words = query.split(/\s+/).filter(Boolean).map(fold);
  return (text) => words.every((word) => text.expanded.includes(word.expanded) || text.bare.includes(word.bare));
}
