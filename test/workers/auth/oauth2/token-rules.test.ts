import { expect, test } from 'vitest';
import { checkToken, type TokenRules } from '../../../../src/workers/auth/oauth2/token-rules.ts';

const NOW_MS = 1_800_000_000_000;
const NOW_SECS = NOW_MS / 1000;
const rules: TokenRules = {
  issuers: ['https://a.example', 'https://b.example'],
  audiences: ['mail', 'imap'],
  scopes: ['mail', 'read'],
  usernameClaim: 'email',
  clockToleranceSecs: 30,
};
const good = {
  iss: 'https://a.example',
  aud: 'mail',
  exp: NOW_SECS + 60,
  nbf: NOW_SECS - 60,
  scope: 'read other mail',
  email: 'Bob@Example.org',
};

test('a token that says everything that it must', () => {
  const expiresMs = NOW_MS + 60_000;
  const expected = { kind: 'good', username: 'Bob@Example.org', expiresMs };
  expect(checkToken(good, rules, NOW_MS)).toEqual(expected);
  const others = { ...good, iss: 'https://b.example', aud: ['x', 'imap'], scope: undefined };
  expect(checkToken({ ...others, scp: ['mail', 'read'] }, rules, NOW_MS)).toEqual(expected);
});

test('names are bytes of UTF-8', () => {
  const check = checkToken({ ...good, email: 'jürgen' }, rules, NOW_MS);
  expect(check).toMatchObject({ username: 'j\xc3\xbcrgen' });
});

test.each([
  ['another issuer', { iss: 'https://a.example/' }],
  ['no issuer', { iss: undefined }],
  ['an issuer that is none', { iss: ['https://a.example'] }],
  ['another audience', { aud: 'mailbox' }],
  ['an empty audience', { aud: [] }],
  ['no audience', { aud: undefined }],
  ['a time that is none', { exp: 'tomorrow' }],
  ['a time that is null', { exp: null }],
  ['a beginning that is none', { nbf: '0' }],
  ['no name', { email: undefined }],
  ['an empty name', { email: '' }],
  ['a name that is none', { email: ['bob'] }],
])('%s', (_name, claims) => {
  const check = checkToken({ ...good, ...claims }, rules, NOW_MS);
  expect(check).toMatchObject({ kind: 'bad', error: 'invalid_token' });
});

test.each([
  [1023, 'good'],
  [1024, 'good'],
  [1025, 'bad'],
])('a name of %i bytes is %s', (bytes, kind) => {
  const check = checkToken({ ...good, email: 'x'.repeat(bytes) }, rules, NOW_MS);
  expect(check).toMatchObject({ kind });
});

test.each([
  ['a scope that is missing', { scope: 'mail' }],
  ['a scope that is a part of another one', { scope: 'mailbox read' }],
  ['no scope', { scope: undefined }],
  ['a scope that is none', { scope: 7 }],
])('%s', (_name, claims) => {
  const check = checkToken({ ...good, ...claims }, rules, NOW_MS);
  expect(check).toMatchObject({ kind: 'bad', error: 'insufficient_scope' });
});

test.each([
  [{ exp: NOW_SECS - 29 }, 'good'],
  [{ exp: NOW_SECS - 30 }, 'bad'],
  [{ exp: NOW_SECS - 31 }, 'bad'],
  [{ nbf: NOW_SECS + 30 }, 'good'],
  [{ nbf: NOW_SECS + 31 }, 'bad'],
])('time %j: %s', (claims, kind) => {
  expect(checkToken({ ...good, ...claims }, rules, NOW_MS)).toMatchObject({ kind });
});

test('without rules only time and name count', () => {
  const none = { ...rules, issuers: [], audiences: [], scopes: [] };
  expect(checkToken({ email: 'bob' }, none, NOW_MS)).toEqual({
    kind: 'good',
    username: 'bob',
    expiresMs: Number.POSITIVE_INFINITY,
  });
});
