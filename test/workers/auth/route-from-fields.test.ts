import { expect, test } from 'vitest';
import { authLimits } from '../../../src/shared/limits.ts';
import { defaultUserNameRules } from '../../../src/shared/user-name.ts';
import {
  type AcceptedLogin,
  type RouteDraft,
  routeFromFields,
} from '../../../src/workers/auth/route-from-fields.ts';

function draftOf(
  fields: Readonly<Record<string, string>>,
  login: Partial<AcceptedLogin> = {},
): RouteDraft {
  return routeFromFields({
    user: 'alice',
    fields: new Map(Object.entries(fields)),
    secret: 'secret',
    mechanism: 'LOGIN',
    master: '',
    protocol: 'imap',
    backend: { isTrusting: true, useSasl: false },
    rules: defaultUserNameRules,
    ...login,
  });
}

test('without fields: the user itself, where the directory says', () => {
  expect(draftOf({})).toEqual({
    kind: 'route',
    hostToResolve: '',
    route: {
      user: 'alice',
      tag: '',
      backendUser: 'alice',
      password: 'secret',
      master: '',
      mechanism: '',
      isNoAuth: false,
      mayPipeline: true,
      sendIdentity: true,
      forward: [],
      host: null,
      hostName: '',
      port: null,
      tls: null,
      verifiesTls: null,
      timeoutMs: null,
      names: {},
    },
  });
});

test.each([
  [{ user: 'Bob' }, { user: 'bob', backendUser: 'bob' }],
  [
    { user: 'Bob', destuser: 'Box' },
    { user: 'bob', backendUser: 'Box' },
  ],
  [{ destuser: '' }, { backendUser: 'alice' }],
  [{ pass: 'other' }, { password: 'other', master: '' }],
  [
    { master: 'm', pass: 'mp' },
    { password: 'mp', master: 'm' },
  ],
  [{ master: '' }, { password: 'secret', master: '' }],
  [{ proxy_mech: 'plain' }, { mechanism: 'PLAIN' }],
  [
    { proxy_mech: 'XOAUTH2', pass: 'token' },
    { mechanism: 'XOAUTH2', password: 'token' },
  ],
  [{ proxy_noauth: 'y' }, { isNoAuth: true, password: '' }],
  [{ proxy_noauth: 'no' }, { isNoAuth: false }],
  [{ proxy_nopipelining: 'yes' }, { mayPipeline: false }],
  [{ proxy_nopipelining: '0' }, { mayPipeline: true }],
  [{ proxy_not_trusted: 'y' }, { sendIdentity: false }],
  [{ proxy_not_trusted: '' }, { sendIdentity: true }],
  [{ host: '192.0.2.9' }, { host: '192.0.2.9', hostName: '' }],
  [{ host: '2001:DB8::9' }, { host: '2001:db8::9' }],
  [
    { host: 'mail.example.com', hostip: '192.0.2.9' },
    { host: '192.0.2.9', hostName: 'mail.example.com' },
  ],
  [{ host: '' }, { host: null }],
  [{ port: '1143' }, { port: 1143 }],
  [{ ssl: 'yes' }, { tls: 'implicit', verifiesTls: true, port: 993 }],
  [
    { ssl: 'any-cert', port: '1993' },
    { tls: 'implicit', verifiesTls: false, port: 1993 },
  ],
  [{ ssl: 'no' }, { tls: null, verifiesTls: null }],
  [{ starttls: 'any-cert' }, { tls: 'starttls', verifiesTls: false, port: null }],
  [{ starttls: 'y' }, { tls: 'starttls', verifiesTls: true }],
  [{ ssl: 'n', starttls: 'y' }, { tls: 'starttls' }],
  [{ proxy_timeout: '3' }, { timeoutMs: 3000 }],
  [{ proxy_timeout: '500ms' }, { timeoutMs: 500 }],
  [{ proxy_timeout: '2 mins' }, { timeoutMs: 120_000 }],
  [{ director_tag: 'far' }, { tag: 'far' }],
  [{ user_alias: 'al', user_x: 'y' }, { names: { user_alias: 'al', user_x: 'y' } }],
  [
    { forward_a: '1', forward_b: '' },
    {
      forward: [
        ['a', '1'],
        ['b', ''],
      ],
    },
  ],
  [
    { forward_: 'x', unheard_of: 'z', userdb_home: '/' },
    { forward: [], names: {} },
  ],
] as [Record<string, string>, object][])('%j', (fields, expected) => {
  expect(draftOf(fields)).toMatchObject({ kind: 'route', route: expected });
});

