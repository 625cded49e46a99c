import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ImapStreamWatch } from '../../../../src/workers/protocols/imap/stream-watch.ts';
import { assertAlways } from '../../../fuzz/fuzz-property.ts';

const FILE = 'test/workers/protocols/imap/stream-watch.test.ts';
const BYE = '* BYE Kicked by admin\r\n';

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** What may be said behind each of the chunks. */
function said(...chunks: string[]): string[] {
  const watch = new ImapStreamWatch();
  return chunks.map((chunk) => {
    watch.fromBackend(bytes(chunk));
    return watch.goodbye('kicked');
  });
}

describe('a goodbye is said', () => {
  test('before the first byte, with the text of its reason', () => {
    const watch = new ImapStreamWatch();
    expect(watch.goodbye('kicked')).toBe('* BYE Kicked by admin\r\n');
    expect(watch.goodbye('moved')).toBe('* BYE Kicked via director\r\n');
    expect(watch.goodbye('shutdown')).toBe('* BYE Server shutting down.\r\n');
  });

  test.each([
    ['a tagged reply', 'a OK done\r\n'],
    ['a continuation', '+ idling\r\n'],
    ['several responses', '* 1 EXISTS\r\n* 1 RECENT\r\na OK done\r\n'],
    ['a whole literal', '* 1 FETCH (BODY[] {5}\r\nhello)\r\na OK done\r\n'],
    ['a literal of a list', '* LIST () "/" {5}\r\nhello\r\n'],
    ['a literal that ends its response', '* LIST () "/" {2}\r\n{3\r\n'],
    ['two literals', '* 1 FETCH (A {2}\r\n\r\n B {3}\r\n}\r\n)\r\n'],
    ['an empty literal', '* 1 FETCH (BODY[] {0}\r\n)\r\n'],
    ['a binary literal', '* 1 FETCH (BINARY[] ~{2}\r\n\0\n)\r\n'],
    ['a long line behind a literal', `* 1 FETCH (A {2}\r\n\nb B ${'"x" '.repeat(99)}{1}\r\nc)\r\n`],
    ['a name that ends in a brace', '* LIST () "/" a}\r\n* LIST () "/" {}\r\n'],
  ])('behind %s, however it is cut', (_what, text) => {
    expect(said(text)).toEqual([BYE]);
    expect(said(...text)[text.length - 1]).toBe(/FETCH|LIST.*{\d/.test(text) ? '' : BYE);
    for (let cut = 1; cut < text.length; cut++) {
      const isFirstWordCut = /\* [A-Z]*$|\*$/.test(text.slice(0, cut));
      if (!isFirstWordCut) expect(said(text.slice(0, cut), text.slice(cut))[1], `${cut}`).toBe(BYE);
    }
  });
});

test('a brace that is closed before the cut announces nothing', () => {
  expect(said('* LIST () "/" {}', '5}\r\n')).toEqual(['', BYE]);
});

describe('no goodbye is said', () => {
  test.each([
    ['within a line', 'a OK do'],
    ['behind its CR', 'a OK done\r'],
    ['behind a bare LF', 'a OK done\n'],
    ['within a literal, at the end of a line there', '* 1 FETCH (BODY[] {50}\r\na OK done\r\n'],
    ['where a literal ends and its response does not', '* 1 FETCH (BODY[] {4}\r\nab\r\n'],
    ['behind a bare LF whose CR is a literal', '* LIST () "/" {1}\r\n\r\n'],
    ['behind a literal in a line that begins behind a bare LF', '* OK x\n* 1 FETCH ({1}\r\na)\r\n'],
    ['where a literal begins', '* 1 FETCH (BODY[] {4}\r\n'],
    ['before the length of a literal', '* 1 FETCH (BODY[] {'],
    ['in a literal whose length is beyond numbers', `* 1 FETCH (A {${'9'.repeat(400)}}\r\n\r\n`],
  ])('%s', (_what, text) => {
    expect(said(text)).toEqual(['']);
  });

  test.each([
    ['a tagged text that ends as if a literal followed', 'a NO no such mailbox: {5}\r\n'],
    ['an untagged one', '* OK [ALERT] see {12}\r\n'],
    ['one in small letters', '* ok see {12}\r\n'],
    ['a continuation', '+ {12}\r\n'],
  ])('behind %s, ever again', (_what, text) => {
    expect(said(text, 'a OK done\r\n')).toEqual(['', '']);
    expect(said(`* 1 EXISTS\r\n${text}`, 'a OK done\r\n')).toEqual(['', '']);
    expect(said(text.slice(0, -3), text.slice(-3), 'a OK done\r\n')[2]).toBe('');
  });
});

describe('compression', () => {
  function afterClient(...chunks: string[]): string {
    const watch = new ImapStreamWatch();
    for (const chunk of chunks) watch.fromClient(bytes(chunk));
    watch.fromBackend(bytes('x OK done\r\n'));
    return watch.goodbye('kicked');
  }

  test.each([
    ['asked for', 'x COMPRESS DEFLATE\r\n'],
    ['in small letters', 'x compress deflate\r\n'],
    ['behind other commands', 'a NOOP\r\nb CHECK\r\nx COMPRESS DEFLATE\r\n'],
  ])('%s: no goodbye any more, however the command is cut', (_what, text) => {
    expect(afterClient(text)).toBe('');
    expect(afterClient(...text)).toBe('');
    for (let cut = 1; cut < text.length; cut++) {
      expect(afterClient(text.slice(0, cut), text.slice(cut)), `${cut}`).toBe('');
    }
    expect(afterClient(text, 'more')).toBe('');
  });

  test.each([
    [['a NOOP\r\n', 'DONE\r\n', '\r\n', 'b SELECT private\r\n', 'DEFLAT\r\n']],
    [['x APPEND in {9}\r\n', 'deflate', 'xx', '\r\n']],
    [['x COMPRESS DEFLAT', 'DEFLAT', 'D']],
  ])('not asked for: a goodbye is said (%j)', (chunks) => {
    expect(afterClient(...chunks)).toBe(BYE);
  });
});

// The same in random streams: a response is its bytes, and the places in it where we may lose the thread.

interface Piece {
  readonly text: string;
  /** Behind it no goodbye is owed. */
  readonly isDoubtful: boolean;
}

const octets = fc.string({ unit: fc.constantFrom(...'ab{}*+ 0127\r\n\0'), maxLength: 30 });
const bodies = fc.oneof(
  octets,
  fc.constantFrom('a OK done\r\n', '* 1 FETCH (BODY[] {3}\r\n', '\r\n', '}\r\n', '* BYE\r\n'),
  fc.integer({ min: 200, max: 3000 }).map((length) => 'long line\r\n'.repeat(length / 11)),
);
const quoted = fc
  .string({ unit: fc.constantFrom(...'ab{}* 012'), maxLength: 20 })
  .map((text) => `"${text}"`);
const literal = bodies.map((body) => `{${body.length}}\r\n${body}`);
const atom = fc.constantFrom('NIL', 'a', '12', 'x}', '(\\Seen)', 'BODY[]');
const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc
    .record({
      head: fc.constantFrom('* 1 FETCH (', '* 4294967295 FETCH (', '* LIST ', '* METADATA '),
      items: fc.array(fc.oneof(quoted, literal, atom), { minLength: 1, maxLength: 5 }),
      end: fc.constantFrom(')\r\n', '\r\n'),
    })
    .map(({ head, items, end }) => ({ text: head + items.join(' ') + end, isDoubtful: false })),
  fc.constantFrom(
    { text: 'a OK done\r\n', isDoubtful: false },
    { text: '* OK [UIDNEXT 5] }\r\n', isDoubtful: false },
    { text: '+ idling\r\n', isDoubtful: false },
    { text: `* SEARCH${' 123'.repeat(200)}\r\n`, isDoubtful: false },
  ),
);
const doubtful = fc.constantFrom<Piece>(
  { text: 'a NO {7}\r\n', isDoubtful: true },
  { text: '* OK x {7}\r\n', isDoubtful: true },
  { text: '* BAD {0}\r\n', isDoubtful: true },
);

