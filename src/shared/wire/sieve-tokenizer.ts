import { unescaped } from './imap-quoting.ts';
import { isSieveText } from './sieve-string.ts';

/**
 * What was found:
 * - `more`: the token is not complete; call again at `position` with more text
 * - `atom`, `string`: `value` has it
 * - `open`, `close`: a parenthesis, as response codes have them
 * - `end`: the line's end, which is consumed
 * - `error`: `error` tells it; the rest of the line is not consumed. `isFatal`: hang up instead
 */
export type SieveToken = 'more' | 'atom' | 'string' | 'open' | 'close' | 'end' | 'error';

const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x28;
const CLOSE = 0x29;
const BRACE = 0x7b;
const BRACE_CLOSE = 0x7d;
const PLUS = 0x2b;
const DELETE = 0x7f;

/** Larger announcements are all the same to us; keeps the sum a safe integer. */
const HUGE_LITERAL = 1e12;

/**
 * Reads ManageSieve (RFC 5804) in either direction, resumable at any byte: atoms, quoted strings, literals.
 * Error texts are those of Pigeonhole 0.5.19's parser. As there, a literal is taken with or without `+` and
 * never asked for: nothing in the protocol would do so. A bare LF ends a line as CRLF does.
 */
export class SieveTokenizer {
  value = '';
  /** Index of the first byte not consumed by the last call. */
  position = 0;
  error = '';
  isFatal = false;
  #maxBytes = 0;
  /** Size of the literal whose data comes next, -1: none. */
  #literalBytes = -1;
  /** A quoted string has begun, its opening quote is consumed. */
  #isQuoted = false;

  /** Begins a new line; no string of it has more than `maxBytes` inside. */
  reset(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#literalBytes = -1;
    this.#isQuoted = false;
    this.isFatal = false;
  }

  /**
   * Reads one token of `text` from `start`, looking no further than `end`. A token has to fit between them, but
   * what belongs to it and is known already (the opening quote, a literal's announcement) is consumed before.
   */
  next(text: string, start: number, end: number): SieveToken {
    this.position = start;
    if (this.#literalBytes >= 0) return this.#readLiteralData(text, start, end);
    if (this.#isQuoted) return this.#readQuoted(text, start, end);
    let at = start;
    while (at < end && text.charCodeAt(at) === SPACE) at++;
    this.position = at;
    if (at === end) return 'more';
    switch (text.charCodeAt(at)) {
      case CR:
        if (at + 1 === end) return 'more';
        if (text.charCodeAt(at + 1) !== LF) return this.#fail('CR sent without LF');
        return this.#found('end', '', at + 2);
      case LF:
        return this.#found('end', '', at + 1);
      case QUOTE:
        this.#isQuoted = true;
        this.position = at + 1;
        return this.#readQuoted(text, at + 1, end);
      case BRACE:
        return this.#readLiteral(text, at, end);
      case OPEN:
        return this.#found('open', '', at + 1);
      case CLOSE:
        return this.#found('close', '', at + 1);
      default:
        return this.#readAtom(text, at, end);
    }
  }

  #readAtom(text: string, start: number, end: number): SieveToken {
    for (let at = start; at < end; at++) {
      const code = text.charCodeAt(at);
      if (code === SPACE || code === CR || code === LF || code === OPEN || code === CLOSE) {
        return this.#found('atom', text.slice(start, at), at);
      }
      if (code >= 0x80) return this.#fail('8bit data in atom');
      if (code < SPACE || code === BRACE || code === QUOTE || code === DELETE) {
        return this.#fail('Invalid characters in atom');
      }
    }
    return 'more';
  }

  #readQuoted(text: string, start: number, end: number): SieveToken {
    let hasEscapes = false;
    for (let at = start; at < end; at++) {
      let code = text.charCodeAt(at);
      if (code === QUOTE) {
        const inside = text.slice(start, at);
        if (!isSieveText(inside)) return this.#fail('Invalid UTF-8 character in quoted-string.');
        this.#isQuoted = false;
        return this.#found('string', hasEscapes ? unescaped(inside) : inside, at + 1);
      }
      if (code === 0) return this.#fail('NULs not allowed in strings');
      if (code === CR || code === LF) return this.#fail('String contains invalid character.');
      if (code === BACKSLASH) {
        at++;
        if (at === end) return 'more';
        hasEscapes = true;
        code = text.charCodeAt(at);
        if (code !== QUOTE && code !== BACKSLASH) {
          return this.#fail('Escaped quoted-string character is not a QUOTED-SPECIAL.');
        }
      }
    }
    return 'more';
  }

  #readLiteral(text: string, start: number, end: number): SieveToken {
    let size = 0;
    let digits = 0;
    let hasPlus = false;
    let at = start + 1;
    for (; ; at++) {
      if (at === end) return 'more';
      const code = text.charCodeAt(at);
      if (code === BRACE_CLOSE) break;
      if (hasPlus) return this.#fail("Expecting '}' after '+'");
      if (code === PLUS) {
        hasPlus = true;
      } else {
        if (code < 0x30 || code > 0x39) return this.#fail('Invalid literal size');
        digits++;
        size = Math.min(size * 10 + code - 0x30, HUGE_LITERAL);
      }
    }
    if (digits === 0) return this.#fail('Invalid literal size');
    if (size > this.#maxBytes) {
      this.isFatal = true;
      return this.#fail('Literal size too large');
    }
    at++;
    if (at < end && text.charCodeAt(at) === CR) at++;
    if (at === end) return 'more';
    if (text.charCodeAt(at) !== LF) return this.#fail('Missing LF after literal size');
    this.#literalBytes = size;
    this.position = at + 1;
    return this.#readLiteralData(text, at + 1, end);
  }

  #readLiteralData(text: string, start: number, end: number): SieveToken {
    const dataEnd = start + this.#literalBytes;
    if (dataEnd > end) return 'more';
    this.#literalBytes = -1;
    const data = text.slice(start, dataEnd);
    this.position = dataEnd;
    if (!isSieveText(data)) return this.#fail('Invalid UTF-8 character in literal string.');
    return this.#found('string', data, dataEnd);
  }

  #found(token: SieveToken, value: string, position: number): SieveToken {
    this.value = value;
    this.position = position;
    return token;
  }

  #fail(error: string): 'error' {
    this.#isQuoted = false;
    this.error = error;
    return 'error';
  }
}
