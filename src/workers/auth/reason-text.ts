/** Characters of a text for clients that a database may give. */
const MAX_REASON_CHARS = 256;

/**
 * A text of a user database (latin1 string) as a client may get it: one line of printable ASCII, as no
 * protocol says how other characters are to be read; '' when nothing is left.
 */
export function reasonText(text: string): string {
  const printable = text
    .replace(/[\0- \x7f]+/g, ' ')
    .replace(/[\x80-\uffff]+/g, '?')
    .trim();
  return printable.slice(0, MAX_REASON_CHARS).trimEnd();
}
