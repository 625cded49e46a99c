// CR, LF and NUL may not stand in a quoted string, 8-bit bytes only after ENABLE UTF8 (RFC 3501).
const NOT_QUOTABLE = /[\0\r\n\x80-\xff]/;
const SPECIALS = /["\\]/g;

/** Can `text` (latin1 string) be sent as an IMAP quoted string? Else it needs a literal. */
export function isQuotable(text: string): boolean {
  return !NOT_QUOTABLE.test(text);
}

/** An IMAP quoted string; `text` must be quotable. */
export function quoted(text: string): string {
  return `"${text.replace(SPECIALS, '\\$&')}"`;
}

/** The text of an IMAP quoted string's inside, escapes resolved. */
export function unescaped(inside: string): string {
  return inside.includes('\\') ? inside.replace(/\\(.)/gs, '$1') : inside;
}

/** Is `name` in a capability list (`IMAP4rev1 SASL-IR …`)? Both any case. */
export function hasCapability(list: string, name: string): boolean {
  return ` ${list.toUpperCase()} `.includes(` ${name.toUpperCase()} `);
}
