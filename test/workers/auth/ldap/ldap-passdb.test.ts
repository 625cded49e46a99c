import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LdapPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import type { PassdbAnswer, PassdbQuery } from '../../../../src/workers/auth/passdb.ts';
import { makeCertificate } from '../../../support/certificates.ts';
import { eventually } from '../../../support/deadline.ts';
import { labAddress } from '../../../support/dovecot.ts';
import { HoldingRelay } from '../../../support/holding-relay.ts';
import { lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';
import { SlapdServer } from '../../../support/slapd-server.ts';
import { INJECTIONS, ldapPassdb, ldapSettings, ODD_USERS, peopleLdif } from './ldap-entries.ts';

const ASK = verifyQuery('alice', 'alice pass');
const EAST = new Map([['director_tag', 'east']]);
const DEADLINE_MS = 15_000;

let folder: string;
let server: SlapdServer;
let relay: HoldingRelay;
let authority: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-ldap-'));
  const files = await makeCertificate(folder, 'ldap.test', {
    names: `DNS:ldap.test,IP:${labAddress(1)}`,
  });
  authority = readFileSync(files.cert, 'latin1');
  const digest = createHash('sha1').update('alice passsalt').digest();
  const ssha = `{SSHA}${Buffer.concat([digest, Buffer.from('salt')]).toString('base64')}`;
  server = await SlapdServer.start(labAddress(1), peopleLdif(ssha), files);
  relay = await HoldingRelay.start(labAddress(2), server);
});

afterAll(async () => {
  await relay?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function settings(more: Partial<LdapPassdbSettings> = {}): LdapPassdbSettings {
  return ldapSettings({ uris: [server.uri], ...more });
}

/** Through the relay. */
function relayed(more: Partial<LdapPassdbSettings> = {}): LdapPassdbSettings {
  return settings({ uris: [`ldap://${relay.host}:${relay.port}`], ...more });
}

async function asked(
  given: LdapPassdbSettings,
  ...queries: readonly PassdbQuery[]
): Promise<PassdbAnswer[]> {
  const passdb = ldapPassdb(given);
  try {
    const answers: PassdbAnswer[] = [];
    for (const query of queries) answers.push(await passdb.query(query));
    return answers;
  } finally {
    await passdb.close();
  }
}

/** The three ways to verify a password. */
const WAYS: readonly (readonly [name: string, settings: Partial<LdapPassdbSettings>])[] = [
  ['search, then bind', { authBind: true }],
  ['bind with a name that is known', { authBindUserdn: 'uid=%u,ou=people,dc=example,dc=org' }],
  [
    'search and compare',
    { authBind: false, passAttrs: 'employeeType=director_tag,userPassword=password' },
  ],
];

describe.each(WAYS)('%s', (_name, way) => {
  test('right and wrong password, unknown user, and the user’s fields', async () => {
    const answers = await asked(
      settings(way),
      ASK,
      verifyQuery('alice', 'alice pas'),
      verifyQuery('bob', 'alice pass'),
      verifyQuery('plain', 'plain pass'),
      verifyQuery('plain', 'plain'),
      verifyQuery('crypt', 'crypt pass'),
      verifyQuery('locked', 'x'),
      lookUpQuery('alice'),
      lookUpQuery('bob'),
    );
    expect(answers[0]).toEqual({ kind: 'ok', fields: EAST });
    expect(answers[7]).toEqual({ kind: 'ok', fields: EAST });
    const kinds = answers.map(({ kind }) => kind);
    // With a name of its own making slapd does not tell who is there.
    const unknown = way.authBindUserdn === undefined ? 'unknown-user' : 'mismatch';
    expect(kinds).toEqual([
      ...['ok', 'mismatch', unknown, 'ok', 'mismatch', 'ok', 'mismatch'],
      ...['ok', 'unknown-user'],
    ]);
  });

  test('an empty password, or one with a NUL, is wrong; the directory is not asked about it', async () => {
    const before = relay.fromClients.length;
    const answers = await asked(
      relayed(way),
      verifyQuery('alice', ''),
      verifyQuery('alice', '\0'),
      verifyQuery('alice', '\0alice pass'),
    );
    expect(answers.map(({ kind }) => kind)).toEqual(['mismatch', 'mismatch', 'mismatch']);
    // A simple bind: context tag 0, with the password, behind the name.
    expect(relay.fromClients.slice(before)).not.toContain('ou=people,dc=example,dc=org\x80');
  });

  test.each(ODD_USERS)('a name and a password that need care: %j %j', async (name, password) => {
    const [right, wrong] = await asked(
      settings(way),
      verifyQuery(name, password),
      verifyQuery(name, `${password}x`),
    );
    expect([right.kind, wrong.kind]).toEqual(['ok', 'mismatch']);
  });

  test('injection: such names are nobody', async () => {
    const passdb = ldapPassdb(settings(way));
    for (const name of INJECTIONS) {
      // alice's and plain's passwords: whoever is found instead would be logged in.
      for (const password of ['alice pass', 'plain pass', 'x']) {
        const { kind } = await passdb.query(verifyQuery(name, password));
        expect([name, ['unknown-user', 'mismatch'].includes(kind)]).toEqual([name, true]);
      }
      expect([name, await passdb.query(lookUpQuery(name))]).toEqual([
        name,
        { kind: 'unknown-user' },
      ]);
    }
    await passdb.close();
  });

  test('a directory that is down gives no verdict, and is asked again when it is back', async () => {
    const passdb = ldapPassdb(relayed(way));
    await relay.close();
    expect(await passdb.query(ASK)).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('REFUSED'),
    });
    await relay.open();
    await eventually('the directory is back', DEADLINE_MS, async () => {
      return (await passdb.query(ASK)).kind === 'ok';
    });
    await passdb.close();
  });

  test('a directory that says nothing: no verdict within the time limit', async () => {
    const passdb = ldapPassdb(relayed({ ...way, timeoutMs: 600 }));
    await eventually('the directory is there', DEADLINE_MS, async () => {
      return (await passdb.query(ASK)).kind === 'ok';
    });
    relay.hold();
    try {
      const startMs = performance.now();
      const answer = await passdb.query(ASK);
      expect(answer).toMatchObject({ kind: 'failed', detail: expect.stringMatching(/no answer/) });
      expect(performance.now() - startMs).toBeLessThan(3000);
    } finally {
      relay.release();
    }
    await eventually('the directory is back', DEADLINE_MS, async () => {
      return (await passdb.query(ASK)).kind === 'ok';
    });
    await passdb.close();
  });

  test('connections that were cut while nobody used them are nobody’s failure', async () => {
    const passdb = ldapPassdb(relayed(way));
    await Promise.all([1, 2, 3].map(() => passdb.query(ASK)));
    for (let round = 0; round < 5; round++) {
      relay.cut();
      expect((await passdb.query(ASK)).kind).toBe('ok');
    }
    await passdb.close();
  });

  test('many questions at once share a few connections', async () => {
    const before = relay.accepted;
    const passdb = ldapPassdb(relayed({ ...way, timeoutMs: 10_000 }));
    const queries = Array.from({ length: 40 }, (_value, i) => {
      return i % 2 === 0 ? ASK : verifyQuery('alice', 'wrong');
    });
    const answers = await Promise.all(queries.map((query) => passdb.query(query)));
    expect(answers.map(({ kind }) => kind)).toEqual(
      queries.map((query) => (query === ASK ? 'ok' : 'mismatch')),
    );
    await passdb.close();
    // Three for searches, three for binds.
    expect(relay.accepted - before).toBeLessThanOrEqual(6);
  });
});

