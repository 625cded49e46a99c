import { authLimits } from '../../shared/limits.ts';

/**
 * A text of a user database (latin1 string) as a client may get it: one line of printable ASCII, as no
 * protocol says how other characters are to be read; '' when nothing is left.
 */
export function reasonText(text: string): string {
  const printable = text
    .replace(/[\0- \x7f]+/g, ' ')
    .replace(/[\x80-\uffff]+/g, '?')
    .trim();
  return printable.slice(0, authLimits.reasonChars).trimEnd();
}
