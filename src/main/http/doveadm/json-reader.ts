/** JSON that cannot be read; the text is Dovecot's for the same fault. */
export class JsonFault extends Error {}

export type JsonToken =
  | { readonly kind: 'object' | 'object-end' | 'array' | 'array-end' }
  | { readonly kind: 'true' | 'false' | 'null' }
  /** Bytes, one character each. */
  | { readonly kind: 'key' | 'string' | 'number'; readonly text: string };

/** What may come next. */
type State = 'value' | 'first-key' | 'key' | 'first-item' | 'next' | 'end';

const NUMBER = /-?(?:0|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const ATOM = /true|false|null/y;
/** Up to the next quote, backslash or NUL. */
const PLAIN = /[^"\\\0]*/y;
const BLANKS = /[ \t\r\n]*/y;
const HEX4 = /^[\da-fA-F]{4}$/;
const ESCAPES: Readonly<Record<string, string>> = {
  ...{ '"': '"', '\\': '\\', '/': '/' },
  ...{ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' },
};
const CUT_OFF = "Missing '}'";

/**
 * Reads JSON token by token, in the way and with the error texts of Dovecot 2.3.19.1 (lib/json-parser.c):
 * strings are bytes, and one key may come twice. Unlike there, escapes are checked in what is skipped, too.
 */
export class JsonReader {
  readonly #bytes: string;
  #at = 0;
  #state: State = 'value';
  /** `{` or `[` of what is open. */
  readonly #open: ('{' | '[')[] = [];

  /** @param bytes one character per byte */
  constructor(bytes: string) {
    this.#bytes = bytes;
  }

  /** Null: the value has ended, and nothing is behind it. Throws JsonFault. */
  next(): JsonToken | null {
    this.#skip(BLANKS);
    if (this.#at === this.#bytes.length) {
      if (this.#state === 'end') return null;
      throw new JsonFault(CUT_OFF);
    }
    const character = this.#bytes[this.#at];
    switch (this.#state) {
      case 'end':
        throw new JsonFault('Unexpected data at the end');
      case 'first-key':
        return character === '}' ? this.#close() : this.#key();
      case 'key':
        return this.#key();
      case 'first-item':
        return character === ']' ? this.#close() : this.#value();
      case 'next':
        return this.#behindValue(character);
      case 'value':
        return this.#value();
    }
  }

  /** Reads over one value, whatever is in it. */
  skipValue(): void {
    let depth = 0;
    do {
      const kind = this.next()?.kind;
      if (kind === 'object' || kind === 'array') depth++;
      if (kind === 'object-end' || kind === 'array-end') depth--;
      // What should have been a value was the end of the list.
      if (depth < 0) return;
    } while (depth > 0);
  }

  #behindValue(character: string): JsonToken | null {
    const isObject = this.#open.at(-1) === '{';
    if (character === (isObject ? '}' : ']')) return this.#close();
    if (character !== ',') {
      // Dovecot says '}' of arrays, too.
      throw new JsonFault(`Expected ',' or '}' after ${isObject ? 'object' : 'array'} value`);
    }
    this.#at++;
    this.#state = isObject ? 'key' : 'value';
    return this.next();
  }

  #close(): JsonToken {
    const kind = this.#open.pop() === '{' ? 'object-end' : 'array-end';
    this.#at++;
    this.#endValue();
    return { kind };
  }

  #endValue(): void {
    this.#state = this.#open.length === 0 ? 'end' : 'next';
  }

  #key(): JsonToken {
    const text = this.#bytes[this.#at] === '"' ? this.#string() : null;
    if (text === null) throw new JsonFault('Expected string as object key');
    this.#skip(BLANKS);
    if (this.#at === this.#bytes.length) throw new JsonFault(CUT_OFF);
    if (this.#bytes[this.#at] !== ':') throw new JsonFault("Expected ':' after key");
    this.#at++;
    this.#state = 'value';
    return { kind: 'key', text };
  }

  #value(): JsonToken {
    const character = this.#bytes[this.#at];
    if (character === '{' || character === '[') {
      this.#open.push(character);
      this.#at++;
      this.#state = character === '{' ? 'first-key' : 'first-item';
      return { kind: character === '{' ? 'object' : 'array' };
    }
    if (character === '"') {
      const text = this.#string();
      this.#endValue();
      return { kind: 'string', text };
    }
    const number = this.#match(NUMBER);
    const atom = number === '' ? this.#match(ATOM) : '';
    if (number === '' && atom === '') throw this.#badValue();
    this.#endValue();
    return number === '' ? { kind: atom as 'true' } : { kind: 'number', text: number };
  }

  /** The end of the input in the middle of a value is another fault. */
  #badValue(): JsonFault {
    const rest = this.#bytes.slice(this.#at, this.#at + 8);
    const isCutOff = ['true', 'false', 'null', '-'].some((word) => word.startsWith(rest));
    return new JsonFault(isCutOff ? CUT_OFF : 'Invalid data as value');
  }

  #string(): string {
    this.#at++;
    const parts: string[] = [];
    for (;;) {
      parts.push(this.#match(PLAIN));
      const character = this.#bytes[this.#at++];
      if (character === '"') return parts.length === 1 ? parts[0] : parts.join('');
      if (character === '\0') throw new JsonFault('NULs not supported in strings');
      parts.push(this.#escape(this.#bytes[this.#at++]));
    }
  }

  #escape(character: string | undefined): string {
    if (character === undefined) throw new JsonFault(CUT_OFF);
    if (character === 'u') return this.#unicodeEscape();
    const escaped = ESCAPES[character];
    if (escaped === undefined) throw new JsonFault('Invalid escape string');
    return escaped;
  }

  /** The UTF-8 bytes of what four hexadecimal digits, or two times four, say. */
  #unicodeEscape(): string {
    let code = this.#hex();
    if (code >= 0xd800 && code <= 0xdbff) {
      const text = `High surrogate 0x${code.toString(16)} seen, but not followed by low surrogate`;
      const next = this.#bytes.slice(this.#at, this.#at + 2);
      this.#at += 2;
      const low = this.#hex();
      if (next !== '\\u' || low < 0xdc00 || low > 0xdfff) throw new JsonFault(text);
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code >= 0xdc00 && code <= 0xdfff) {
      throw new JsonFault(`Invalid unicode character U+${code.toString(16)}`);
    }
    if (code === 0) throw new JsonFault('\\u0000 not supported in strings');
    return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
  }

  #hex(): number {
    const digits = this.#bytes.slice(this.#at, this.#at + 4);
    if (digits.length < 4) throw new JsonFault(CUT_OFF);
    if (!HEX4.test(digits)) throw new JsonFault('Invalid unicode escape seen');
    this.#at += 4;
    return Number.parseInt(digits, 16);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#bytes)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  #skip(pattern: RegExp): void {
    this.#match(pattern);
  }
}