test('the directory of these tests says yes to a bind without a password', async () => {
  const client = new Client({ url: server.uri });
  await expect(client.bind('uid=alice,ou=people,dc=example,dc=org', '')).resolves.toBeUndefined();
  await client.unbind();
});

test('an entry that is found twice is no verdict', async () => {
  const [answer] = await asked(
    settings({ passFilter: '(mail=%u)' }),
    verifyQuery('twin@example.org', 'x'),
  );
  expect(answer).toEqual({ kind: 'failed', detail: 'the search found more than one entry' });
});

test('fields: names of their own, texts, variables; none of an attribute that is not there', async () => {
  const passAttrs =
    'uid=user, title, mail=destuser, =forward_who=%{ldap:uid}/%d/100%%, description=nologin, =proxy_timeout=%{ldap:description}, =nodelay=y';
  const [answer] = await asked(
    settings({ passFilter: '(mail=%u)', passAttrs }),
    verifyQuery('alice@example.org', 'alice pass'),
  );
  expect(answer).toEqual({
    kind: 'ok',
    fields: new Map([
      ['user', 'alice'],
      ['title', 'Ms'],
      ['destuser', 'alice@example.org'],
      ['forward_who', 'alice/example.org/100%'],
      ['nodelay', 'y'],
    ]),
  });
});

test('filters of all kinds reach the directory as they are meant', async () => {
  const filters: readonly (readonly [filter: string, finds: boolean])[] = [
    ['(&(uid=*)(uid=%u))', true],
    ['(&(description=*)(uid=%u))', false],
    ['(&(!(description=*))(uid=%u))', true],
    ['(&(uid=al*c*)(uid=*%u)(uid=*lic*))', true],
    ['(&(uid=b*)(uid=%u))', false],
    ['(|(uid=%u)(uid=nobody))', true],
    ['(&(uidNumber>=1000)(uidNumber<=1000)(uid=%u))', true],
    ['(&(uidNumber>=1001)(uid=%u))', false],
    ['(&(ou:dn:=people)(uid=%u))', true],
    ['(&(ou:dn:=others)(uid=%u))', false],
    ['(uid:caseExactMatch:=%u)', true],
    ['(uid:caseExactMatch:=A%u)', false],
    ['(uid~=%u)', true],
    ['(0.9.2342.19200300.100.1.1=%u)', true],
    ['(uid=\\61lic\\65)', true],
  ];
  for (const [passFilter, finds] of filters) {
    const [{ kind }] = await asked(settings({ passFilter }), lookUpQuery('alice'));
    expect([passFilter, kind]).toEqual([passFilter, finds ? 'ok' : 'unknown-user']);
  }
});

