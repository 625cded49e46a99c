import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ManageSieveStreamWatch } from '../../../../src/workers/protocols/managesieve/stream-watch.ts';
import { assertAlways } from '../../../fuzz/fuzz-property.ts';
import { cut } from '../engine-harness.ts';

const FILE = 'test/workers/protocols/managesieve/stream-watch.test.ts';
const BYE = 'BYE "Kicked by admin"\r\n';

/** What may be said behind each of the chunks. */
function said(...chunks: string[]): string[] {
  const watch = new ManageSieveStreamWatch();
  return chunks.map((chunk) => {
    watch.fromBackend(Buffer.from(chunk, 'latin1'));
    return watch.goodbye('kicked');
  });
}

test('before the first byte, with the text of its reason', () => {
  const watch = new ManageSieveStreamWatch();
  expect(watch.goodbye('kicked')).toBe(BYE);
  expect(watch.goodbye('moved')).toBe('BYE (TRYLATER) "Kicked via director"\r\n');
  expect(watch.goodbye('shutdown')).toBe('BYE (TRYLATER) "Server shutting down."\r\n');
});

describe('a goodbye is said', () => {
  test.each([
    ['a status', 'OK "Putscript completed."\r\n'],
    ['a list', '"a" ACTIVE\r\n"b"\r\nOK\r\n'],
    ['a script', '{5}\r\nkeep;\r\nOK "done"\r\n'],
    ['a script that ends in a line end', '{7}\r\nkeep;\r\n\r\nOK\r\n'],
    ['a script that looks like an announcement', '{6}\r\n{99}\r\n\r\nOK\r\n'],
    ['an empty script', '{0}\r\n\r\nOK\r\n'],
    ['a literal in a code', 'OK (TAG {2}\r\na\n) "Done"\r\n'],
    ['two literals', 'NO (X {1}\r\n)) {3}\r\na\r\n\r\n'],
    ['a text that looks like an announcement', '"name {5}"\r\nNO "{5}"\r\n'],
    ['a word that looks like one', 'NO x{5}\r\n'],
    ['a long line that looks like one', `"${'x'.repeat(40)}{5}"\r\n`],
    ['a long line with one', `NO (X "${'x'.repeat(40)}") {2}\r\nab\r\n`],
  ])('behind %s, however it is cut', (_what, text) => {
    expect(said(text)).toEqual([BYE]);
    expect(said(...text)[text.length - 1]).toBe(BYE);
    for (let at = 1; at < text.length; at++) {
      expect(said(text.slice(0, at), text.slice(at))[1], `${at}`).toBe(BYE);
    }
  });
});

describe('no goodbye is said', () => {
  test.each([
    ['within a line', 'OK "do'],
    ['behind its CR', 'OK\r'],
    ['where a literal begins', '{4}\r\n'],
    ['within a literal, at the end of a line there', '{50}\r\nkeep;\r\n'],
    ['where a literal ends and its line does not', '{4}\r\nab\r\n'],
    ['behind an empty literal', '{0}\r\n'],
    ['behind a literal that has not come', `{${'9'.repeat(15)}}\r\n\r\n`],
  ])('%s', (_what, text) => {
    expect(said(text)).toEqual(['']);
    expect(said(...text).at(-1)).toBe('');
  });

  test('behind a bare LF, ever again', () => {
    expect(said('OK\n', 'OK\r\n', '\r\n')).toEqual(['', '', '']);
  });
});

test('within streams of lines and scripts it says goodbye exactly between lines', () => {
  const line = fc.constantFrom('OK\r\n', '"a" ACTIVE\r\n', 'NO (QUOTA/MAXSIZE) "too {3}"\r\n');
  const script = fc.uint8Array({ maxLength: 60 }).map((bytes) => {
    return `{${bytes.length}}\r\n${Buffer.from(bytes).toString('latin1')}\r\n`;
  });
  assertAlways(
    FILE,
    fc.property(
      fc.array(fc.oneof(line, script), { maxLength: 8 }),
      fc.array(fc.nat(400), { maxLength: 8 }),
      (parts, places) => {
        const ends = new Set([0]);
        let length = 0;
        for (const part of parts) {
          length += part.length;
          ends.add(length);
        }
        const watch = new ManageSieveStreamWatch();
        let at = 0;
        for (const chunk of cut(parts.join(''), places)) {
          watch.fromBackend(chunk);
          at += chunk.length;
          expect(watch.goodbye('kicked')).toBe(ends.has(at) ? BYE : '');
        }
      },
    ),
    300,
  );
});
