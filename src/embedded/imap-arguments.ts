import { EMBEDDED_LIMITS } from './limits.ts';

/** One argument of an IMAP command. `isString` tells `"("` and a literal from the bare `(`. */
export interface ImapToken {
  readonly text: string;
  readonly isString: boolean;
}

/** A piece of a command: text up to a literal, and the literal (null behind the last piece). */
export interface CommandPart {
  readonly text: string;
  readonly literal: string | null;
}

const TOKEN = /"((?:[^"\\\r\n\0]|\\["\\])*)"|([()])|([^\s()"{]+)| +/y;

/** Splits a whole command into tokens; null when it is no IMAP at all. */
export function tokenize(parts: readonly CommandPart[]): ImapToken[] | null {
  const tokens: ImapToken[] = [];
  for (const part of parts) {
    if (!tokenizeText(part.text, tokens)) return null;
    if (part.literal !== null) tokens.push({ text: part.literal, isString: true });
  }
  return tokens;
}

function tokenizeText(text: string, tokens: ImapToken[]): boolean {
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return false;
    const [, quoted, paren, atom] = match;
    if (quoted !== undefined) {
      tokens.push({ text: quoted.replace(/\\(["\\])/g, '$1'), isString: true });
    } else if (paren !== undefined || atom !== undefined) {
      tokens.push({ text: paren ?? atom ?? '', isString: false });
    }
  }
  return true;
}

/** The pairs of `ID ("k" "v" …)`, keys in lower case; empty for NIL; null when malformed. */
export function parseIdPairs(tokens: readonly ImapToken[]): Map<string, string> | null {
  if (tokens.length === 1 && isAtom(tokens[0], 'NIL')) return new Map();
  if (!isAtom(tokens[0], '(') || !isAtom(tokens.at(-1), ')') || tokens.length % 2 !== 0)
    return null;
  const pairs = new Map<string, string>();
  for (let i = 1; i < tokens.length - 1; i += 2) {
    const key = tokens[i];
    const value = tokens[i + 1];
    if (key?.isString !== true || value === undefined) return null;
    if (value.isString) pairs.set(key.text.toLowerCase(), value.text);
    else if (!isAtom(value, 'NIL')) return null;
  }
  return pairs;
}

function isAtom(token: ImapToken | undefined, text: string): boolean {
  return token !== undefined && !token.isString && token.text.toUpperCase() === text;
}

/** A sequence set as message numbers within 1..count; null when malformed or too many. */
export function parseSequenceSet(set: string, count: number): number[] | null {
  const numbers: number[] = [];
  for (const range of set.split(',')) {
    const match = /^(\d{1,9}|\*)(?::(\d{1,9}|\*))?$/.exec(range);
    if (match === null) return null;
    const first = boundary(match[1] ?? '*', count);
    const last = match[2] === undefined ? first : boundary(match[2], count);
    if (first === 0 || last === 0) return null;
    const end = Math.min(Math.max(first, last), count);
    if (end - Math.min(first, last) + numbers.length >= EMBEDDED_LIMITS.maxFetchMessages)
      return null;
    for (let n = Math.min(first, last); n <= end; n++) numbers.push(n);
  }
  return numbers;
}

function boundary(text: string, count: number): number {
  return text === '*' ? count : Number(text);
}
