import fc from 'fast-check';
import * as ldapts from 'ldapts';
import { expect, test } from 'vitest';
import { parseFilterTemplate } from '../../src/shared/ldap-filter.ts';
import { databaseLimits } from '../../src/shared/limits.ts';
import {
  utf8Bytes,
  VariableTemplateError,
  type VariableValues,
  variableNames,
} from '../../src/shared/variable-template.ts';
import { buildFilter } from '../../src/workers/auth/ldap/search-filter.ts';

function valuesOf(user: string): VariableValues {
  const values = Object.fromEntries(variableNames.map((name) => [name, user]));
  return values as Record<(typeof variableNames)[number], string>;
}

/** What a server reads of the filter: written as BER, and taken apart by the library. */
function sent(template: string, user: string): ldapts.Filter | null {
  const filter = buildFilter(ldapts, parseFilterTemplate(template), valuesOf(user));
  if (filter === null) return null;
  const writer = new ldapts.BerWriter();
  filter.write(writer);
  return ldapts.FilterParser.parse(new ldapts.BerReader(writer.buffer));
}

test.each([
  ['(uid=%u)', '(uid=V)'],
  [' uid=%u ', '(uid=V)'],
  ['(&(objectClass=posixAccount) (uid=%u))', '(&(objectClass=posixAccount)(uid=V))'],
  ['( | (uid=%u)(!(mail=*)) )', '(|(uid=V)(!(mail=*)))'],
  ['(mail=%n@*.example.org)', '(mail=V@*.example.org)'],
  ['(cn=*a*%u*)', '(cn=*a*V*)'],
  ['(cn=\\2a\\28\\c3\\a9é)', '(cn=\\2a\\28éé)'],
  ['(cn=100%%)', '(cn=100%)'],
  ['(cn=)', '(cn=)'],
  ['(uidNumber>=%u)', '(uidNumber>=V)'],
  ['(uidNumber<=5)', '(uidNumber<=5)'],
  ['(cn~=%u)', '(cn~=V)'],
  [
    '(memberOf:1.2.840.113556.1.4.1941:=cn=%u,dc=x)',
    '(memberOf:1.2.840.113556.1.4.1941:=cn=V,dc=x)',
  ],
  ['(cn:dn:2.4.6:=x)', '(cn:dn:2.4.6:=x)'],
  ['(:dn:2.4.6:=x)', '(:dn:2.4.6:=x)'],
  ['(cn:=x)', '(cn:=x)'],
  ['(1.2.840.1=x)', '(1.2.840.1=x)'],
  ['(cn;lang-en=x)', '(cn;lang-en=x)'],
])('%j', (template, result) => {
  const filter = buildFilter(ldapts, parseFilterTemplate(template), valuesOf('V'));
  expect(String(filter)).toBe(result);
});

test.each([
  ...[
    '',
    '(',
    '()',
    '(uid)',
    '(uid=%u',
    '(uid=%u))',
    '(uid=%u)(x=y)',
    '(&)',
    '(!)',
    '(!(a=b)(c=d))',
  ],
  ...['(uid=a(b)', '(uid=\\2)', '(uid=\\zz)', '(uid=\\ff)', '(uid=\\00)', '(%u=x)', '(uid=%q)'],
  ...['(uid>=a*)', '(:=x)', '(cn:dn:x:=*)', '(é=x)', `${'(!'.repeat(40)}(a=b)${')'.repeat(40)}`],
])('%j is refused', (template) => {
  expect(() => parseFilterTemplate(template)).toThrow(VariableTemplateError);
});

test('limits: one less, as much, one more', () => {
  const nested = (depth: number): string => `${'(!'.repeat(depth)}(a=b)${')'.repeat(depth)}`;
  const { ldapFilterDepth, ldapFilterChars } = databaseLimits;
  for (const less of [1, 0]) {
    expect(() => parseFilterTemplate(nested(ldapFilterDepth - less))).not.toThrow();
    expect(() => parseFilterTemplate('a='.padEnd(ldapFilterChars - less, 'x'))).not.toThrow();
  }
  expect(() => parseFilterTemplate(nested(ldapFilterDepth + 1))).toThrow(VariableTemplateError);
  expect(() => parseFilterTemplate('a='.padEnd(ldapFilterChars + 1, 'x'))).toThrow(
    VariableTemplateError,
  );
});

test('what is no text makes no filter', () => {
  expect(sent('(uid=%u)', '\xff')).toBeNull();
  expect(sent('(uid=%u)', 'a\0')).toBeNull();
});

test('whatever the name is: the filter keeps its shape, and the server gets that name', () => {
  const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'));
  const hostile = fc.constantFrom('*', '(', ')', '\\', '\\2a', '&', '|', '!', '=', ')(uid=*');
  const name = fc.array(fc.oneof(text, hostile), { maxLength: 6 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(name, (user) => {
      const filter = sent('(&(a=%u)(b=x*%u)(c>=%u)(d:2.4.6:=%u))', utf8Bytes(user));
      const [a, b, c, d] = (filter as ldapts.AndFilter).filters;
      expect(a).toMatchObject({ type: ldapts.SearchFilter.equalityMatch, value: user });
      expect(b).toMatchObject({
        ...{ type: ldapts.SearchFilter.substrings, attribute: 'b' },
        ...{ initial: 'x', any: [], final: user },
      });
      expect(c).toMatchObject({ type: ldapts.SearchFilter.greaterOrEqual, value: user });
      expect(d).toMatchObject({ type: ldapts.SearchFilter.extensibleMatch, value: user });
    }),
  );
});
