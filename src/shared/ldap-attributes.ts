import {
  expandTemplate,
  parseTemplate,
  type TemplatePart,
  VariableTemplateError,
  type VariableValues,
} from './variable-template.ts';

/** What becomes a field of the user: an attribute, or a text with attributes and variables in it. */
export interface AttributeField {
  readonly field: string;
  /** `{ attribute }`: its first value; a user without it has no such field, in whatever text it stands. */
  readonly parts: readonly (TemplatePart | { readonly attribute: string })[];
}

const ATTRIBUTE = /^(?:[A-Za-z][\w-]*|\d+(?:\.\d+)*)(?:;[\w-]+)*$/;
const FIELD = /^[\w-]{1,64}$/;
const IN_TEXT = /%\{ldap:([^{}:]*)\}/;
/** As Dovecot's lists they are parted by commas; a text with a comma cannot be in one. */
const SEPARATOR = /\s*,\s*/;

/**
 * A list as Dovecot's pass_attrs: `attribute=field`, `attribute` (a field of the same name), `=field=text` with
 * `%{ldap:attribute}` and variables in the text. Throws VariableTemplateError.
 */
export function parseAttributes(text: string): AttributeField[] {
  const fields = text
    .split(SEPARATOR)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(parseEntry);
  const names = fields.map(({ field }) => field);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new VariableTemplateError(`two entries for the field "${twice}"`);
  return fields;
}

function parseEntry(entry: string): AttributeField {
  const [, field, text] = /^=([^=]*)(?:=(.*))?$/.exec(entry) ?? [];
  if (field !== undefined) return { field: checked(FIELD, field, entry), parts: textParts(text) };
  const [attribute, name = attribute, ...more] = entry.split('=');
  if (more.length > 0) throw problem(entry);
  return {
    field: checked(FIELD, name, entry),
    parts: [{ attribute: checked(ATTRIBUTE, attribute, entry) }],
  };
}

function textParts(text = ''): AttributeField['parts'] {
  // Text and attributes by turns.
  return text.split(IN_TEXT).flatMap((piece, i): AttributeField['parts'] => {
    if (i % 2 === 0) return parseTemplate(piece);
    return [{ attribute: checked(ATTRIBUTE, piece, text) }];
  });
}

function checked(pattern: RegExp, name: string, entry: string): string {
  if (!pattern.test(name)) throw problem(entry);
  return name;
}

function problem(entry: string): VariableTemplateError {
  const shown = JSON.stringify(entry.slice(0, 60));
  return new VariableTemplateError(`${shown}: attribute=field or =field=text is wanted`);
}

/** What the directory is asked for; each once. */
export function attributeNames(fields: readonly AttributeField[]): string[] {
  const parts = fields.flatMap((field) => field.parts);
  const names = parts.flatMap((part) => {
    return typeof part === 'object' && 'attribute' in part ? [part.attribute] : [];
  });
  return [...new Set(names)];
}

/**
 * The fields of an entry.
 *
 * @param firstValue first value of an attribute; latin1 string, null = the entry does not have it
 */
export function attributeFields(
  fields: readonly AttributeField[],
  firstValue: (attribute: string) => string | null,
  values: VariableValues,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const { field, parts } of fields) {
    const texts = parts.map((part) => {
      const isAttribute = typeof part === 'object' && 'attribute' in part;
      return isAttribute ? firstValue(part.attribute) : expandTemplate([part], values);
    });
    if (!texts.includes(null)) found.set(field, texts.join(''));
  }
  return found;
}
