import { asciiLowerCase } from '../../shared/user-hash.ts';
import {
  parseTemplate,
  type Variable,
  VariableTemplateError,
  type VariableValues,
} from '../../shared/variable-template.ts';
import type { PassdbQuery } from './passdb.ts';
import { queryVariables } from './query-variables.ts';

/** Values of fields with Dovecot's variables filled in (`%u`, `%{user | lower}`). Null: a `%` that is none. */
export function expandFields(
  fields: readonly (readonly [name: string, value: string])[],
  query: PassdbQuery,
): Map<string, string> | null {
  if (!fields.some(([, value]) => value.includes('%'))) return new Map(fields);
  const values = queryVariables(query);
  try {
    return new Map(fields.map(([name, value]) => [name, expand(value, values)]));
  } catch (error) {
    if (error instanceof VariableTemplateError) return null;
    throw error;
  }
}

function expand(text: string, values: VariableValues): string {
  if (!text.includes('%')) return text;
  return parseTemplate(text)
    .map((part) => (typeof part === 'string' ? part : filtered(part, values)))
    .join('');
}

function filtered({ name, filters }: Variable, values: VariableValues): string {
  let value = values[name];
  for (const filter of filters) {
    if (filter === 'lower') value = asciiLowerCase(value);
    else if (filter === 'upper') value = value.replace(/[a-z]+/g, (text) => text.toUpperCase());
    else throw new VariableTemplateError('%D is of use in DNs only');
  }
  return value;
}
