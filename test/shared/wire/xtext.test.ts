import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeXtext, encodeXtext } from '../../../src/shared/wire/xtext.ts';

test.each([
  ['', ''],
  ['client.test', 'client.test'],
  ['a+b=c d', 'a+2Bb+3Dc+20d'],
  ['\0\r\n\x7f\xe9', '+00+0D+0A+7F+E9'],
  ['!*,-<>~', '!*,-<>~'],
])('%j is written %j', (bytes, text) => {
  expect(encodeXtext(bytes)).toBe(text);
  expect(decodeXtext(text)).toBe(bytes);
});

test.each(['+', '+2', '+2b', '+GG', 'a=b', 'a b', 'a\r', '\x7f', '\xe9', 'a\n'])(
  '%j is none',
  (text) => {
    expect(decodeXtext(text)).toBeNull();
  },
);

test('any bytes come back', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      expect(decodeXtext(encodeXtext(text))).toBe(text);
      expect(encodeXtext(text)).toMatch(/^[!-<>-~]*$/);
    }),
  );
});
