import { expect, test } from 'vitest';
import { imapLimits } from '../../../src/shared/limits.ts';
import { findCommandWordEnd, ImapTokenizer } from '../../../src/shared/wire/imap-tokenizer.ts';

/** Reads all of `text`, seeing `step` bytes more each time a token is not complete. */
function tokensOf(text: string, step: number, isLiteralMinus = false): string[] {
  const tokenizer = new ImapTokenizer(isLiteralMinus);
  tokenizer.reset(0);
  const tokens: string[] = [];
  let end = Math.min(step, text.length);
  for (;;) {
    const token = tokenizer.next(text, tokenizer.position, end);
    if (token === 'more') {
      if (end === text.length) return [...tokens, 'more'];
      end = Math.min(end + step, text.length);
    } else if (token === 'argument') tokens.push(`${tokenizer.kind}:${tokenizer.value}`);
    else if (token === 'error') return [...tokens, `error:${tokenizer.error}`];
    else tokens.push(token);
    if (token === 'end') return tokens;
  }
}

test.each([
  ['a NIL nil "NIL"\r\n', ['atom:a', 'nil:NIL', 'nil:nil', 'string:NIL', 'end']],
  ['(a (NIL) "b")\n', ['open', 'atom:a', 'open', 'nil:NIL', 'close', 'string:b', 'close', 'end']],
  ['"a\\"\\\\\\x"\r\n', ['string:a"\\x', 'end']],
  ['{3}\r\na\r\n {2+}\nb)\r\n', ['prompt', 'string:a\r\n', 'string:b)', 'end']],
  ['a"b\r\n', ['error:Invalid characters in atom']],
  ['(a\r\n', ['open', 'atom:a', "error:Missing ')'"]],
  ['"abc', ['more']],
  ['{3', ['more']],
  ['~', ['more']],
  ['~x\r', ['atom:~x', 'more']],
])('%j', (text, tokens) => {
  for (const step of [1, 2, 3, text.length]) expect(tokensOf(text, step)).toEqual(tokens);
});

test('an error leaves the line end to be skipped', () => {
  const tokenizer = new ImapTokenizer(false);
  tokenizer.reset(0);
  expect(tokenizer.next('"abc\r\n', 0, 6)).toBe('error');
  expect(tokenizer.position).toBeLessThanOrEqual(4);
});

test.each([
  [imapLimits.literalMinusBytes, ['more']],
  [imapLimits.literalMinusBytes + 1, ['error:Non-synchronizing literal size too large']],
])('a literal of %i bytes under LITERAL-', (size, tokens) => {
  expect(tokensOf(`{${size}+}\r\n`, 1, true)).toEqual(tokens);
});

test.each([
  ['a ', true, 1],
  ['a\r', true, 1],
  ['ab', true, -1],
  [' ', true, -2],
  ['\r\n', true, -2],
  ['a+b ', true, -2],
  ['a+b ', false, 3],
  ['a\xe9 ', false, -2],
  ['a\0 ', false, -2],
  ['a\\ ', false, -2],
  ['a* ', false, -2],
])('the word %j (tag: %s) ends at %i', (text, isTag, end) => {
  expect(findCommandWordEnd(text, 0, text.length, isTag)).toBe(end);
});
