import { sieveString } from './sieve-string.ts';
import { type SieveToken, SieveTokenizer } from './sieve-tokenizer.ts';

export interface SieveStatus {
  readonly kind: 'status';
  readonly status: 'OK' | 'NO' | 'BYE';
  /** What stands in parentheses, written anew; '' = nothing. */
  readonly code: string;
  /** Its first word, in upper case; '' = there is none. */
  readonly codeName: string;
  /** The text for people; null: none. */
  readonly text: string | null;
}

/** A capability, or the challenge of a SASL exchange. */
export interface SieveStrings {
  readonly kind: 'strings';
  readonly values: readonly [string, ...string[]];
}

/** Parses one response as SieveLineSplitter gives it; null: it is none. */
export function parseSieveResponse(response: string): SieveStatus | SieveStrings | null {
  return new ResponseParser(response).parse();
}

/** A status as it is written on the wire, without the line end. */
export function formatSieveStatus({ status, code, text }: Omit<SieveStatus, 'codeName'>): string {
  const words: string[] = [status];
  if (code !== '') words.push(`(${code})`);
  if (text !== null) words.push(sieveString(text, 'server'));
  return words.join(' ');
}

class ResponseParser {
  readonly #text: string;
  readonly #tokenizer = new SieveTokenizer();

  constructor(response: string) {
    this.#text = `${response}\r\n`;
    this.#tokenizer.reset(response.length);
  }

  parse(): SieveStatus | SieveStrings | null {
    const token = this.#next();
    const { value } = this.#tokenizer;
    if (token === 'string') return this.#parseStrings(value);
    if (token !== 'atom') return null;
    const status = value.toUpperCase();
    return status === 'OK' || status === 'NO' || status === 'BYE'
      ? this.#parseStatus(status)
      : null;
  }

  #next(): SieveToken {
    return this.#tokenizer.next(this.#text, this.#tokenizer.position, this.#text.length);
  }

  #parseStrings(first: string): SieveStrings | null {
    const values: [string, ...string[]] = [first];
    for (let token = this.#next(); token !== 'end'; token = this.#next()) {
      if (token !== 'string' && token !== 'atom') return null;
      values.push(this.#tokenizer.value);
    }
    return { kind: 'strings', values };
  }

  #parseStatus(status: SieveStatus['status']): SieveStatus | null {
    let token = this.#next();
    let code = '';
    if (token === 'open') {
      const given = this.#parseCode();
      if (given === null) return null;
      code = given;
      token = this.#next();
    }
    let text: string | null = null;
    if (token === 'string') {
      text = this.#tokenizer.value;
      token = this.#next();
    }
    if (token !== 'end') return null;
    const codeName = code.split(' ', 1)[0].toUpperCase();
    return { kind: 'status', status, code, codeName, text };
  }

  /** What is in the parenthesis that has just been opened, which may hold further ones. */
  #parseCode(): string | null {
    let code = '';
    for (let depth = 1; ; ) {
      const token = this.#next();
      const isSpaced = code !== '' && !code.endsWith('(');
      if (token === 'close') {
        depth--;
        if (depth === 0) return code;
        code += ')';
      } else if (token === 'open') {
        depth++;
        code += isSpaced ? ' (' : '(';
      } else if (token === 'atom' || token === 'string') {
        const { value } = this.#tokenizer;
        const word = token === 'atom' ? value : sieveString(value, 'server');
        code += isSpaced ? ` ${word}` : word;
      } else {
        return null;
      }
    }
  }
}
