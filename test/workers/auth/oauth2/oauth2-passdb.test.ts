import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Oauth2Settings } from '../../../../src/shared/remote-passdb-settings.ts';
import { defaultUserNameRules } from '../../../../src/shared/user-name.ts';
import { Oauth2Passdb } from '../../../../src/workers/auth/oauth2/oauth2-passdb.ts';
import type { PassdbAnswer } from '../../../../src/workers/auth/passdb.ts';
import { lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';
import { TokenIssuer } from '../../../support/token-issuer.ts';

let issuer: TokenIssuer;
const open: Oauth2Passdb[] = [];

beforeAll(async () => {
  issuer = await TokenIssuer.start();
});

beforeEach(() => {
  issuer.answer = null;
});

afterEach(async () => {
  for (const passdb of open.splice(0)) await passdb.close();
});

afterAll(async () => {
  await issuer?.stop();
});

function create(more: Partial<Oauth2Settings> & { url?: string; timeoutMs?: number } = {}) {
  const { url = issuer.keysUrl, timeoutMs = 10_000, ...settings } = more;
  const server = { url, headers: {}, ca: '', timeoutMs };
  const passdb = new Oauth2Passdb(
    {
      driver: 'oauth2',
      name: 'oauth2',
      defaultFields: {},
      overrideFields: {},
      isMaster: false,
      verification: url.endsWith('/introspect')
        ? {
            kind: 'introspection',
            server,
            clientId: issuer.clientId,
            clientSecret: Buffer.from(issuer.clientSecret).toString('latin1'),
          }
        : { kind: 'jwks', server, algorithms: ['RS256', 'ES256'] },
      issuers: [issuer.issuer],
      audiences: ['mail'],
      scopes: ['mail'],
      usernameClaim: 'email',
      clockToleranceSecs: 0,
      cacheMs: 60_000,
      openidConfigurationUrl: '',
      master: null,
      looksUpAnyUser: false,
      ...settings,
    },
    { userNames: defaultUserNameRules },
  );
  open.push(passdb);
  return passdb;
}

const ask = (passdb: Oauth2Passdb, user: string, token: string, mechanism = 'OAUTHBEARER') =>
  passdb.query(verifyQuery(user, token, { mechanism }));

const introspector = (more: Partial<Oauth2Settings> & { timeoutMs?: number } = {}) =>
  create({ url: issuer.introspectionUrl, ...more });

function expectBadToken(answer: PassdbAnswer, status = 'invalid_token'): void {
  expect(answer).toMatchObject({ kind: 'bad-token' });
  if (answer.kind !== 'bad-token') return;
  expect(JSON.parse(answer.challenge)).toEqual({ status, scope: 'mail' });
}

describe('by the keys of who issues tokens', () => {
  test('the token goes to the backend, by the mechanism that it came with', async () => {
    const token = await issuer.token('bob');
    for (const mechanism of ['XOAUTH2', 'OAUTHBEARER']) {
      expect(await ask(create(), 'bob', token, mechanism)).toEqual({
        kind: 'ok',
        fields: new Map([
          ['proxy_mech', mechanism],
          ['pass', token],
        ]),
      });
    }
  });

  test('or a master user logs in there', async () => {
    const passdb = create({ master: { user: 'boss', password: 'boss-pass' } });
    expect(await ask(passdb, 'bob', await issuer.token('bob'))).toEqual({
      kind: 'ok',
      fields: new Map([
        ['master', 'boss'],
        ['pass', 'boss-pass'],
        ['proxy_mech', 'PLAIN'],
      ]),
    });
  });

  test('the name of the token is normalised, and is that of a client that gives none', async () => {
    const passdb = create();
    const token = await issuer.token('Bob@Example.ORG');
    expect(await ask(passdb, 'bob@example.org', token)).toMatchObject({ kind: 'ok' });
    const nameless = await ask(passdb, '', token);
    expect(nameless.kind === 'ok' && nameless.fields.get('user')).toBe('bob@example.org');
    expectBadToken(await ask(passdb, '', await issuer.token('bob "x"')));
  });

  test('a token of another user, or of nobody', async () => {
    const passdb = create();
    expectBadToken(await ask(passdb, 'alice', await issuer.token('bob')));
    expectBadToken(await ask(passdb, 'bob', await issuer.token('bob', { email: undefined })));
  });

  test.each([
    ['expired', { exp: 1_000_000_000 }],
    ['without an end', { exp: undefined }],
    ['not valid yet', { nbf: 9_000_000_000 }],
    ['of another issuer', { iss: 'https://other.example' }],
    ['for another audience', { aud: 'calendar' }],
  ])('a token that is %s', async (_name, claims) => {
    expectBadToken(await ask(create(), 'bob', await issuer.token('bob', claims)));
  });

  test('a token without the scope', async () => {
    const token = await issuer.token('bob', { scope: 'openid mailbox' });
    expectBadToken(await ask(create(), 'bob', token), 'insufficient_scope');
  });

  test('signatures: changed, cut, by another key, by none, by the public key as a secret', async () => {
    const passdb = create();
    const token = await issuer.token('bob');
    const [header, , signature] = token.split('.') as [string, string, string];
    const forged = Buffer.from(JSON.stringify(issuer.claims('alice'))).toString('base64url');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const stranger = await TokenIssuer.start();
    const foreign = await stranger.token('bob');
    await stranger.stop();
    const secret = new TextEncoder().encode(await issuer.publicJwk());
    const confused = await new SignJWT(issuer.claims('bob'))
      .setProtectedHeader({ alg: 'HS256', kid: 'first' })
      .sign(secret);
    const critical = await issuer.token('bob', {}, 'first', { crit: ['b64'], b64: true });
    for (const [user, bad] of [
      ['alice', `${header}.${forged}.${signature}`],
      ['alice', `${none}.${forged}.`],
      ['alice', `${none}.${forged}`],
      ['bob', token.slice(0, -4)],
      ['bob', `${token}.x`],
      ['bob', foreign],
      ['bob', confused],
      ['bob', 'x'],
      ['bob', '..'],
    ] as const) {
      expectBadToken(await ask(passdb, user, bad));
    }
    // An extension that is known changes nothing.
    expect((await ask(passdb, 'bob', critical)).kind).toBe('ok');
  });

  test('what is no token at all is not looked at', async () => {
    const passdb = create();
    const before = issuer.server.requests.length;
    const bad = ['', 'a b', 'a\x01b', 'a\r\nb', '=', 'a=b', '\xe9', 'x'.repeat(8193)];
    for (const token of bad) expectBadToken(await ask(passdb, 'bob', token));
    expect(issuer.server.requests.length).toBe(before);
  });

  test('an algorithm that is not allowed', async () => {
    await issuer.addKey('curve', 'ES384');
    expectBadToken(await ask(create(), 'bob', await issuer.token('bob', {}, 'curve')));
    issuer.removeKey('curve');
  });

  test('a token that does not name its key is tried with all', async () => {
    await issuer.addKey('second', 'RS256');
    const passdb = create();
    const token = await issuer.token('bob', {}, 'second', { kid: undefined });
    expect(await ask(passdb, 'bob', token)).toMatchObject({ kind: 'ok' });
    issuer.removeKey('second');
  });

  test('keys are fetched once, and the key of a new token is not fetched for at once', async () => {
    const passdb = create();
    const before = issuer.server.requests.length;
    for (let i = 0; i < 5; i++)
      await ask(passdb, 'bob', await issuer.token('bob', { jti: `${i}` }));
    await issuer.addKey('new', 'RS256');
    expectBadToken(await ask(passdb, 'bob', await issuer.token('bob', {}, 'new')));
    issuer.removeKey('new');
    expect(issuer.server.requests.length).toBe(before + 1);
  });

  test('a server of keys that is down, slow, or says something else', async () => {
    const token = await issuer.token('bob');
    const passdb = create({ timeoutMs: 300 });
    issuer.answer = () => null;
    expect(await ask(passdb, 'bob', token)).toEqual({
      kind: 'failed',
      detail: 'no answer within 300 ms',
    });
    for (const answer of [
      { status: 500 },
      { status: 302, headers: { location: '/keys' } },
      { body: 'keys' },
      { body: '{"keys":1}' },
    ]) {
      issuer.answer = () => answer;
      expect(await ask(create(), 'bob', token)).toMatchObject({ kind: 'failed' });
    }
    await issuer.server.stop();
    expect(await ask(create(), 'bob', token)).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('ECONNREFUSED'),
    });
    issuer.answer = null;
    await issuer.server.startAgain();
    expect(await ask(passdb, 'bob', token)).toMatchObject({ kind: 'ok' });
  });
});

