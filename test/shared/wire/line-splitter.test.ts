import { describe, expect, test } from 'vitest';
import { LineSplitter } from '../../../src/shared/wire/line-splitter.ts';

const MAX = 10;

function linesOf(splitter: LineSplitter, text: string): string[] {
  splitter.push(Buffer.from(text, 'latin1'));
  const lines: string[] = [];
  for (let line = splitter.next(); line !== null; line = splitter.next()) lines.push(line);
  return lines;
}

test('lines end in CRLF or LF, and only one CR belongs to the end', () => {
  expect(linesOf(new LineSplitter(MAX), 'a\r\nb\n\r\n\nc\r\r\n\r\xff\n')).toEqual([
    'a',
    'b',
    '',
    '',
    'c\r',
    '\r\xff',
  ]);
});

test('an unfinished line is kept, apart from the chunk that brought it', () => {
  const splitter = new LineSplitter(MAX);
  const chunk = Buffer.from('ab');
  splitter.push(chunk);
  expect(splitter.next()).toBeNull();
  chunk.fill(0x58);
  expect(splitter.heldBytes).toBe(2);
  expect(linesOf(splitter, 'c\r')).toEqual([]);
  expect(linesOf(splitter, '\nd')).toEqual(['abc']);
  expect(splitter.heldBytes).toBe(1);
});

test('the rest behind a line is a view of the chunk', () => {
  const splitter = new LineSplitter(MAX);
  splitter.push(Buffer.from('a\nb\nc', 'latin1'));
  splitter.next();
  expect(splitter.rest()?.toString()).toBe('b\nc');
  splitter.next();
  expect(splitter.rest()?.toString()).toBe('c');
  splitter.push(Buffer.from('\n'));
  expect(splitter.next()).toBe('');
  expect(splitter.rest()).toBeNull();
});

describe.each(['whole', 'byte by byte'])('the limit, %s', (way) => {
  test.each([
    [MAX - 1, false],
    [MAX, false],
    [MAX + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const splitter = new LineSplitter(MAX);
    const text = `${'x'.repeat(size - 1)}\n`;
    const lines =
      way === 'whole' ? linesOf(splitter, text) : [...text].flatMap((c) => linesOf(splitter, c));
    expect(splitter.isTooLong).toBe(isTooLong);
    expect(lines).toEqual(isTooLong ? [] : ['x'.repeat(size - 1)]);
    if (isTooLong) expect(linesOf(splitter, 'y\n')).toEqual([]);
  });
});
