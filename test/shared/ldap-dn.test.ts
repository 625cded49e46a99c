import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeDnValue, expandDn } from '../../src/shared/ldap-dn.ts';
import {
  parseTemplate,
  utf8Bytes,
  type VariableValues,
  variableNames,
} from '../../src/shared/variable-template.ts';

function dnOf(template: string, user: string): string | null {
  const values = Object.fromEntries(variableNames.map((name) => [name, user]));
  return expandDn(
    parseTemplate(template),
    values as Record<(typeof variableNames)[number], string> satisfies VariableValues,
  );
}

/** Values of the parts of a name, by RFC 4514: the other way round than escapeDnValue(). */
function valuesIn(dn: string): string[] {
  const bytes: string[] = [''];
  for (const [piece] of dn.matchAll(/\\[0-9a-fA-F]{2}|\\[\s\S]|[\s\S]/gu)) {
    if (piece === ',' || piece === '+') bytes.push('');
    else if (/^\\[0-9a-fA-F]{2}$/.test(piece)) {
      bytes[bytes.length - 1] += String.fromCharCode(Number.parseInt(piece.slice(1), 16));
    } else bytes[bytes.length - 1] += utf8Bytes(piece);
  }
  return bytes.map((value) => {
    return Buffer.from(value.slice(value.indexOf('=') + 1), 'latin1').toString('utf8');
  });
}

test('names', () => {
  expect(dnOf('uid=%u,ou=people,o=x', 'bob@example.org')).toBe('uid=bob@example.org,ou=people,o=x');
  expect(dnOf('uid=%u,o=x', ' b,c+d=e ')).toBe('uid=\\20b\\2cc\\2bd\\3de\\20,o=x');
  expect(dnOf('ou=x,dc=%Dd', 'mail.example.org')).toBe('ou=x,dc=mail,dc=example,dc=org');
  expect(dnOf('ou=x,dc=%Dd', 'a,b.c')).toBe('ou=x,dc=a\\2cb,dc=c');
  expect(dnOf('%u', '\xff')).toBeNull();
  expect(dnOf('%u', 'a\0')).toBeNull();
});

test('whatever the name is: it stays one value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (user) => {
      expect(valuesIn(`uid=${escapeDnValue(user)},ou=people`)).toEqual([user, 'people']);
    }),
  );
});
