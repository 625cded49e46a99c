import { imapLimits } from '../limits.ts';
import { unescaped } from './imap-quoting.ts';

/**
 * What was found:
 * - `more`: the token is not complete; call again at the same place with more text
 * - `argument`: `kind` and `value` tell it
 * - `open`, `close`: a parenthesis
 * - `end`: the line's end, which is consumed
 * - `prompt`: a synchronising literal was announced; send `+ OK`, then call again
 * - `error`: `error` tells it; the rest of the line is not consumed. `isFatal`: hang up instead
 */
export type ImapToken = 'more' | 'argument' | 'open' | 'close' | 'end' | 'prompt' | 'error';

const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x28;
const CLOSE = 0x29;
const BRACE = 0x7b;
const TILDE = 0x7e;

/** Larger announcements are all the same to us; keeps the sum a safe integer. */
const HUGE_LITERAL = 1e12;

/**
 * Reads the arguments of one IMAP command, resumable at any byte, with the grammar and the error
 * texts of Dovecot 2.3.19.1's imap-parser.c: atoms (with `[`, `]`, `%`, `*`, `\`), quoted strings,
 * literals, nested lists. A bare LF ends a line as CRLF does.
 */
export class ImapTokenizer {
  kind: 'atom' | 'nil' | 'string' = 'atom';
  value = '';
  /** Index of the first byte not consumed by the last call. */
  position = 0;
  error = '';
  isFatal = false;
  /** Open parentheses. */
  depth = 0;
  readonly #isLiteralMinus: boolean;
  #lineBytes = 0;
  /** Size of the literal whose data comes next, -1: none. */
  #literalBytes = -1;

  constructor(isLiteralMinus: boolean) {
    this.#isLiteralMinus = isLiteralMinus;
  }

  /** Begins a new command, of which `lineBytes` (tag and name) were read already. */
  reset(lineBytes: number): void {
    this.#lineBytes = lineBytes;
    this.#literalBytes = -1;
    this.depth = 0;
    this.isFatal = false;
  }

  /** ID's arguments may be longer than a line together: counts anew. */
  restartLineCount(): void {
    this.#lineBytes = 0;
  }

  /** Reads one token of `text` from `start`, looking no further than `end`. */
  next(text: string, start: number, end: number): ImapToken {
    this.#advance(start, start);
    for (;;) {
      const from = this.position;
      const token = this.#read(text, from, end);
      if (token === 'error' || token === 'end') return token;
      if (this.#isLineTooLong) return this.#fail('IMAP command line too large');
      if (token !== 'literal') return token;
    }
  }

  get #isLineTooLong(): boolean {
    return this.#lineBytes > imapLimits.lineBytes;
  }

