import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { eventually } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { HoldingRelay } from '../support/holding-relay.ts';
import { imapLogin, MASTER, PassdbLab } from '../support/passdb-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';
import { SlapdServer } from '../support/slapd-server.ts';

/** `driver: ldap` through `postilion serve` to real Dovecot, as Python's imaplib sees it. */

/** For the addresses of the directory and the relay; the backends have 1 and 2. */
const [SLAPD, RELAY] = [3, 4];
const WRONG = 'geheim-3f9a1c';
const DEADLINE_MS = 20_000;

function person(uid: string, password: string, ...more: string[]): string {
  return [
    `dn: uid=${uid},ou=people,dc=example,dc=org`,
    ...['objectClass: inetOrgPerson', 'objectClass: posixAccount', 'cn: x', 'sn: x'],
    ...['uidNumber: 1', 'gidNumber: 1', 'homeDirectory: /', `uid: ${uid}`],
    ...[`userPassword: ${password}`, ...more, ''],
  ].join('\n');
}

const LDIF = [
  'dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n',
  'dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n',
  'dn: cn=reader,dc=example,dc=org\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: reader-pass\n',
  person('anna', 'anna pass'),
  person('eva', 'eva pass', 'employeeType: east', 'mail: eva@example.org'),
  person('closed', 'closed pass', 'description: Pay first', 'title: y'),
].join('\n');

const ATTRIBUTES =
  'employeeType=director_tag, title=nologin, description=reason, ' +
  `=master=${MASTER.user}, =pass=${MASTER.password}`;

let lab: PassdbLab;
let folder: string;
let files: CertificateFiles;
let server: SlapdServer;
let relay: HoldingRelay;

beforeAll(async () => {
  lab = await PassdbLab.start();
  folder = mkdtempSync(join(tmpdir(), 'postilion-ldap-'));
  files = await makeCertificate(folder, 'ldap.test', {
    names: `IP:${labAddress(SLAPD)},IP:${labAddress(RELAY)}`,
  });
  server = await SlapdServer.start(labAddress(SLAPD), LDIF, files);
  relay = await HoldingRelay.start(labAddress(RELAY), server);
});

afterAll(async () => {
  await lab?.stop();
  await relay?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function answerTo(
  director: PostilionProcess,
  user: string,
  password: string,
): Promise<string> {
  const result = await imapLogin(director, user, password, 'PLAIN');
  return result.ok ? 'ok' : result.answer;
}

describe.each([
  ['search and bind, over StartTLS', { auth_bind: true, pass_attrs: `uid=user, ${ATTRIBUTES}` }],
  [
    'bind with a name that is known, over StartTLS',
    {
      auth_bind: true,
      auth_bind_userdn: 'uid=%u,ou=people,dc=example,dc=org',
      pass_attrs: ATTRIBUTES,
    },
  ],
  [
    'search and compare, over StartTLS',
    { pass_attrs: `uid=user, userPassword=password, ${ATTRIBUTES}`, default_pass_scheme: 'PLAIN' },
  ],
])('%s', (_name, options) => {
  let director: PostilionProcess;

  beforeAll(async () => {
    const passdb = {
      driver: 'ldap',
      uris: [`ldap://${relay.host}:${relay.port}`],
      ...{ starttls: true, ca: files.cert },
      ...{ dn: 'cn=reader,dc=example,dc=org', dnpass: 'reader-pass' },
      base: 'ou=people,dc=example,dc=org',
      ...{ timeout: '2s', connect_timeout: '1s', ...options },
    };
    director = await lab.serve([passdb], { auth_username_chars: '' });
  });

  test('logins, where the directory says', async () => {
    expect(await answerTo(director, 'anna', 'anna pass')).toBe('ok');
    expect((await imapLogin(director, 'EVA', 'eva pass')).ok).toBe(true);
    expect(await lab.backendOf('anna')).toBe('b1');
    expect(await lab.backendOf('eva')).toBe('b2');
  });

  test('refusals', async () => {
    const hostile = ['*', 'eva)(uid=*', 'ev*', '*)(|(uid=*', 'eva,ou=people', 'eva\\'];
    for (const user of ['anna', 'eva', 'nobody', ...hostile]) {
      for (const password of [WRONG, '']) {
        expect([user, await answerTo(director, user, password)]).toEqual([
          user,
          expect.stringContaining('[AUTHENTICATIONFAILED]'),
        ]);
      }
    }
    expect(await answerTo(director, '*', 'eva pass')).toContain('[AUTHENTICATIONFAILED]');
    expect(await answerTo(director, 'closed', WRONG)).toContain('[AUTHENTICATIONFAILED]');
    expect(await answerTo(director, 'closed', 'closed pass')).toContain('Pay first');
  });

  test('down, slow, and back again: never a wrong password', async () => {
    const unavailable = expect.stringContaining('[UNAVAILABLE]');
    await relay.close();
    expect(await answerTo(director, 'eva', 'eva pass')).toEqual(unavailable);
    expect(await answerTo(director, 'eva', WRONG)).toEqual(unavailable);
    await relay.open();
    const isBack = async () => (await answerTo(director, 'eva', 'eva pass')) === 'ok';
    await eventually('the directory is back', DEADLINE_MS, isBack);
    relay.hold();
    expect(await answerTo(director, 'eva', 'eva pass')).toEqual(unavailable);
    relay.release();
    await eventually('the directory answers', DEADLINE_MS, isBack);
  });

  test('no secret in the log, nor on the way to the directory', () => {
    for (const secret of [WRONG, 'eva pass', 'reader-pass', MASTER.password]) {
      expect(director.output).not.toContain(secret);
      expect(relay.fromClients).not.toContain(secret);
    }
  });
});

test('no user was on two backends', async () => {
  await lab.watch.waitUntilAllEnded();
  expect(lab.watch.overlaps()).toEqual([]);
});