describe('by introspection', () => {
  test('a token that is active, and one that is not', async () => {
    const passdb = introspector();
    issuer.active.set('opaque-1', issuer.claims('bob'));
    expect(await ask(passdb, 'bob', 'opaque-1')).toMatchObject({ kind: 'ok' });
    expectBadToken(await ask(passdb, 'alice', 'opaque-1'));
    expectBadToken(await ask(passdb, 'bob', 'opaque-2'));
  });

  test('what it says of the token is checked all the same', async () => {
    const passdb = introspector();
    issuer.active.set('late', issuer.claims('bob', { exp: 1_000_000_000 }));
    issuer.active.set('else', issuer.claims('bob', { aud: 'calendar' }));
    issuer.active.set('poor', issuer.claims('bob', { scope: 'openid' }));
    expectBadToken(await ask(passdb, 'bob', 'late'));
    expectBadToken(await ask(passdb, 'bob', 'else'));
    expectBadToken(await ask(passdb, 'bob', 'poor'), 'insufficient_scope');
  });

  test('a token that was good is taken for good without asking, for a time', async () => {
    issuer.active.set('often', issuer.claims('bob'));
    const asked = async (passdb: Oauth2Passdb): Promise<number> => {
      const before = issuer.server.requests.length;
      for (let i = 0; i < 3; i++) {
        expect(await ask(passdb, 'bob', 'often')).toMatchObject({ kind: 'ok' });
        expectBadToken(await ask(passdb, 'alice', 'often'));
      }
      return issuer.server.requests.length - before;
    };
    expect(await asked(introspector())).toBe(1);
    expect(await asked(introspector({ cacheMs: 0 }))).toBe(6);
  });

  test('a server that is down, slow, or says something else', async () => {
    const passdb = introspector({ timeoutMs: 300 });
    issuer.active.set('fine', issuer.claims('bob'));
    issuer.answer = () => null;
    expect(await ask(passdb, 'bob', 'fine')).toMatchObject({ kind: 'failed' });
    for (const answer of [
      { status: 401 },
      { status: 500, body: '{"active":true,"email":"bob"}' },
      { status: 302, headers: { location: '/introspect' } },
      { body: '' },
      { body: '[]' },
      { body: '{"active":"true","email":"bob"}' },
      { body: '{"email":"bob"}' },
    ]) {
      issuer.answer = () => answer;
      expect(await ask(passdb, 'bob', 'fine')).toMatchObject({ kind: 'failed' });
    }
    issuer.answer = null;
    await issuer.server.stop();
    expect(await ask(passdb, 'bob', 'fine')).toMatchObject({ kind: 'failed' });
    await issuer.server.startAgain();
    expect(await ask(passdb, 'bob', 'fine')).toMatchObject({ kind: 'ok' });
  });
});

