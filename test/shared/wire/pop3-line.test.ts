import { expect, test } from 'vitest';
import { parsePop3Command } from '../../../src/shared/wire/pop3-line.ts';

test.each([
  ['quit', 'QUIT', ''],
  ['', '', ''],
  ['Pass  a b ', 'PASS', ' a b '],
  [' USER a', '', 'USER a'],
])('%j', (line, name, argument) => {
  expect(parsePop3Command(line)).toEqual({ name, argument });
});
