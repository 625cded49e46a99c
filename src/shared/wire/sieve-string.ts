import { isUtf8 } from 'node:buffer';

/** Between the quotes (RFC 5804). */
const MAX_QUOTED_BYTES = 1024;
/** A quoted string has no line breaks, and nothing has a NUL. */
const NOT_QUOTABLE = /[\0\r\n]/;
const SPECIALS = /["\\]/g;

/** What may stand in a ManageSieve string: UTF-8 without NUL. `text` is a latin1 string. */
export function isSieveText(text: string): boolean {
  return !text.includes('\0') && isUtf8(Buffer.from(text, 'latin1'));
}

/** A quoted string, whatever its length; `text` has no NUL, CR or LF. */
export function sieveQuoted(text: string): string {
  return `"${text.replace(SPECIALS, '\\$&')}"`;
}

/**
 * `text` (without NUL) as it may be sent: quoted, or as a literal where it cannot be quoted. Those of clients
 * are announced with a `+`.
 */
export function sieveString(text: string, from: 'client' | 'server'): string {
  const quoted = NOT_QUOTABLE.test(text) ? null : sieveQuoted(text);
  if (quoted !== null && quoted.length - 2 <= MAX_QUOTED_BYTES) return quoted;
  return `{${text.length}${from === 'client' ? '+' : ''}}\r\n${text}`;
}
