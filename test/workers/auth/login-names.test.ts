import { expect, test } from 'vitest';
import { defaultUserNameRules } from '../../../src/shared/user-name.ts';
import { loginNames } from '../../../src/workers/auth/login-names.ts';

test.each([
  ['Alice', '', '', { user: 'alice', authUser: 'alice' }],
  ['Boss', 'Alice', '', { user: 'alice', authUser: 'boss' }],
  ['alice*boss', '', '', null],
  ['Alice*Boss', '', '*', { user: 'alice', authUser: 'boss' }],
  ['alice*', '', '*', null],
  ['*boss', '', '*', null],
  ['a*b*c', '', '*', null],
  // An authorisation id says it already.
  ['alice*boss', 'bob', '*', null],
  ['al ice', '', '', null],
  ['boss', 'al ice', '', null],
  ['', '', '', null],
])('%j for %j, separator %j: %j', (name, authzid, separator, expected) => {
  expect(loginNames(name, authzid, defaultUserNameRules, separator)).toEqual(expected);
});
