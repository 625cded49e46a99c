import type { Filter } from 'ldapts';
import type { FilterTemplate, FilterValue } from '../../../shared/ldap-filter.ts';
import {
  expandTemplate,
  utf8Text,
  type VariableValues,
} from '../../../shared/variable-template.ts';

type Ldapts = typeof import('ldapts');

/**
 * The filter with its values: objects, never a text that would have to be read again. Null: a value is no text
 * that a directory could have.
 */
export function buildFilter(
  ldapts: Ldapts,
  template: FilterTemplate,
  values: VariableValues,
): Filter | null {
  const text = (value: FilterValue): string => {
    const found = utf8Text(expandTemplate(value, values));
    if (found === null) throw NO_TEXT;
    return found;
  };
  try {
    return build(ldapts, template, text);
  } catch (error) {
    if (error === NO_TEXT) return null;
    throw error;
  }
}

const NO_TEXT = new Error('no text');

function build(
  ldapts: Ldapts,
  template: FilterTemplate,
  text: (value: FilterValue) => string,
): Filter {
  switch (template.kind) {
    case 'and':
    case 'or': {
      const filters = template.filters.map((filter) => build(ldapts, filter, text));
      return template.kind === 'and'
        ? new ldapts.AndFilter({ filters })
        : new ldapts.OrFilter({ filters });
    }
    case 'not':
      return new ldapts.NotFilter({ filter: build(ldapts, template.filter, text) });
    case 'present':
      return new ldapts.PresenceFilter({ attribute: template.attribute });
    case 'substrings': {
      const pieces = template.pieces.map(text);
      return new ldapts.SubstringFilter({
        attribute: template.attribute,
        initial: pieces[0],
        any: pieces.slice(1, -1).filter((piece) => piece !== ''),
        final: pieces[pieces.length - 1],
      });
    }
    case 'extensible':
      return new ldapts.ExtensibleFilter({
        matchType: template.attribute,
        rule: template.rule,
        dnAttributes: template.matchesDn,
        value: text(template.value),
      });
    default: {
      const { attribute } = template;
      const options = { attribute, value: text(template.value) };
      switch (template.kind) {
        case 'equal':
          return new ldapts.EqualityFilter(options);
        case 'approx':
          return new ldapts.ApproximateFilter(options);
        case 'greater-or-equal':
          return new ldapts.GreaterThanEqualsFilter(options);
        case 'less-or-equal':
          return new ldapts.LessThanEqualsFilter(options);
      }
    }
  }
}
