import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { submissionProtocol } from '../../../../src/workers/protocols/submission/protocol.ts';
import { cut, everyByte } from '../engine-harness.ts';

function goodbyeAfter(...chunks: Buffer[]): string {
  const watch = submissionProtocol.createWatch()!;
  for (const chunk of chunks) {
    watch.fromBackend(chunk);
    // One reused read buffer: a watch that kept it would read nonsense.
    chunk.fill(0x58);
  }
  return watch.goodbye('moved');
}

const GOODBYE = '421 4.3.2 Kicked via director\r\n';

describe.each([
  ['', true],
  ['250 2.1.0 ok\r\n', true],
  ['250 2.1.0 ok\n', true],
  ['250\r\n', true],
  ['354 OK\r\n', true],
  ['250-a\r\n250 b\r\n', true],
  ['250-a\r\n', false],
  ['250-a\r\n250-b\r\n', false],
  ['250 ok\r\n2', false],
  ['250 ok\r\n250', false],
  ['250 ok', false],
  ['250 ok\r', false],
  ['2', false],
  ['250 ok\r\n250-a\r\n', false],
  ['no reply at all\r\n', false],
  ['\n', false],
  ['\r\n', false],
])('behind %j', (text, isSaid) => {
  const expected = isSaid ? GOODBYE : '';

  test('in one piece', () => {
    expect(goodbyeAfter(Buffer.from(text, 'latin1'))).toBe(expected);
  });

  test('byte by byte', () => {
    expect(goodbyeAfter(...everyByte(text))).toBe(expected);
  });
});

test('however the stream is cut', () => {
  const line = fc.constantFrom(
    '250 ok\r\n',
    '250-more\r\n',
    '354 x\r\n',
    '250\r\n',
    '2',
    '\n',
    'x',
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(fc.nat(200)), (lines, places) => {
      const text = lines.join('');
      const whole = goodbyeAfter(Buffer.from(text));
      expect(goodbyeAfter(...cut(text, places))).toBe(whole);
      expect(goodbyeAfter(...everyByte(text))).toBe(whole);
      const isOver = text === '' || /(^|\n)[2-5]\d\d(?: [^\n]*|\r?)\n$/.test(text);
      expect(whole !== '').toBe(isOver);
    }),
  );
});

test('a long line is not kept', () => {
  const watch = submissionProtocol.createWatch()!;
  watch.fromBackend(Buffer.from(`250-${'x'.repeat(100_000)}`));
  watch.fromBackend(Buffer.from('y'.repeat(100_000)));
  expect(watch.goodbye('shutdown')).toBe('');
  watch.fromBackend(Buffer.from('\r\n250 z\r\n'));
  expect(watch.goodbye('shutdown')).toBe('421 4.3.2 Server shutting down.\r\n');
});