test('what clients are told', async () => {
  const openidConfigurationUrl = 'https://issuer.example/.well-known/openid-configuration';
  const passdb = create({ openidConfigurationUrl, scopes: [] });
  const challengeOf = async (mechanism: string): Promise<unknown> => {
    const answer = await ask(passdb, 'bob', 'x', mechanism);
    return answer.kind === 'bad-token' ? JSON.parse(answer.challenge) : answer;
  };
  expect(await challengeOf('OAUTHBEARER')).toEqual({
    status: 'invalid_token',
    'openid-configuration': openidConfigurationUrl,
  });
  expect(await challengeOf('XOAUTH2')).toEqual({
    status: '401',
    schemes: 'bearer',
    'openid-configuration': openidConfigurationUrl,
  });
});

test('nothing is known of users without a token, unless anybody is one of ours', async () => {
  expect(await create().query(lookUpQuery('bob'))).toEqual({ kind: 'unknown-user' });
  const anybody = create({ looksUpAnyUser: true });
  expect(await anybody.query(lookUpQuery('bob'))).toEqual({ kind: 'ok', fields: new Map() });
  const credentials = lookUpQuery('bob', { kind: 'credentials' });
  expect(await anybody.query(credentials)).toEqual({ kind: 'unknown-user' });
});
