import {
  type TemplatePart,
  utf8Text,
  type VariableValues,
  variableValue,
} from './variable-template.ts';

/** All but these are escaped, whether RFC 4514 asks for it or not; what is no ASCII need not be. */
const ESCAPED = /[^A-Za-z0-9._@\x80-\uffff-]/g;

/** A value as it can stand in a distinguished name (RFC 4514), whatever is in it. */
export function escapeDnValue(value: string): string {
  return value.replace(ESCAPED, (character) => {
    return `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/**
 * A distinguished name with the values of its variables, each of which stays one value, or with `%Dd`
 * the values of one `dc=` each. Null: a value is no text that a directory could have.
 */
export function expandDn(template: readonly TemplatePart[], values: VariableValues): string | null {
  let dn = '';
  for (const part of template) {
    if (typeof part === 'string') {
      dn += part;
      continue;
    }
    const value = utf8Text(variableValue(part, values));
    if (value === null) return null;
    const labels = part.filters.includes('domain-components') ? value.split('.') : [value];
    dn += labels.map(escapeDnValue).join(',dc=');
  }
  return dn;
}
