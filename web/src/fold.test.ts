import { describe, expect, test } from 'vitest';
import { fold, matcher } from './fold';

describe('search', () => {
  test.each([
    ['mueller', 'Müller, Jürgen'],
    ['muller', 'Müller, Jürgen'],
    ['MÜLLER', 'Mueller, Jürgen'],
    ['jürgen müller', 'Müller, Jürgen'],
    ['gross', 'Groß, Anna'],
    ['weiß', 'Weiss, Anna'],
    ['yildiz', 'Yıldız, Ömer'],
    ['celik', 'Çelik, Zoë'],
    ['zoe', 'Çelik, Zoë'],
  ])('%s finds %s', (query, label) => {
    expect(matcher(query)(fold(label))).toBe(true);
  });

  test('every word has to occur', () => {
    expect(matcher('müller paul')(fold('Müller, Jürgen'))).toBe(false);
  });

  test('decomposed umlauts fold like composed ones', () => {
    expect(fold('Mu\u0308ller')).toEqual(fold('Müller'));
  });
});
