import { databaseLimits } from './limits.ts';
import {
  pushPart,
  readVariable,
  type TemplatePart,
  utf8Bytes,
  utf8Text,
  VariableTemplateError,
} from './variable-template.ts';

const { ldapFilterChars, ldapFilterDepth } = databaseLimits;

/** A value of a filter: texts (no longer escaped) and variables. */
export type FilterValue = readonly TemplatePart[];

/**
 * A search filter (RFC 4515) whose values may hold variables. It is taken apart once, when the configuration
 * is read; what a client says is put into a value of the finished tree and cannot change its shape.
 */
export type FilterTemplate =
  | { readonly kind: 'and' | 'or'; readonly filters: readonly FilterTemplate[] }
  | { readonly kind: 'not'; readonly filter: FilterTemplate }
  | { readonly kind: 'present'; readonly attribute: string }
  | {
      readonly kind: 'equal' | 'approx' | 'greater-or-equal' | 'less-or-equal';
      readonly attribute: string;
      readonly value: FilterValue;
    }
  | {
      readonly kind: 'substrings';
      readonly attribute: string;
      /** What stands between the asterisks, with those at both ends; two or more, [] = nothing. */
      readonly pieces: readonly FilterValue[];
    }
  | {
      readonly kind: 'extensible';
      readonly attribute: string;
      readonly rule: string;
      readonly matchesDn: boolean;
      readonly value: FilterValue;
    };

/** An attribute, by name or number and with options, and the operator; with `:=` also `:dn` and a rule. */
const ATTRIBUTE = '[A-Za-z][\\w-]*|\\d+(?:\\.\\d+)*';
const SIMPLE = new RegExp(`((?:${ATTRIBUTE})(?:;[\\w-]+)*) *(=|~=|>=|<=)`, 'y');
const EXTENSIBLE = new RegExp(`((?:${ATTRIBUTE})(?:;[\\w-]+)*)?(:dn)?(?::(${ATTRIBUTE}))?:=`, 'iy');
const OPERATORS = {
  '=': 'equal',
  '~=': 'approx',
  '>=': 'greater-or-equal',
  '<=': 'less-or-equal',
} as const;

/** Parentheses around the whole may be left out. Throws VariableTemplateError. */
export function parseFilterTemplate(text: string): FilterTemplate {
  if (text.length > ldapFilterChars) {
    throw new VariableTemplateError(`a filter of more than ${ldapFilterChars} characters`);
  }
  const trimmed = text.trim();
  return new FilterReader(trimmed.startsWith('(') ? trimmed : `(${trimmed})`).read();
}

/** Everything that its values are made of. */
export function filterParts(template: FilterTemplate): TemplatePart[] {
  switch (template.kind) {
    case 'and':
    case 'or':
      return template.filters.flatMap(filterParts);
    case 'not':
      return filterParts(template.filter);
    case 'present':
      return [];
    case 'substrings':
      return template.pieces.flat();
    default:
      return [...template.value];
  }
}

class FilterReader {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): FilterTemplate {
    const filter = this.#filter(0);
    if (this.#offset !== this.#text.length) this.#fail('the end');
    return filter;
  }

  #filter(depth: number): FilterTemplate {
    if (depth > ldapFilterDepth) this.#fail(`${ldapFilterDepth} levels at most`);
    this.#expect('(');
    this.#skipBlanks();
    const filter = this.#component(depth);
    this.#expect(')');
    this.#skipBlanks();
    return filter;
  }

  #component(depth: number): FilterTemplate {
    const operator = this.#text[this.#offset];
    if (operator === '!') {
      this.#offset++;
      this.#skipBlanks();
      return { kind: 'not', filter: this.#filter(depth + 1) };
    }
    if (operator !== '&' && operator !== '|') return this.#item();
    this.#offset++;
    this.#skipBlanks();
    const filters: FilterTemplate[] = [];
    while (this.#text[this.#offset] === '(') filters.push(this.#filter(depth + 1));
    if (filters.length === 0) this.#fail('"("');
    return { kind: operator === '&' ? 'and' : 'or', filters };
  }

  #item(): FilterTemplate {
    const simple = this.#match(SIMPLE);
    if (simple !== null) {
      const [, attribute, operator] = simple;
      const pieces = this.#pieces();
      if (operator === '=') return equality(attribute, pieces);
      if (pieces.length > 1) this.#fail('no asterisk');
      const kind = OPERATORS[operator as keyof typeof OPERATORS];
      return { kind, attribute, value: pieces[0] };
    }
    const extensible = this.#match(EXTENSIBLE);
    if (extensible === null) this.#fail('ATTRIBUTE=VALUE');
    const [, attribute = '', dn, rule = ''] = extensible;
    if (attribute === '' && rule === '') this.#fail('an attribute or a rule');
    const [value, ...more] = this.#pieces();
    if (more.length > 0) this.#fail('no asterisk');
    return { kind: 'extensible', attribute, rule, matchesDn: dn !== undefined, value };
  }

  /** The value up to the `)`, cut at its asterisks. */
  #pieces(): FilterValue[] {
    const pieces: TemplatePart[][] = [[]];
    let bytes = '';
    const flush = (): void => {
      if (bytes === '') return;
      const text = utf8Text(bytes);
      if (text === null) this.#fail('UTF-8 without NUL');
      pushPart(pieces[pieces.length - 1], text);
      bytes = '';
    };
    for (;;) {
      const character = this.#text[this.#offset];
      if (character === undefined || character === '(') this.#fail('")" (or "\\28" in a value)');
      if (character === ')') break;
      if (character === '*') {
        flush();
        pieces.push([]);
        this.#offset++;
      } else if (character === '%') {
        const { part, end } = readVariable(this.#text, this.#offset);
        if (typeof part === 'string') bytes += part;
        else {
          flush();
          pushPart(pieces[pieces.length - 1], part);
        }
        this.#offset = end;
      } else {
        bytes += this.#byte();
      }
    }
    flush();
    return pieces;
  }

  #byte(): string {
    const escaped = this.#match(/\\([\dA-Fa-f]{2})/y);
    if (escaped !== null) return String.fromCharCode(Number.parseInt(escaped[1], 16));
    const codePoint = this.#text.codePointAt(this.#offset)!;
    const character = String.fromCodePoint(codePoint);
    if (character === '\\') this.#fail('two hex digits behind "\\"');
    this.#offset += character.length;
    return utf8Bytes(character);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#offset;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#offset += found[0].length;
    return found;
  }

  #expect(character: string): void {
    if (this.#text[this.#offset] !== character) this.#fail(`"${character}"`);
    this.#offset++;
  }

  #skipBlanks(): void {
    while (/^\s$/.test(this.#text[this.#offset] ?? '')) this.#offset++;
  }

  #fail(expected: string): never {
    const found = this.#text.slice(this.#offset, this.#offset + 20);
    const shown = found === '' ? 'its end' : JSON.stringify(found);
    throw new VariableTemplateError(`filter: expected ${expected} where ${shown} is`);
  }
}

function equality(attribute: string, pieces: readonly FilterValue[]): FilterTemplate {
  if (pieces.length === 1) return { kind: 'equal', attribute, value: pieces[0] };
  if (pieces.every((piece) => piece.length === 0)) return { kind: 'present', attribute };
  return { kind: 'substrings', attribute, pieces };
}