test.each([
  [{ user: 'a b' }, 'user'],
  [{ destuser: 'a\r\nx' }, 'destuser'],
  [{ pass: 'a\0' }, 'pass'],
  [{ pass: 'a\nb' }, 'pass'],
  [{ master: 'qzq' }, 'pass'],
  [{ master: 'm\n', pass: 'x' }, 'master'],
  [{ proxy_mech: 'SCRAM-SHA-256' }, 'proxy_mech'],
  [{ proxy_mech: 'NTLM' }, 'proxy_mech'],
  [{ host: 'a b' }, 'host'],
  [{ host: 'qzq', hostip: 'zqz' }, 'hostip'],
  [{ port: '65536' }, 'port'],
  [{ port: '-1' }, 'port'],
  [{ port: '143x' }, 'port'],
  [{ proxy_timeout: 'soon' }, 'proxy_timeout'],
  [{ proxy_timeout: '0' }, 'proxy_timeout'],
  [{ proxy_timeout: '2 days' }, 'proxy_timeout'],
  [{ director_tag: 'a b' }, 'director_tag'],
  [{ director_tag: 'a@b' }, 'director_tag'],
  [{ director_tag: 'x'.repeat(65) }, 'director_tag'],
  [{ forward_a: 'x\r\ny' }, 'forward_a'],
] as [Record<string, string>, string][])('%j is our failure: %s', (fields, name) => {
  const draft = draftOf(fields);
  if (draft.kind !== 'invalid') throw new Error('taken');
  expect(draft.detail.startsWith(`${name}: `)).toBe(true);
  // Values may be secrets.
  for (const value of Object.values(fields)) expect(draft.detail).not.toContain(value);
});

test('fields: as many as the limit, and as long, and one more', () => {
  const many = (count: number) => {
    return Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, '']));
  };
  expect(draftOf(many(authLimits.fields)).kind).toBe('route');
  expect(draftOf(many(authLimits.fields + 1)).kind).toBe('invalid');
  expect(draftOf({ pass: 'x'.repeat(authLimits.fieldBytes) }).kind).toBe('route');
  expect(draftOf({ pass: 'x'.repeat(authLimits.fieldBytes + 1) }).kind).toBe('invalid');
});

test.each([
  [
    'a token goes on by its mechanism',
    {},
    { mechanism: 'XOAUTH2' },
    { mechanism: 'XOAUTH2', password: 'secret' },
  ],
  [
    'not when there is another password',
    { pass: 'x' },
    { mechanism: 'XOAUTH2' },
    { mechanism: '', password: 'x' },
  ],
  ['a master user of the client', {}, { master: 'boss' }, { master: 'boss', password: 'secret' }],
  [
    'who has one for the backend',
    { master: 'm', pass: 'mp' },
    { master: 'boss' },
    { master: 'm', password: 'mp' },
  ],
  [
    'backends that are logged in to by SASL',
    {},
    { backend: { isTrusting: false, useSasl: true } },
    { mechanism: 'PLAIN', sendIdentity: false },
  ],
  ['mail for a user', {}, { mechanism: '', secret: '', protocol: 'lmtp' }, { password: '' }],
  ['POP3 with ssl', { ssl: 'y' }, { protocol: 'pop3' }, { port: 995 }],
  [
    'LMTP with ssl has no port of its own',
    { ssl: 'y' },
    { protocol: 'lmtp', mechanism: '' },
    { port: null },
  ],
] as [string, Record<string, string>, Partial<AcceptedLogin>, object][])(
  '%s',
  (_, fields, login, expected) => {
    expect(draftOf(fields, login)).toMatchObject({ kind: 'route', route: expected });
  },
);
