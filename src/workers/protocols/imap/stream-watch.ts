import { END_TEXTS, type EndReason } from '../end-reason.ts';
import type { StreamWatch } from '../engine.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const ASTERISK = 0x2a;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

/** Every literal is announced so, and hardly anything else looks like it. */
const ANNOUNCEMENT_END = Buffer.from('}\r\n', 'latin1');
/** What is near is cheaper to look for by ourselves: a call costs as much as so many bytes. */
const NEAR_BYTES = 128;

/** Untagged responses with a text for people, which may end in anything. */
const TEXT_RESPONSES: ReadonlySet<string> = new Set(['OK', 'NO', 'BAD', 'BYE', 'PREAUTH']);
const LONGEST_TEXT_RESPONSE = 7;

/** Bit 5 is set in both cases of a letter, and in what compares equal to CR and LF here. */
const CASE_BIT = 0x20;
const DEFLATE = Buffer.from('deflate\r\n', 'latin1').map((byte) => byte | CASE_BIT);

/** Where the stream to the client stands; within a literal: where it was before that. */
const Place = {
  /** A goodbye may be said. */
  lineStart: 0,
  /** In a response that ends a line in `{length}` only when a literal follows: FETCH, LIST, … */
  inData: 1,
  /** In any other one: tagged, `+`, OK and the like, or one whose beginning was not seen whole. */
  inText: 2,
  /** We cannot tell, now and for ever. */
  lost: 3,
} as const;
type Place = (typeof Place)[keyof typeof Place];

/** What the last chunk ended with, when it may be half of something. */
const Tail = {
  none: 0,
  cr: 1,
  /** `{`, perhaps with digits. */
  length: 2,
  /** `{digits}` */
  brace: 3,
  /** `{digits}` and a CR. */
  braceCr: 4,
} as const;
type Tail = (typeof Tail)[keyof typeof Tail];

/**
 * Knows whether the backend's stream to the client is between two responses, where `* BYE` can be put in.
 * Literals are counted and not read, so a message costs one subtraction per chunk; the rest is searched
 * natively for the announcements of literals. In doubt the answer is no.
 *
 * What it cannot follow, and then gives up: a text for people that ends as if a literal followed; and
 * COMPRESS (RFC 4978). Nothing may follow that command before it is answered, so it is looked for at the end
 * of what the client sends.
 */
export class ImapStreamWatch implements StreamWatch {
  #place: Place = Place.lineStart;
  #tail: Tail = Tail.none;
  /** With tail `length` and the two behind it: the digits so far, as a number; -1: none yet. */
  #tailLength = -1;
  /** Bytes of the literal that are still to come. */
  #literalLeft = 0;
  /** So many bytes of DEFLATE the client has sent last. */
  #deflate = 0;

  goodbye(reason: EndReason): string {
    const isBetween =
      this.#place === Place.lineStart && this.#literalLeft === 0 && this.#tail === Tail.none;
    return isBetween ? `* BYE ${END_TEXTS[reason]}\r\n` : '';
  }

  fromBackend(chunk: Buffer): void {
    if (this.#literalLeft >= chunk.length) {
      this.#literalLeft -= chunk.length;
      return;
    }
    if (this.#place === Place.lost) return;
    let at = this.#literalLeft;
    this.#literalLeft = 0;
    if (this.#tail !== Tail.none) at = this.#continueTail(chunk, at);
    while (at < chunk.length) {
      const brace = nextAnnouncement(chunk, at);
      if (brace < 0) {
        this.#endWithin(chunk, at);
        return;
      }
      at = this.#passLine(chunk, at, brace);
    }
  }

  /** Passes the line that ends with the `}` at `brace`, and its literal. Gives where to go on. */
  #passLine(chunk: Buffer, at: number, brace: number): number {
    const lineStart = this.#enterLine(chunk, at, brace);
    const lineEnd = brace + ANNOUNCEMENT_END.length;
    const length = numberBefore(chunk, lineStart, brace);
    if (length >= 0) return this.#enterLiteral(length, chunk, lineEnd);
    // A mailbox may be called `a}`.
    this.#place = Place.lineStart;
    return lineEnd;
  }

  /** Sees which response the byte at `end` belongs to. Gives where its line begins in the chunk. */
  #enterLine(chunk: Buffer, at: number, end: number): number {
    const lineFeed = lastLineFeed(chunk, at, end);
    if (lineFeed < 0) {
      if (this.#place === Place.lineStart) this.#place = kindOfLine(chunk, at);
      return at;
    }
    const isLineEnd = lineFeed > at && chunk[lineFeed - 1] === CR;
    this.#place = isLineEnd ? kindOfLine(chunk, lineFeed + 1) : Place.inText;
    return lineFeed + 1;
  }

  #enterLiteral(length: number, chunk: Buffer, at: number): number {
    if (this.#place !== Place.inData) return this.#lose(chunk);
    const end = at + length;
    this.#literalLeft = Math.max(0, end - chunk.length);
    return end;
  }

  #lose(chunk: Buffer): number {
    this.#place = Place.lost;
    this.#tail = Tail.none;
    return chunk.length;
  }

