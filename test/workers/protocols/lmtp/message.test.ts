import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DataDecoder } from '../../../../src/workers/protocols/lmtp/data-decoder.ts';
import { DataEncoder } from '../../../../src/workers/protocols/lmtp/data-encoder.ts';
import { cut } from '../engine-harness.ts';

/** Gives the message and what stands behind it; null: no end was found. */
function decode(pieces: readonly Buffer[]): { message: string; rest: string } | null {
  const decoder = new DataDecoder();
  let message = '';
  for (const [i, piece] of pieces.entries()) {
    const end = decoder.push(piece, 0, (part) => {
      message += part.toString('latin1');
    });
    if (end >= 0) {
      const rest = Buffer.concat([piece.subarray(end), ...pieces.slice(i + 1)]);
      return { message, rest: rest.toString('latin1') };
    }
  }
  return null;
}

function encode(pieces: readonly Buffer[]): string {
  const encoder = new DataEncoder();
  return pieces.map((piece) => encoder.encode(piece).toString('latin1')).join('') + encoder.end();
}

const places = fc.array(fc.nat(), { maxLength: 8 });
/** Full of what is special. */
const text = fc
  .array(fc.constantFrom('.', '\r', '\n', '\r\n', '\r\n.', 'x', '..', '\0', '\xff'), {
    maxLength: 30,
  })
  .map((parts) => parts.join(''));

describe('DATA', () => {
  test('what we send is read back, however it is cut', () => {
    fc.assert(
      fc.property(text, places, places, (message, cuts, otherCuts) => {
        const ended = message === '' || message.endsWith('\r\n') ? message : `${message}\r\n`;
        // A dot behind a lone LF is doubled for backends that take that for a line; those that do not keep both.
        const kept = ended.replace(/(?<!\r)\n\./g, '\n..');
        const wire = encode(cut(message, cuts));
        const seen = decode(cut(`${wire}NOOP\r\n`, otherCuts));
        expect(seen).toEqual({ message: kept, rest: 'NOOP\r\n' });
      }),
      { numRuns: 2000 },
    );
  });

  test('no end but the last one is seen in what we send, by lenient readers either', () => {
    fc.assert(
      fc.property(text, places, (message, cuts) => {
        const wire = encode(cut(message, cuts));
        const ends = [...wire.matchAll(/(?<=^|\n)\.\r?\n/g)];
        expect(ends.map(({ index }) => index)).toEqual([wire.length - '.\r\n'.length]);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['a\r\n.\r\nb', 'a\r\n', 'b'],
    ['.\r\nb', '', 'b'],
    ['..\r\n.\r\n', '.\r\n', ''],
    ['.\r.\r\n\r\n.\r\n', '\r.\r\n\r\n', ''],
    ['.a\r\n.\r\n', 'a\r\n', ''],
  ])('%j is read', (wire, message, rest) => {
    for (let place = 0; place <= wire.length; place++) {
      expect(decode(cut(wire, [place]))).toEqual({ message, rest });
    }
  });

  test.each(['a\n.\n', 'a\n.\r\n', 'a\r\n.\n', 'a\r.\r', 'a\r.\r\n', '.\r', 'a\r\n.'])(
    'nothing like %j is an end',
    (wire) => {
      expect(decode([Buffer.from(wire, 'latin1')])).toBeNull();
    },
  );
});
