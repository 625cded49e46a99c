import { expect, test } from 'vitest';
import {
  attributeFields,
  attributeNames,
  parseAttributes,
} from '../../src/shared/ldap-attributes.ts';
import { VariableTemplateError, type VariableValues } from '../../src/shared/variable-template.ts';

test('what is asked for, and what becomes of it', () => {
  const fields = parseAttributes(
    'uid=user, mail,=destuser=%{ldap:uid}@%d,=nodelay,=proxy_timeout=5%%,title=forward_t',
  );
  expect(attributeNames(fields)).toEqual(['uid', 'mail', 'title']);
  const entry = new Map([
    ['uid', 'bob'],
    ['mail', 'b@x'],
  ]);
  const values = { domain: 'example.org' } as VariableValues;
  expect(attributeFields(fields, (name) => entry.get(name) ?? null, values)).toEqual(
    new Map([
      ['user', 'bob'],
      ['mail', 'b@x'],
      ['destuser', 'bob@example.org'],
      ['nodelay', ''],
      ['proxy_timeout', '5%'],
    ]),
  );
  expect(parseAttributes(' , ')).toEqual([]);
});

test.each([
  'a=b=c',
  '=',
  '==x',
  'a b',
  'uid=us er',
  '=x=%q',
  '=x=%{ldap:}',
  '=x=%{ldap:a b}',
  'a=u,b=u',
])('%j is refused', (text) => {
  expect(() => parseAttributes(text)).toThrow(VariableTemplateError);
});
