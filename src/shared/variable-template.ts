import { PostilionError } from './errors.ts';
import { asciiLowerCase } from './user-hash.ts';

/** What a template of a user database may ask for, by Dovecot's long names (2.3 and 2.4). */
export const variableNames = [
  'user',
  'username',
  'domain',
  'domain_first',
  'domain_last',
  'service',
  'rip',
  'rport',
  'lip',
  'lport',
  'mech',
  'secured',
  'session',
  'local_name',
  'password',
  'orig_user',
  'orig_username',
  'orig_domain',
] as const;
export type VariableName = (typeof variableNames)[number];

/** What is done to the value, in order. `domain-components`: `%Dd`, of use in DNs only. */
export type VariableFilter = 'lower' | 'upper' | 'domain-components';

export interface Variable {
  readonly name: VariableName;
  readonly filters: readonly VariableFilter[];
}

/** Literal text, or a variable. */
export type TemplatePart = string | Variable;

/** Latin1 strings: one character per byte. */
export type VariableValues = Readonly<Record<VariableName, string>>;

/** A template says something that nothing can be put in for. */
export class VariableTemplateError extends PostilionError {
  constructor(text: string) {
    super('TEMPLATE_INVALID', text);
  }
}

const LETTERS: Readonly<Record<string, VariableName>> = {
  u: 'user',
  n: 'username',
  d: 'domain',
  s: 'service',
  r: 'rip',
  l: 'lip',
  a: 'lport',
  b: 'rport',
  m: 'mech',
  c: 'secured',
  w: 'password',
};

/** Other names of the same. */
const ALIASES: Readonly<Record<string, VariableName>> = {
  protocol: 'service',
  remote_ip: 'rip',
  remote_port: 'rport',
  local_ip: 'lip',
  local_port: 'lport',
  mechanism: 'mech',
  original_user: 'orig_user',
  original_username: 'orig_username',
  original_domain: 'orig_domain',
};

const MODIFIERS: Readonly<Record<string, VariableFilter>> = {
  L: 'lower',
  U: 'upper',
  D: 'domain-components',
};

/** `%u`, `%Lu`, `%{user}`, `%L{user}`, `%{user | lower}`, `%%`. */
const VARIABLE = /%(?:(%)|([LUD]*)(?:([a-z])|\{([^{}]*)\}))/y;

/** The variable that begins at `offset`, where a `%` is, and where it ends. Throws VariableTemplateError. */
export function readVariable(text: string, offset: number): { part: TemplatePart; end: number } {
  VARIABLE.lastIndex = offset;
  const match = VARIABLE.exec(text);
  if (match === null) throw unknownVariable(text.slice(offset, offset + 12));
  const [whole, percent, modifiers = '', letter, braced] = match;
  const end = offset + whole.length;
  if (percent !== undefined) return { part: '%', end };
  const filters = [...modifiers].map((modifier) => MODIFIERS[modifier]);
  if (letter !== undefined) {
    const name = Object.hasOwn(LETTERS, letter) ? LETTERS[letter] : undefined;
    if (name === undefined) throw unknownVariable(whole);
    return { part: { name, filters }, end };
  }
  return { part: readBraced(braced, filters, whole), end };
}

/** Dovecot 2.4 writes what is done to a value behind it: `%{user | username | lower}`. */
function readBraced(content: string, filters: readonly VariableFilter[], whole: string): Variable {
  const [first, ...rest] = content.split('|').map((word) => word.trim());
  let name = toName(first);
  if (name === null) throw unknownVariable(whole);
  const found = [...filters];
  for (const word of rest) {
    if (word === 'lower' || word === 'upper') found.push(word);
    else if ((word === 'username' || word === 'domain') && name === 'user') name = word;
    else throw unknownVariable(whole);
  }
  return { name, filters: found };
}

function toName(text: string): VariableName | null {
  if (Object.hasOwn(ALIASES, text)) return ALIASES[text];
  return variableNames.find((name) => name === text) ?? null;
}

function unknownVariable(text: string): VariableTemplateError {
  const names = variableNames.map((name) => `%{${name}}`).join(', ');
  return new VariableTemplateError(
    `${JSON.stringify(text)} is no variable: there are %u, %n, %d, %s, %r, %l, %a, %b, %m, %c, %w, ` +
      `${names}; L or U after the % for lower or upper case; %% is a percent sign`,
  );
}

/** Parts of a template without any syntax of its own. Throws VariableTemplateError. */
export function parseTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let offset = 0;
  while (offset < text.length) {
    const percent = text.indexOf('%', offset);
    if (percent < 0) break;
    if (percent > offset) pushPart(parts, text.slice(offset, percent));
    const { part, end } = readVariable(text, percent);
    pushPart(parts, part);
    offset = end;
  }
  if (offset < text.length) pushPart(parts, text.slice(offset));
  return parts;
}

/** Adds a part; texts side by side become one. */
export function pushPart(parts: TemplatePart[], part: TemplatePart): void {
  const last = parts.at(-1);
  if (typeof part === 'string' && typeof last === 'string') parts[parts.length - 1] = last + part;
  else parts.push(part);
}

/** The value with what is to be done to it, but `domain-components`: whoever escapes it has to do that. */
export function variableValue(variable: Variable, values: VariableValues): string {
  let value = values[variable.name];
  for (const filter of variable.filters) {
    if (filter === 'lower') value = asciiLowerCase(value);
    else if (filter === 'upper') value = value.replace(/[a-z]+/g, (run) => run.toUpperCase());
  }
  return value;
}

/** Everything put in, unescaped, as a latin1 string. Literal text of a configuration file is UTF-8. */
export function expandTemplate(parts: readonly TemplatePart[], values: VariableValues): string {
  return parts
    .map((part) => (typeof part === 'string' ? utf8Bytes(part) : variableValue(part, values)))
    .join('');
}

/** UTF-8 bytes as a latin1 string. */
export function utf8Bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text that the bytes of a latin1 string are; null when they are no UTF-8, or hold a NUL. */
export function utf8Text(bytes: string): string | null {
  if (bytes.includes('\0')) return null;
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return strictUtf8.decode(Buffer.from(bytes, 'latin1'));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}
