import { expect, test } from 'vitest';
import { parsePop3Command, tabEscape, tabUnescape } from '../../../src/shared/wire/pop3-line.ts';

test.each([
  ['quit', 'QUIT', ''],
  ['', '', ''],
  ['Pass  a b ', 'PASS', ' a b '],
  [' USER a', '', 'USER a'],
])('%j', (line, name, argument) => {
  expect(parsePop3Command(line)).toEqual({ name, argument });
});

test('tab-escaping', () => {
  const text = 'a\0b\x01c\td\re\nf';
  expect(tabEscape(text)).toBe('a\x010b\x011c\x01td\x01re\x01nf');
  expect(tabUnescape(tabEscape(text))).toBe(text);
  expect(tabUnescape('a\x01xb\x01')).toBe('axb');
});
