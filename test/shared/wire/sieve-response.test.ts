import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SieveLineSplitter } from '../../../src/shared/wire/sieve-line-splitter.ts';
import { formatSieveStatus, parseSieveResponse } from '../../../src/shared/wire/sieve-response.ts';
import { sieveString } from '../../../src/shared/wire/sieve-string.ts';

/** What the splitter makes of chunks. */
function split(maxBytes: number, ...chunks: string[]): { responses: string[]; rest: string } {
  const splitter = new SieveLineSplitter(maxBytes);
  const responses: string[] = [];
  let rest = '';
  for (const chunk of chunks) {
    splitter.push(Buffer.from(chunk, 'latin1'));
    for (let line = splitter.next(); line !== null; line = splitter.next()) {
      responses.push(line);
      rest = splitter.rest()?.toString('latin1') ?? '';
    }
  }
  if (splitter.isTooLong) responses.push('too long');
  return { responses, rest };
}

describe('responses', () => {
  test.each([
    ['OK\r\nNO\n', ['OK', 'NO']],
    ['OK "a {5}"\r\nOK\r\n', ['OK "a {5}"', 'OK']],
    ['OK a{5}\r\nOK\r\n', ['OK a{5}', 'OK']],
    ['NO {5}\r\na\r\nb\n\r\nOK\r\n', ['NO {5}\r\na\r\nb\n', 'OK']],
    ['{2+}\r\n\r\n\r\nOK\r\n', ['{2+}\r\n\r\n', 'OK']],
    ['NO (TAG {2}\nab) {0}\r\n\r\nOK\r\n', ['NO (TAG {2}\nab) {0}\r\n', 'OK']],
    ['{1}\r\n{1}\r\nOK\r\n', ['{1}\r\n{1}', 'OK']],
  ])('%j, however it is cut', (stream, expected) => {
    expect(split(100, stream).responses).toEqual(expected);
    expect(split(100, ...stream).responses).toEqual(expected);
    for (let at = 1; at < stream.length; at++) {
      expect(split(100, stream.slice(0, at), stream.slice(at)).responses).toEqual(expected);
    }
  });

  test('what is behind the last one is given back', () => {
    expect(split(100, 'OK "in"\r\n', 'NO {1}\r\na\r\n{3}\r\n\xff').rest).toBe('{3}\r\n\xff');
  });

  test.each([
    ['NO "123456"\r\n', 13],
    ['NO {5}\r\nhello\r\n', 15],
    ['NO {0}\r\n\r\n', 10],
  ])('%j is as long as it may be with a limit of %i bytes', (stream, size) => {
    expect(stream.length).toBe(size);
    expect(split(size + 1, stream).responses).toHaveLength(1);
    expect(split(size, stream).responses).not.toContain('too long');
    expect(split(size - 1, stream).responses).toEqual(['too long']);
    expect(split(size - 1, ...stream, 'OK\r\n').responses).toEqual(['too long']);
  });

  test('a literal that cannot fit is too long at once', () => {
    expect(split(100, 'NO {99999}\r\n').responses).toEqual(['too long']);
  });
});

describe('a status', () => {
  test.each([
    ['OK', { status: 'OK', code: '', codeName: '', text: null }],
    ['no "x"', { status: 'NO', code: '', codeName: '', text: 'x' }],
    ['NO (TryLater) "x"', { status: 'NO', code: 'TryLater', codeName: 'TRYLATER', text: 'x' }],
    ['BYE (a/b "c" 1) {1}\r\nx', { status: 'BYE', code: 'a/b "c" 1', codeName: 'A/B', text: 'x' }],
    [
      'OK (TAG {3}\r\na")) "Done"',
      { status: 'OK', code: 'TAG "a\\")"', codeName: 'TAG', text: 'Done' },
    ],
    ['OK (X ("a" (b)) c)', { status: 'OK', code: 'X ("a" (b)) c', codeName: 'X', text: null }],
    ['OK ()', { status: 'OK', code: '', codeName: '', text: null }],
  ])('%j', (response, expected) => {
    expect(parseSieveResponse(response)).toEqual({ kind: 'status', ...expected });
  });

  test('is written again as it was read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), fc.boolean(), (words, hasCode) => {
        const text = Buffer.from(words.replaceAll('\0', '')).toString('latin1');
        const code = hasCode ? `TAG ${sieveString(text, 'server')}` : '';
        const line = formatSieveStatus({ kind: 'status', status: 'NO', code, text });
        expect(split(200, `${line}\r\n`).responses).toEqual([line]);
        expect(parseSieveResponse(line)).toMatchObject({ status: 'NO', code, text });
      }),
    );
  });
});

test.each([
  ['"SASL" "PLAIN LOGIN"', ['SASL', 'PLAIN LOGIN']],
  ['"STARTTLS"', ['STARTTLS']],
  ['{4}\r\nSASL {5}\r\nPLAIN', ['SASL', 'PLAIN']],
  ['"MAXREDIRECTS" 4', ['MAXREDIRECTS', '4']],
  ['""', ['']],
])('strings: %j', (response, values) => {
  expect(parseSieveResponse(response)).toEqual({ kind: 'strings', values });
});

test.each([
  '',
  '* OK hi',
  '+OK hi',
  '220 hi',
  'OK hi',
  'OK "a" "b"',
  'OK (a',
  'OK ("a {',
  'OK "a',
  'OK {5}\r\nabc',
  'NO "\xe9"',
  '(OK)',
  '"a" (b)',
  'OKAY',
])('%j is no response', (response) => {
  expect(parseSieveResponse(response)).toBeNull();
});

test.each([
  ['', '""'],
  ['a"\\', '"a\\"\\\\"'],
  ['a\nb', '{3+}\r\na\nb'],
  ['x'.repeat(1023), `"${'x'.repeat(1023)}"`],
  ['x'.repeat(1024), `"${'x'.repeat(1024)}"`],
  ['x'.repeat(1025), `{1025+}\r\n${'x'.repeat(1025)}`],
])('a client sends %j', (text, expected) => {
  expect(sieveString(text, 'client')).toBe(expected);
  expect(sieveString(text, 'server')).toBe(expected.replace('+}', '}'));
});
