import {
  expandTemplate,
  parseTemplate,
  pushPart,
  readVariable,
  type TemplatePart,
  utf8Text,
  VariableTemplateError,
  type VariableValues,
} from './variable-template.ts';

/** Dovecot's names of its SQL drivers. */
export const sqlDialects = ['pgsql', 'mysql', 'sqlite'] as const;
export type SqlDialect = (typeof sqlDialects)[number];

/**
 * A query in which each variable has become a parameter: what a client says is never part of the statement.
 * As in Dovecot's configuration a variable may stand in quotes, alone (`'%u'`) or with other text
 * (`'%n@example.com'`): the whole literal is then one parameter, and the quotes are gone.
 */
export interface SqlTemplate {
  /** With `$1`, `$2`, … (PostgreSQL) or `?`. */
  readonly statement: string;
  /** What each parameter is made of. */
  readonly parameters: readonly (readonly TemplatePart[])[];
}

interface Token {
  readonly kind: 'text' | 'string' | 'opaque';
  readonly text: string;
}

const PLAIN_STRING = /'(?:[^']|'')*'/y;
const BACKSLASH_STRING = /'(?:[^'\\]|''|\\[\s\S])*'/y;
const DOUBLE_QUOTED = /"(?:[^"]|"")*"/y;
const BACKSLASH_DOUBLE_QUOTED = /"(?:[^"\\]|""|\\[\s\S])*"/y;
const BACKTICKS = /`(?:[^`]|``)*`/y;
const DOLLAR_QUOTED = /\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//y;
const LINE_COMMENT = /--[^\n]*/y;
const MYSQL_LINE_COMMENT = /--(?=\s|$)[^\n]*|#[^\n]*/y;

/** Throws VariableTemplateError. */
export function parseSqlTemplate(text: string, dialect: SqlDialect): SqlTemplate {
  const builder = new TemplateBuilder(dialect);
  let offset = 0;
  while (offset < text.length) {
    const token = quotedAt(text, offset, dialect);
    if (token !== null) {
      builder.quoted(token, text[offset - 1] ?? ' ');
      offset += token.text.length;
    } else if (text[offset] === '%') {
      const { part, end } = readVariable(text, offset);
      if (typeof part === 'string') builder.text(part);
      else builder.parameter([part]);
      offset = end;
    } else {
      checkCharacter(text, offset, dialect);
      builder.text(text[offset]);
      offset++;
    }
  }
  return builder.finish();
}

/** Values of the parameters; null: one of them is no text that a database could have. */
export function sqlParameters(template: SqlTemplate, values: VariableValues): string[] | null {
  const parameters: string[] = [];
  for (const parts of template.parameters) {
    const text = utf8Text(expandTemplate(parts, values));
    if (text === null) return null;
    parameters.push(text);
  }
  return parameters;
}

class TemplateBuilder {
  readonly #dialect: SqlDialect;
  readonly #parameters: TemplatePart[][] = [];
  #statement = '';

  constructor(dialect: SqlDialect) {
    this.#dialect = dialect;
  }

  text(text: string): void {
    this.#statement += text;
  }

  /** A number of its own for each: PostgreSQL finds a type for each place where one stands. */
  parameter(parts: TemplatePart[]): void {
    this.#parameters.push(parts);
    this.#statement += this.#dialect === 'pgsql' ? `$${this.#parameters.length}` : '?';
  }

  quoted({ kind, text }: Token, before: string): void {
    const parts = parseTemplate(text);
    if (parts.every((part) => typeof part === 'string')) {
      this.#statement += parts.join('');
      return;
    }
    const shown = JSON.stringify(text.slice(0, 40));
    if (kind === 'opaque') {
      const rule = 'a variable can only be a value, not (part of) a name or a comment';
      throw new VariableTemplateError(`${shown}: ${rule}`);
    }
    if (/\w/.test(before) || text.includes('\\')) {
      const rule = 'a text with a variable can have no prefix and no backslash';
      throw new VariableTemplateError(`${shown}: ${rule}`);
    }
    const quote = text[0];
    this.parameter(stringParts(text.slice(1, -1).replaceAll(quote + quote, quote)));
  }

  finish(): SqlTemplate {
    return { statement: this.#statement.trim(), parameters: this.#parameters };
  }
}

function stringParts(content: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  for (const part of parseTemplate(content)) pushPart(parts, part);
  return parts;
}

/** A quoted text or a comment that begins here; null: neither. Throws when it has no end. */
function quotedAt(text: string, offset: number, dialect: SqlDialect): Token | null {
  const isMysql = dialect === 'mysql';
  switch (text[offset]) {
    case "'": {
      const isEscaped = dialect === 'pgsql' && /(?<!\w)e$/i.test(text.slice(0, offset).slice(-2));
      return token('string', isMysql || isEscaped ? BACKSLASH_STRING : PLAIN_STRING, text, offset);
    }
    case '"':
      // MySQL's double quotes are quotes of strings (without ANSI_QUOTES).
      if (isMysql) return token('string', BACKSLASH_DOUBLE_QUOTED, text, offset);
      return token('opaque', DOUBLE_QUOTED, text, offset);
    case '`':
      return dialect === 'pgsql' ? null : token('opaque', BACKTICKS, text, offset);
    case '/':
      return text[offset + 1] === '*' ? token('opaque', BLOCK_COMMENT, text, offset) : null;
    case '-':
    case '#':
      return match('opaque', isMysql ? MYSQL_LINE_COMMENT : LINE_COMMENT, text, offset);
    case '$':
      return dialect === 'pgsql' ? match('opaque', DOLLAR_QUOTED, text, offset) : null;
    default:
      return null;
  }
}

function token(kind: Token['kind'], pattern: RegExp, text: string, offset: number): Token {
  const found = match(kind, pattern, text, offset);
  if (found !== null) return found;
  const shown = JSON.stringify(text.slice(offset, offset + 40));
  throw new VariableTemplateError(`${shown}: what begins here has no end`);
}

function match(kind: Token['kind'], pattern: RegExp, text: string, offset: number): Token | null {
  pattern.lastIndex = offset;
  const [found] = pattern.exec(text) ?? [];
  return found === undefined ? null : { kind, text: found };
}

const OWN_PLACEHOLDER: Readonly<Record<SqlDialect, RegExp>> = {
  pgsql: /\$\d/y,
  mysql: /\?/y,
  sqlite: /\?|[:@$]\w/y,
};

/** Refuses placeholders that are not ours: nothing would be put in for them. And a second statement. */
function checkCharacter(text: string, offset: number, dialect: SqlDialect): void {
  const pattern = OWN_PLACEHOLDER[dialect];
  pattern.lastIndex = offset;
  if (pattern.test(text)) {
    const shown = JSON.stringify(text.slice(offset, offset + 12));
    throw new VariableTemplateError(`${shown}: placeholders are made from %u and its like`);
  }
  if (text[offset] === ';' && text.slice(offset + 1).trim() !== '') {
    throw new VariableTemplateError('one statement only: nothing may follow a ";"');
  }
}
