import { expect, test } from 'vitest';
import { splitTabEscaped, tabEscape, tabUnescape } from '../../../src/shared/wire/tab-escape.ts';

test('tab-escaping', () => {
  const text = 'a\0b\x01c\td\re\nf';
  expect(tabEscape(text)).toBe('a\x010b\x011c\x01td\x01re\x01nf');
  expect(tabUnescape(tabEscape(text))).toBe(text);
  expect(tabUnescape('a\x01xb\x01')).toBe('axb');
});

test('the fields of a line', () => {
  expect(splitTabEscaped('')).toEqual([]);
  expect(splitTabEscaped('a\tb\x01tc\t')).toEqual(['a', 'b\tc', '']);
});