test('who is found by another spelling gets the name that the directory has', async () => {
  const spellings = ['ALICE', ' alice', 'alice '].map((name) => verifyQuery(name, 'alice pass'));
  const answers = await asked(settings({ passAttrs: 'uid=user' }), ...spellings);
  const found: PassdbAnswer = { kind: 'ok', fields: new Map([['user', 'alice']]) };
  expect(answers).toEqual([found, found, found]);
});

test('look-ups may have a filter and attributes of their own', async () => {
  const [answer] = await asked(
    settings({ userFilter: '(mail=%u)', userAttrs: 'uid=destuser' }),
    lookUpQuery('alice@example.org'),
  );
  expect(answer).toEqual({ kind: 'ok', fields: new Map([['destuser', 'alice']]) });
});

test('SCRAM keys are made of a plain password that we may read, and of no other', async () => {
  const passAttrs = 'userPassword=password';
  const [plain, hashed] = await asked(
    settings({ authBind: false, passAttrs }),
    verifyQuery('plain', '', { kind: 'credentials' }),
    verifyQuery('alice', '', { kind: 'credentials' }),
  );
  expect(plain).toMatchObject({ kind: 'ok', scram: { mechanism: 'SCRAM-SHA-256' } });
  expect(hashed).toMatchObject({ kind: 'ok', scram: null });
});

test('who has no right to read anything finds nobody, and a wrong dnpass is no wrong password', async () => {
  const [anonymous] = await asked(settings({ dn: '', dnpass: '' }), ASK);
  expect(anonymous.kind).not.toBe('ok');
  const [refused] = await asked(settings({ dnpass: 'wrong' }), ASK);
  expect(refused).toMatchObject({ kind: 'failed', detail: expect.stringContaining('0x31') });
});

test('a base that is not there is a mistake, one with the user’s domain in it is not', async () => {
  const missing = 'ou=none,dc=example,dc=org';
  const [mistake] = await asked(settings({ base: missing }), ASK);
  expect(mistake).toMatchObject({ kind: 'failed', detail: expect.stringContaining('0x20') });
  const byDomain = settings({
    base: 'ou=people,dc=%Dd',
    passFilter: '(uid=%n)',
  });
  const [right, unknown, odd] = await asked(
    byDomain,
    verifyQuery('alice@example.org', 'alice pass'),
    verifyQuery('alice@example.net', 'alice pass'),
    verifyQuery('alice@..,+"', 'alice pass'),
  );
  expect([right.kind, unknown.kind, odd.kind]).toEqual(['ok', 'unknown-user', 'unknown-user']);
});

test('ldapi', async () => {
  const [answer] = await asked(settings({ uris: [server.socketUri] }), ASK);
  expect(answer.kind).toBe('ok');
});

describe('TLS', () => {
  const tls = () => ({ ca: authority, verify: true });

  test('ldaps and StartTLS, with the certificate verified; nothing is in the clear', async () => {
    const [implicit] = await asked(settings({ uris: [server.tlsUri], tls: tls() }), ASK);
    expect(implicit).toEqual({ kind: 'ok', fields: EAST });
    const [started] = await asked(settings({ startTls: true, tls: tls() }), ASK);
    expect(started).toEqual({ kind: 'ok', fields: EAST });
    const before = relay.fromClients.length;
    const anyName = { ca: authority, verify: false };
    const [through] = await asked(relayed({ startTls: true, tls: anyName }), ASK);
    expect(through.kind).toBe('ok');
    expect(relay.fromClients.slice(before)).not.toMatch(/alice|reader-pass/);
  });

  test('another name, another authority: no connection', async () => {
    const [name] = await asked(relayed({ startTls: true, tls: tls() }), ASK);
    expect(name).toMatchObject({ kind: 'failed', detail: expect.stringContaining('IP') });
    const foreign = { ca: '', verify: true };
    const [unknown] = await asked(settings({ uris: [server.tlsUri], tls: foreign }), ASK);
    expect(unknown).toMatchObject({ kind: 'failed', detail: expect.stringContaining('self') });
  });

  test('a connection that has ended is not opened again in the clear', async () => {
    const anyName = { ca: authority, verify: false };
    const passdb = ldapPassdb(relayed({ startTls: true, tls: anyName }));
    expect((await passdb.query(ASK)).kind).toBe('ok');
    const before = relay.fromClients.length;
    relay.cut();
    expect((await passdb.query(ASK)).kind).toBe('ok');
    expect(relay.fromClients.slice(before)).not.toMatch(/alice|reader-pass/);
    await passdb.close();
  });
});

test('a server that was restarted', async () => {
  const passdb = ldapPassdb(settings());
  expect((await passdb.query(ASK)).kind).toBe('ok');
  await server.pause();
  expect(await passdb.query(ASK)).toMatchObject({ kind: 'failed' });
  await server.restart();
  await eventually('slapd is back', DEADLINE_MS, async () => {
    return (await passdb.query(ASK)).kind === 'ok';
  });
  await passdb.close();
});