  #advance(from: number, to: number): void {
    this.#lineBytes += to - from;
    this.position = to;
  }

  /** As next(); `literal`: a non-synchronising literal was announced, read on. */
  #read(text: string, start: number, end: number): ImapToken | 'literal' {
    if (this.#literalBytes >= 0) return this.#readLiteralData(text, start, end);
    let at = start;
    while (at < end && text.charCodeAt(at) === SPACE) at++;
    this.#advance(start, at);
    // Checked here too, so that the outcome does not depend on how the input was cut into chunks.
    if (this.#isLineTooLong) return this.#fail('IMAP command line too large');
    if (at === end) return 'more';
    switch (text.charCodeAt(at)) {
      case CR:
        if (at + 1 === end) return 'more';
        if (text.charCodeAt(at + 1) !== LF) return this.#fail('CR sent without LF');
        return this.#readEnd(at + 2);
      case LF:
        return this.#readEnd(at + 1);
      case QUOTE:
        return this.#readQuoted(text, at, end);
      case BRACE:
        return this.#readLiteral(text, at, end);
      case OPEN:
        this.depth++;
        this.#advance(at, at + 1);
        return 'open';
      case CLOSE:
        if (this.depth === 0) return this.#fail("Unexpected ')'");
        this.depth--;
        this.#advance(at, at + 1);
        return 'close';
      case TILDE:
        if (at + 1 === end) return 'more';
        if (text.charCodeAt(at + 1) === BRACE) return this.#fail('literal8 not allowed here');
        return this.#readAtom(text, at, end);
      default:
        return this.#readAtom(text, at, end);
    }
  }

  #readEnd(position: number): ImapToken {
    // The line end stays where it is for the caller, who skips up to it after an error.
    if (this.depth > 0) return this.#fail("Missing ')'");
    this.position = position;
    return 'end';
  }

  #readAtom(text: string, start: number, end: number): ImapToken {
    for (let at = start; at < end; at++) {
      const code = text.charCodeAt(at);
      if (code === SPACE || code === CR || code === LF || (code === CLOSE && this.depth > 0)) {
        return this.#found(
          isNil(text, start, at) ? 'nil' : 'atom',
          text.slice(start, at),
          start,
          at,
        );
      }
      if (code === CLOSE) return this.#fail("Unexpected ')'");
      if (code >= 0x80) return this.#fail('8bit data in atom');
      if (code < SPACE || code === OPEN || code === BRACE || code === QUOTE || code === 0x7f) {
        return this.#fail('Invalid characters in atom');
      }
    }
    return 'more';
  }

  #readQuoted(text: string, start: number, end: number): ImapToken {
    for (let at = start + 1; at < end; at++) {
      let code = text.charCodeAt(at);
      if (code === QUOTE) {
        return this.#found('string', unescaped(text.slice(start + 1, at)), start, at + 1);
      }
      if (code === 0) return this.#fail('NULs not allowed in strings');
      if (code === BACKSLASH) {
        at++;
        if (at === end) return 'more';
        code = text.charCodeAt(at);
        if (code === 0) return this.#fail('NULs not allowed in strings');
      }
      if (code === CR || code === LF) return this.#fail("Missing '\"'");
    }
    return 'more';
  }

  #readLiteral(text: string, start: number, end: number): ImapToken | 'literal' {
    let size = 0;
    let isNonSync = false;
    let at = start + 1;
    for (; ; at++) {
      if (at === end) return 'more';
      const code = text.charCodeAt(at);
      if (code === 0x7d) break;
      if (isNonSync) return this.#fail("Expecting '}' after '+'");
      if (code === 0x2b) isNonSync = true;
      else if (code < 0x30 || code > 0x39) return this.#fail('Invalid literal size');
      else size = Math.min(size * 10 + code - 0x30, HUGE_LITERAL);
    }
    at++;
    if (isNonSync && this.#isLiteralMinus && size > imapLimits.literalMinusBytes) {
      return this.#hangUp('Non-synchronizing literal size too large');
    }
    const lineBytes = this.#lineBytes + at - start;
    if (lineBytes >= imapLimits.lineBytes || size > imapLimits.lineBytes - lineBytes) {
      return this.#hangUp('Literal size too large');
    }
    if (at < end && text.charCodeAt(at) === CR) at++;
    if (at === end) return 'more';
    if (text.charCodeAt(at) !== LF) return this.#fail('Missing LF after literal size');
    this.#advance(start, at + 1);
    this.#literalBytes = size;
    return isNonSync ? 'literal' : 'prompt';
  }

  #readLiteralData(text: string, start: number, end: number): ImapToken {
    const dataEnd = start + this.#literalBytes;
    if (dataEnd > end) return 'more';
    this.#literalBytes = -1;
    return this.#found('string', text.slice(start, dataEnd), start, dataEnd);
  }

  #found(kind: 'atom' | 'nil' | 'string', value: string, from: number, to: number): ImapToken {
    this.kind = kind;
    this.value = value;
    this.#advance(from, to);
    return 'argument';
  }

  #fail(error: string): 'error' {
    this.error = error;
    return 'error';
  }

  #hangUp(error: string): 'error' {
    this.isFatal = true;
    return this.#fail(error);
  }
}

function isNil(text: string, start: number, end: number): boolean {
  return end - start === 3 && text.slice(start, end).toUpperCase() === 'NIL';
}

/**
 * Finds the end of a tag or command name that starts at `start` (the byte behind it is a space, CR or
 * LF). -1: not complete before `end`; -2: it is empty or has a byte that it must not have.
 */
export function findCommandWordEnd(
  text: string,
  start: number,
  end: number,
  isTag: boolean,
): number {
  for (let at = start; at < end; at++) {
    switch (text.charCodeAt(at)) {
      case SPACE:
      case CR:
      case LF:
        return at === start ? -2 : at;
      case OPEN:
      case CLOSE:
      case BRACE:
      case 0x25: // % and * are list wildcards
      case 0x2a:
      case QUOTE:
      case BACKSLASH:
      case 0x5d: // ]
        return -2;
      case 0x2b: // + begins a continuation, so no tag may have it
        if (isTag) return -2;
        break;
      default:
        if (text.charCodeAt(at) < SPACE || text.charCodeAt(at) >= 0x80) return -2;
    }
  }
  return -1;
}