/** Plays the pieces cut at random, and compares at every cut. Gives how often a goodbye was said. */
function play(pieces: readonly Piece[], cuts: readonly number[]): void {
  const text = pieces.map((one) => one.text).join('');
  const ends = new Set<number>([0]);
  const heads: [number, number][] = [];
  let doubtFrom = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const one of pieces) {
    heads.push([end, end + 2 + one.text.slice(2).indexOf(' ')]);
    if (one.isDoubtful) doubtFrom = Math.min(doubtFrom, end + 1);
    end += one.text.length;
    ends.add(end);
  }
  const watch = new ImapStreamWatch();
  let at = 0;
  for (let i = 0; at < text.length; i++) {
    const next = Math.min(text.length, at + cuts[i % cuts.length]);
    watch.fromBackend(bytes(text.slice(at, next)));
    at = next;
    // A response whose first word is cut is not trusted.
    const isHeadCut = heads.some(([start, wordEnd]) => at > start && at <= wordEnd);
    if (isHeadCut) doubtFrom = Math.min(doubtFrom, at);
    const isSaid = watch.goodbye('kicked') !== '';
    if (isSaid) expect(ends.has(at), `said at ${at} of ${JSON.stringify(text)}`).toBe(true);
    else if (at < doubtFrom) expect(ends.has(at), `not said at ${at}`).toBe(false);
  }
}

const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 4000 })), {
  minLength: 1,
  maxLength: 20,
});

test('in any stream, cut anywhere: between responses it is said, and nowhere else', () => {
  const streams = fc.array(piece, { minLength: 1, maxLength: 12 });
  assertAlways(FILE, fc.property(streams, cuts, play), 3000);
});

test('with texts that look like announcements it is never said at a wrong place', () => {
  const streams = fc.array(fc.oneof({ weight: 3, arbitrary: piece }, doubtful), {
    minLength: 1,
    maxLength: 12,
  });
  assertAlways(FILE, fc.property(streams, cuts, play), 3000);
});
