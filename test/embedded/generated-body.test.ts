import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { GeneratedBody } from '../../src/embedded/generated-body.ts';
import { EMBEDDED_LIMITS } from '../../src/embedded/limits.ts';

function bytesOf(body: GeneratedBody): Buffer {
  return Buffer.concat(Array.from({ length: body.pieces }, (_, i) => body.piece(i)));
}

test('has the exact size and whole lines, whatever the size', () => {
  const chunk = 78 * 840;
  const sizes = [EMBEDDED_LIMITS.minBodyBytes, 16_777_216];
  // Around every border of the last line and of the filler chunk.
  for (let n = 0; n < 160; n++) sizes.push(1_000 + n, chunk + n, 2 * chunk + n);
  for (const size of sizes) {
    const bytes = bytesOf(new GeneratedBody('b1', size));
    expect(bytes.length).toBe(size);
    const text = bytes.toString('latin1');
    expect(text.endsWith('\r\n'), `${size}`).toBe(true);
    expect(/\r(?!\n)|(?<!\r)\n|\n\./.test(text), `${size}`).toBe(false);
  }
});

test('refuses sizes it cannot make', () => {
  expect(() => new GeneratedBody('b1', EMBEDDED_LIMITS.minBodyBytes - 1)).toThrow(RangeError);
  expect(() => new GeneratedBody('b1', 1000.5)).toThrow(RangeError);
  expect(() => new GeneratedBody('x'.repeat(600), 512)).toThrow(RangeError);
});

test('a reader that stops holds the writer up', () => {
  const pipe = new PassThrough({ highWaterMark: 16_384 });
  const body = new GeneratedBody('b1', 16_777_216);
  let isDone = false;
  body.stream(pipe as never, () => {
    isDone = true;
  });
  expect(isDone).toBe(false);
  expect(pipe.writableLength + pipe.readableLength).toBeLessThan(200_000);
});
