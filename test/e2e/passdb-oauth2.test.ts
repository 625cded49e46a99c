import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DovecotFacts } from '../support/dovecot.ts';
import { imapLogin, imapToken, MASTER, PassdbLab } from '../support/passdb-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';
import { TokenIssuer } from '../support/token-issuer.ts';

/**
 * `driver: oauth2` through `postilion serve`. The backends verify tokens themselves, by Dovecot's own oauth2 passdb
 * with the issuer's public key: what is passed on must be good there too.
 */

const MECHANISMS = ['XOAUTH2', 'OAUTHBEARER'] as const;
const COMMON = {
  driver: 'oauth2',
  audiences: ['mail'],
  scope: 'mail',
  timeout: '1s',
} as const;

let issuer: TokenIssuer;
let lab: PassdbLab;

beforeAll(async () => {
  issuer = await TokenIssuer.start();
  const pem = await issuer.publicPem();
  lab = await PassdbLab.start((backend) => backendConfig(backend, pem));
});

beforeEach(() => {
  issuer.answer = null;
});

afterAll(async () => {
  await lab?.stop();
  await issuer?.stop();
});

/** Dovecot 2.3 looks a key up by azp, algorithm and kid. */
function backendConfig({ directory }: DovecotFacts, pem: string): string {
  const keys = join(directory, 'keys', 'default', 'RS256');
  mkdirSync(keys, { recursive: true });
  writeFileSync(join(keys, 'first'), pem);
  const oauth2 = join(directory, 'oauth2.conf');
  writeFileSync(
    oauth2,
    `introspection_mode = local
local_validation_key_dict = fs:posix:prefix=${directory}/keys/
issuers = ${issuer.issuer}
username_attribute = email
active_attribute =
active_value =
`,
  );
  return `
auth_mechanisms = plain login xoauth2 oauthbearer
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${oauth2}
}
`;
}

const serve = (passdb: Readonly<Record<string, unknown>>) =>
  lab.serve([{ ...COMMON, ...passdb }], { auth_mechanisms: [...MECHANISMS] });

async function expectUnavailable(director: PostilionProcess, user: string, token: string) {
  const result = await imapToken(director, user, token, 'XOAUTH2');
  expect(result).toMatchObject({
    ok: false,
    answer: expect.stringContaining('[UNAVAILABLE]'),
    challenge: '',
  });
}

describe('by keys, tokens passed on', () => {
  let director: PostilionProcess;

  beforeAll(async () => {
    director = await serve({ jwks_url: issuer.keysUrl, issuers: [issuer.issuer] });
  });

  test.each(MECHANISMS)('%s: a real backend takes the token', async (mechanism) => {
    const user = `tina-${mechanism.toLowerCase()}`;
    const token = await issuer.token(user);
    expect(await imapToken(director, user, token, mechanism)).toMatchObject({ ok: true });
    expect(await lab.backendOf(user)).toBe('b1');
    expect(director.output).not.toContain(token);
  });

  test.each(MECHANISMS)('%s: tokens that are no good, and why', async (mechanism) => {
    const status = mechanism === 'XOAUTH2' ? '401' : 'invalid_token';
    const good = await issuer.token('tina');
    for (const token of [
      'x',
      good.slice(0, -3),
      await issuer.token('tom'),
      await issuer.token('tina', { exp: 1_000_000_000 }),
      await issuer.token('tina', { aud: 'calendar' }),
    ]) {
      const result = await imapToken(director, 'tina', token, mechanism);
      expect(result.answer).toContain('[AUTHENTICATIONFAILED]');
      expect(JSON.parse(result.challenge)).toMatchObject({ status, scope: 'mail' });
    }
    // Names that bring something along: a token is good for its own user alone.
    for (const user of [`tom\x01auth=Bearer ${good}`, 'tom\x01user=tina', 'tom,a=tina', 'tina\r']) {
      expect((await imapToken(director, user, good, mechanism)).ok).toBe(false);
    }
    const why = await director.waitForLog('why', (line) => {
      return JSON.stringify(line).includes('for another audience');
    });
    expect(why).toBeDefined();
  });

  test('passwords are for nobody', async () => {
    expect((await imapLogin(director, 'tina', 'pass')).ok).toBe(false);
  });
});

test('keys that cannot be had: no token is called bad', async () => {
  const director = await serve({ jwks_url: issuer.keysUrl });
  const token = await issuer.token('tilda');
  for (const answer of [null, { status: 500 }, { body: 'keys' }]) {
    issuer.answer = () => answer;
    await expectUnavailable(director, 'tilda', token);
  }
  await issuer.server.stop();
  await expectUnavailable(director, 'tilda', token);
  issuer.answer = null;
  await issuer.server.startAgain();
  expect(await imapToken(director, 'tilda', token, 'XOAUTH2')).toMatchObject({ ok: true });
});

describe('by introspection, with a master login', () => {
  let director: PostilionProcess;

  beforeAll(async () => {
    director = await serve({
      introspection_url: issuer.introspectionUrl,
      client_id: issuer.clientId,
      client_secret: issuer.clientSecret,
      master_user: MASTER.user,
      master_password: MASTER.password,
      override_fields: { director_tag: 'east' },
    });
  });

  test.each(MECHANISMS)('%s: a token that only the issuer can read', async (mechanism) => {
    const user = `ida-${mechanism.toLowerCase()}`;
    issuer.active.set(`opaque-${user}`, issuer.claims(user));
    expect(await imapToken(director, user, `opaque-${user}`, mechanism)).toMatchObject({
      ok: true,
    });
    expect(await lab.backendOf(user)).toBe('b2');
    const refused = await imapToken(director, user, 'opaque-none', mechanism);
    expect(refused.answer).toContain('[AUTHENTICATIONFAILED]');
    const foreign = await imapToken(director, 'ida', `opaque-${user}`, mechanism);
    expect(foreign.answer).toContain('[AUTHENTICATIONFAILED]');
    expect(director.output).not.toContain(MASTER.password);
  });

  test('an issuer that says nothing', async () => {
    issuer.active.set('opaque-late', issuer.claims('ira'));
    issuer.answer = () => null;
    await expectUnavailable(director, 'ira', 'opaque-late');
    issuer.answer = () => ({ status: 401 });
    await expectUnavailable(director, 'ira', 'opaque-late');
    issuer.answer = null;
    expect(await imapToken(director, 'ira', 'opaque-late', 'XOAUTH2')).toMatchObject({ ok: true });
  });
});
