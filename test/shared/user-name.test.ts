import { describe, expect, test } from 'vitest';
import {
  defaultUserNameRules,
  normaliseUser,
  type UserNameRules,
} from '../../src/shared/user-name.ts';

const anything: UserNameRules = { chars: '', format: '', defaultRealm: '' };

describe('with the default rules', () => {
  test.each([
    ['Alice', 'alice'],
    ['alice.b-c_d@Example.COM', 'alice.b-c_d@example.com'],
    ['', null],
    ['ali ce', null],
    ['ali"ce', null],
    ['ali*ce', null],
    ['ali\r\nce', null],
    ['ali\0ce', null],
    ['\xc4lice', null],
  ])('%j becomes %j', (name, user) => {
    expect(normaliseUser(name, defaultUserNameRules)).toBe(user);
  });
});

describe('with other rules', () => {
  test.each([
    ['any character', 'A b\xc4', anything, 'A b\xc4'],
    ['any character but line breakers', 'a\nb', anything, null],
    ['lower case is ASCII only', 'A\xc4', { ...anything, format: '%Lu' }, 'a\xc4'],
    ['%u changes nothing', 'A', { ...anything, format: '%u' }, 'A'],
    [
      'a realm is appended',
      'Al',
      { ...anything, format: '%Lu', defaultRealm: 'X.org' },
      'al@x.org',
    ],
    ['a realm is not replaced', 'al@y', { ...anything, defaultRealm: 'x' }, 'al@y'],
    ['an empty name gets no realm', '', { ...anything, defaultRealm: 'x' }, null],
    ['the realm is checked too', 'a', { chars: 'a', format: '', defaultRealm: 'b' }, null],
    ['line breakers cannot be allowed', 'a\r', { ...anything, chars: 'a\r' }, null],
  ] as const)('%s', (_, name, rules, user) => {
    expect(normaliseUser(name, rules)).toBe(user);
    // The second time from the compiled table.
    expect(normaliseUser(name, rules)).toBe(user);
  });
});
