import { describe, expect, test } from 'vitest';
import { SieveTokenizer } from '../../../src/shared/wire/sieve-tokenizer.ts';

const MAX_BYTES = 20;

/** All tokens of a line, as `token:value`; an error ends it. */
function tokens(line: string, window = line.length): string[] {
  const tokenizer = new SieveTokenizer();
  tokenizer.reset(MAX_BYTES);
  const found: string[] = [];
  let position = 0;
  for (;;) {
    const token = tokenizer.next(line, position, Math.min(line.length, position + window));
    const hasMoved = tokenizer.position > position;
    position = tokenizer.position;
    if (token === 'error') {
      found.push(`error:${tokenizer.error}${tokenizer.isFatal ? '!' : ''}`);
      return found;
    }
    if (token === 'more') {
      if (hasMoved) continue;
      found.push('more');
      return found;
    }
    found.push(token === 'atom' || token === 'string' ? `${token}:${tokenizer.value}` : token);
    if (token === 'end') return found;
  }
}

/** The same, being shown one more byte at a time. */
function tokensByteByByte(line: string): string[] {
  const tokenizer = new SieveTokenizer();
  tokenizer.reset(MAX_BYTES);
  const found: string[] = [];
  let position = 0;
  for (let end = 0; end <= line.length; end++) {
    for (;;) {
      const token = tokenizer.next(line, position, end);
      position = tokenizer.position;
      if (token === 'more') break;
      if (token === 'error') {
        found.push(`error:${tokenizer.error}${tokenizer.isFatal ? '!' : ''}`);
        return found;
      }
      found.push(token === 'atom' || token === 'string' ? `${token}:${tokenizer.value}` : token);
      if (token === 'end') return found;
    }
  }
  found.push('more');
  return found;
}

describe('a line', () => {
  test.each([
    ['\r\n', ['end']],
    ['  \n', ['end']],
    ['ADDR=::1 b\r\n', ['atom:ADDR=::1', 'atom:b', 'end']],
    ['"" "a b"\r\n', ['string:', 'string:a b', 'end']],
    ['"a\\"b\\\\"\r\n', ['string:a"b\\', 'end']],
    ['"\xc3\xa9"\r\n', ['string:\xc3\xa9', 'end']],
    ['"\t\x01"\r\n', ['string:\t\x01', 'end']],
    ['{5+}\r\na"\r\nb\r\n', ['string:a"\r\nb', 'end']],
    ['{5}\nhello x\n', ['string:hello', 'atom:x', 'end']],
    ['{0+}\r\n"a"\r\n', ['string:', 'string:a', 'end']],
    ['{20+}\r\n12345678901234567890\r\n', ['string:12345678901234567890', 'end']],
    ['(TAG "x") "y"\r\n', ['open', 'atom:TAG', 'string:x', 'close', 'string:y', 'end']],
  ])('%j', (line, expected) => {
    expect(tokens(line)).toEqual(expected);
    expect(tokensByteByByte(line)).toEqual(expected);
  });
});

describe('an error', () => {
  test.each([
    ['"\xe9"\r\n', 'error:Invalid UTF-8 character in quoted-string.'],
    ['"a\0"\r\n', 'error:NULs not allowed in strings'],
    ['"a\r\n"\r\n', 'error:String contains invalid character.'],
    ['"\\a"\r\n', 'error:Escaped quoted-string character is not a QUOTED-SPECIAL.'],
    ['{1+}\r\n\xff\r\n', 'error:Invalid UTF-8 character in literal string.'],
    ['{1+}\r\n\0\r\n', 'error:Invalid UTF-8 character in literal string.'],
    ['{}\r\n', 'error:Invalid literal size'],
    ['{+}\r\n', 'error:Invalid literal size'],
    ['{x}\r\n', 'error:Invalid literal size'],
    ['{1+1}\r\n', "error:Expecting '}' after '+'"],
    ['{1+}x', 'error:Missing LF after literal size'],
    ['{21+}\r\n', 'error:Literal size too large!'],
    ['{99999999999999999999}\r\n', 'error:Literal size too large!'],
    ['a{1}\r\n', 'error:Invalid characters in atom'],
    ['a"b"\r\n', 'error:Invalid characters in atom'],
    ['\xe9\r\n', 'error:8bit data in atom'],
    ['\x01\r\n', 'error:Invalid characters in atom'],
    ['\rx', 'error:CR sent without LF'],
  ])('%j', (line, expected) => {
    expect(tokens(line)).toEqual([expected]);
    expect(tokensByteByByte(line)).toEqual([expected]);
  });
});

test.each(['', 'abc', '"abc', '"abc\\', '{3+', '{3+}', '{3+}\r', '{3+}\r\nab', '\r'])(
  '%j is not whole',
  (line) => {
    expect(tokens(line)).toEqual(['more']);
  },
);

test('a token that does not fit into the window never comes', () => {
  expect(tokens('     "12345"\r\n', 6)).toEqual(['string:12345', 'end']);
  expect(tokens('"123456"\r\n', 6)).toEqual(['more']);
  expect(tokens('{6+}\r\n123456\r\n', 6)).toEqual(['string:123456', 'end']);
});
