import type { Column, Formatter } from './formatter.ts';

const REPLACEMENT = '\xef\xbf\xbd';
/** One character of valid UTF-8 beyond ASCII, as latin1 bytes. */
const UTF8_CHARACTER = new RegExp(
  [
    '[\\xc2-\\xdf][\\x80-\\xbf]',
    '\\xe0[\\xa0-\\xbf][\\x80-\\xbf]',
    '[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}',
    '\\xed[\\x80-\\x9f][\\x80-\\xbf]',
    '\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}',
    '[\\xf1-\\xf3][\\x80-\\xbf]{3}',
    '\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2}',
  ].join('|'),
);
const TO_ESCAPE = new RegExp(`[\\0-\\x1f"\\\\]|${UTF8_CHARACTER.source}|[\\x80-\\xff]`, 'g');
const ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '"': '\\"',
  '\\': '\\\\',
  // U+2028 and U+2029: line ends to JavaScript.
  '\xe2\x80\xa8': '\\u2028',
  '\xe2\x80\xa9': '\\u2029',
};

/** A list with an object per row; every value is a string. No newline at the end. */
export class JsonFormatter implements Formatter {
  #keys: string[] = [];
  #hasRows = false;

  begin(columns: readonly Column[]): string {
    this.#keys = columns.map(({ key }) => `"${escapeJson(key)}":`);
    return '';
  }

  row(values: readonly string[]): string {
    const pairs = values.map((value, i) => `${this.#keys[i]}"${escapeJson(value)}"`);
    const prefix = this.#hasRows ? ',' : '[';
    this.#hasRows = true;
    return `${prefix}{${pairs.join(',')}}`;
  }

  end(): string {
    return this.#hasRows ? ']' : '[]';
  }
}

/** Valid UTF-8 passes; a byte that is not part of any becomes U+FFFD. */
export function escapeJson(bytes: string): string {
  return bytes.replace(TO_ESCAPE, (found) => {
    const short = ESCAPES[found];
    if (short !== undefined) return short;
    if (found.length > 1) return found;
    if (found >= '\x80') return REPLACEMENT;
    return `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