  /** Nothing is announced from `at` on, unless the announcement is cut by the end of the chunk. */
  #endWithin(chunk: Buffer, at: number): void {
    let end = chunk.length;
    if (chunk[end - 1] === LF && end - 2 >= at && chunk[end - 2] === CR) {
      this.#place = Place.lineStart;
      return;
    }
    const lineStart = this.#enterLine(chunk, at, end);
    const hasCr = end > lineStart && chunk[end - 1] === CR;
    if (hasCr) end--;
    const hasBrace = end > lineStart && chunk[end - 1] === BRACE_CLOSE;
    if (hasBrace) end--;
    this.#tailLength = numberBefore(chunk, lineStart, end);
    const hasNumber = this.#tailLength >= 0;
    const isOpen = hasNumber || (end > lineStart && chunk[end - 1] === BRACE_OPEN);
    if (hasBrace && hasNumber) this.#tail = hasCr ? Tail.braceCr : Tail.brace;
    else if (hasCr) this.#tail = Tail.cr;
    else if (!hasBrace && isOpen) this.#tail = Tail.length;
  }

  /** Ends what the last chunk has begun. Gives from where on the chunk is as any other. */
  #continueTail(chunk: Buffer, start: number): number {
    let at = start;
    while (at < chunk.length && this.#tail !== Tail.none) {
      const byte = chunk[at];
      const tail = this.#tail;
      this.#tail = Tail.none;
      if (byte === LF) {
        if (tail === Tail.cr) this.#place = Place.lineStart;
        else if (tail === Tail.braceCr) return this.#enterLiteral(this.#tailLength, chunk, at + 1);
        else return at;
      } else if (byte === CR && tail === Tail.brace) {
        this.#tail = Tail.braceCr;
      } else if (byte === BRACE_CLOSE && tail === Tail.length && this.#tailLength >= 0) {
        this.#tail = Tail.brace;
      } else if (isDigit(byte) && tail === Tail.length) {
        this.#tailLength = Math.max(0, this.#tailLength) * 10 + byte - DIGIT_0;
        this.#tail = Tail.length;
      } else {
        return at;
      }
      at++;
    }
    return at;
  }

  fromClient(chunk: Buffer): void {
    if (this.#place === Place.lost) return;
    const { length } = chunk;
    let matched = this.#deflate;
    if (matched > 0) {
      matched = matchDeflate(matched, chunk, 0, Math.min(length, DEFLATE.length));
    }
    if (matched < DEFLATE.length && (length > DEFLATE.length || this.#deflate === 0)) {
      matched = matchDeflate(0, chunk, Math.max(0, length - DEFLATE.length), length);
    }
    if (matched === DEFLATE.length) this.#lose(chunk);
    else this.#deflate = matched;
  }
}

/** The `}` that ends a line at or behind `at`; -1: none. */
function nextAnnouncement(chunk: Buffer, at: number): number {
  const near = Math.min(chunk.length, at + NEAR_BYTES);
  for (let i = at; i < near; i++) {
    if (chunk[i] === BRACE_CLOSE && chunk[i + 1] === CR && chunk[i + 2] === LF) return i;
  }
  return near === chunk.length ? -1 : chunk.indexOf(ANNOUNCEMENT_END, near);
}

/** The last LF before `end`, but not before `at`; -1: none. */
function lastLineFeed(chunk: Buffer, at: number, end: number): number {
  const near = Math.max(at, end - NEAR_BYTES);
  for (let i = end - 1; i >= near; i--) if (chunk[i] === LF) return i;
  if (near === at) return -1;
  const lineFeed = chunk.lastIndexOf(LF, near - 1);
  return lineFeed >= at ? lineFeed : -1;
}

/** A line whose first word is not there as a whole is none that we trust. */
function kindOfLine(chunk: Buffer, start: number): Place {
  if (chunk[start] !== ASTERISK || chunk[start + 1] !== SPACE) return Place.inText;
  const word = start + 2;
  if (isDigit(chunk[word])) return Place.inData;
  const space = chunk.indexOf(SPACE, word);
  if (space < 0) return Place.inText;
  if (space - word > LONGEST_TEXT_RESPONSE) return Place.inData;
  const name = chunk.toString('latin1', word, space).toUpperCase();
  return TEXT_RESPONSES.has(name) ? Place.inText : Place.inData;
}

/** The number behind a `{` that stands right before `end` in the line; -1: none. */
function numberBefore(chunk: Buffer, lineStart: number, end: number): number {
  let digits = end;
  while (digits > lineStart && isDigit(chunk[digits - 1])) digits--;
  if (digits === end || digits === lineStart || chunk[digits - 1] !== BRACE_OPEN) return -1;
  let value = 0;
  for (let i = digits; i < end; i++) value = value * 10 + chunk[i] - DIGIT_0;
  return value;
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

/** Goes on matching DEFLATE, of which `matched` bytes are there, until it is whole or `end` is reached. */
function matchDeflate(matched: number, chunk: Buffer, start: number, end: number): number {
  for (let i = start; i < end && matched < DEFLATE.length; i++) {
    const byte = chunk[i] | CASE_BIT;
    // Its first letter occurs in it once, so there is no other place to go back to.
    if (byte === DEFLATE[matched]) matched++;
    else matched = byte === DEFLATE[0] ? 1 : 0;
  }
  return matched;
}
