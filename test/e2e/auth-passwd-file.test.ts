import { appendFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackendWatch } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { DovecotLab, IMAP_PORT, labAddress, POP3_PORT } from '../support/dovecot.ts';
import { CURL_LOGIN_DENIED, curl, pythonClient } from '../support/mail-clients.ts';
import {
  BACKEND_MASTER,
  BACKEND_MASTER_CONFIG,
  doveadmPassword,
  writePasswdFile,
} from '../support/passwd-users.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { requireProgram } from '../support/require-program.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

/** Users of a passwd-file whose hashes `doveadm pw` has made, in front of real Dovecot backends. */

const SCHEMES = [
  ...['PLAIN', 'CRYPT', 'SHA256-CRYPT', 'SHA512-CRYPT', 'BLF-CRYPT', 'ARGON2I', 'ARGON2ID'],
  ...['SHA', 'SHA256', 'SHA512', 'SSHA', 'SSHA256', 'SSHA512', 'SCRAM-SHA-256'],
];
const FAILED = '[AUTHENTICATIONFAILED] Authentication failed.';
/** Looks like nothing else, so that finding it anywhere means something. */
const LOCAL_PASSWORD = 'geheim-3f81d0';
const WRONG_PASSWORD = 'falsch-77ab21';
const DELAY_MS = 600;
const asMaster = `master=${BACKEND_MASTER.user} pass=${BACKEND_MASTER.password}`;

let lab: DovecotLab;
let watch: BackendWatch;
let director: PostilionProcess;
let directory: string;
let usersPath: string;

interface LoginResult {
  readonly ok: boolean;
  readonly answer: string;
  readonly seconds: number;
}

async function login(
  user: string,
  password: string,
  options: { mechanism?: string; authzid?: string; from?: string; port?: number } = {},
): Promise<LoginResult> {
  const { mechanism = 'LOGIN', authzid = '', from, port = director.imapPort } = options;
  const args = ['127.0.0.1', port, mechanism, authzid, user, password];
  const result = await pythonClient('imap_auth.py', ...args, ...(from === undefined ? [] : [from]));
  return result as unknown as LoginResult;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postilion-auth-'));
  lab = await DovecotLab.start(3, 1, { config: () => BACKEND_MASTER_CONFIG });
  watch = new BackendWatch(lab.backends);
  const users: Record<string, string> = {};
  for (const scheme of SCHEMES) {
    users[scheme.toLowerCase()] = await doveadmPassword(scheme, 'pass');
  }
  users['frank'] = `{PLAIN}${LOCAL_PASSWORD}:::::: ${asMaster}`;
  users['scram'] = `${await doveadmPassword('SCRAM-SHA-256', LOCAL_PASSWORD)}:::::: ${asMaster}`;
  users['erin'] = '{PLAIN}pass::::::destuser=%u-2';
  users['mona'] = '{PLAIN}pass::::::director_tag=far';
  users['leo'] = '{PLAIN}pass::::::director_tag=far';
  users['nolog'] = '{PLAIN}pass::::::nologin reason=closed';
  users['open'] = '{PLAIN}pass::::::nologin=no';
  users['hasty'] = '{PLAIN}pass::::::nodelay=y';
  users['broken'] = '{PLAIN}pass::::::port=many';
  users['owned'] = `{PLAIN}${WRONG_PASSWORD}x:::::: ${asMaster}`;
  usersPath = writePasswdFile(directory, 'users', users);
  const mastersPath = writePasswdFile(directory, 'masters', { boss: `{PLAIN}${LOCAL_PASSWORD}` });
  const [b1, b2, b3] = lab.backends.map(({ ip }) => ip) as [string, string, string];
  director = await PostilionProcess.start({
    mailServers: [b1, b2, `${b3}@far`],
    imapPort: IMAP_PORT,
    pop3Port: POP3_PORT,
    overrides: {
      auth_failure_delay: `${DELAY_MS}ms`,
      auth_mechanisms: 'plain login scram-sha-256',
      passdb: [
        { driver: 'passwd-file', name: 'masters', path: mastersPath, master: true },
        { driver: 'passwd-file', path: usersPath },
      ],
    },
  });
}, 120_000);

afterAll(async () => {
  await director?.stop();
  await lab?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.each(SCHEMES)('%s', (scheme) => {
  const user = scheme.toLowerCase();

  test('the right password reaches a backend', async () => {
    expect(await login(user, 'pass', { mechanism: 'PLAIN' })).toMatchObject({ ok: true });
    expect(await watch.waitForSessions(user)).toHaveLength(1);
  });

  test('another one does not', async () => {
    const before = watch.of(user).length;
    expect(await login(user, 'Pass')).toMatchObject({ ok: false, answer: FAILED });
    expect(await login(user, '')).toMatchObject({ ok: false, answer: FAILED });
    expect(watch.of(user)).toHaveLength(before);
  });
});

test('SASL LOGIN', async () => {
  expect(await login('plain', 'pass', { mechanism: 'SASL-LOGIN' })).toMatchObject({ ok: true });
  const wrong = await login('plain', WRONG_PASSWORD, { mechanism: 'SASL-LOGIN' });
  expect(wrong).toMatchObject({ ok: false, answer: FAILED });
});

test.each([
  ['USER and PASS', []],
  ['SASL PLAIN', ['--login-options', 'AUTH=PLAIN']],
])('POP3: %s', async (_, options) => {
  const url = `pop3://127.0.0.1:${director.pop3Port}/`;
  const right = await curl('ssha512', 'pass', ...options, url);
  expect(right.code).toBe(0);
  const wrong = await curl('ssha512', WRONG_PASSWORD, ...options, url);
  expect(wrong.code).toBe(CURL_LOGIN_DENIED);
});

test('unknown users and wrong passwords: the same answer, as late', async () => {
  const wrong = await login('sha512-crypt', WRONG_PASSWORD);
  const unknown = await login('nobody-here', WRONG_PASSWORD);
  expect(unknown.answer).toBe(wrong.answer);
  for (const { seconds } of [wrong, unknown]) {
    expect(seconds).toBeGreaterThan(DELAY_MS / 1000 - 0.05);
  }
});

test('nodelay', async () => {
  const { answer, seconds } = await login('hasty', WRONG_PASSWORD);
  expect(answer).toBe(FAILED);
  expect(seconds).toBeLessThan(DELAY_MS / 1000);
});

test('a master user of the backends logs in for a user that we have verified', async () => {
  expect(await login('frank', LOCAL_PASSWORD)).toMatchObject({ ok: true });
  const [session] = await watch.waitForSessions('frank');
  expect(session.user).toBe('frank');
  expect(await login('frank', 'pass')).toMatchObject({ ok: false, answer: FAILED });
});

test('a master user of ours logs in for another one', async () => {
  const options = { mechanism: 'PLAIN', authzid: 'owned' };
  expect(await login('boss', LOCAL_PASSWORD, options)).toMatchObject({ ok: true });
  await watch.waitForSessions('owned');
  expect(await login('boss', WRONG_PASSWORD, options)).toMatchObject({
    ok: false,
    answer: FAILED,
  });
  // Master users are no users, and users are no master users.
  expect(await login('boss', LOCAL_PASSWORD)).toMatchObject({ ok: false, answer: FAILED });
  expect(await login('plain', 'pass', options)).toMatchObject({ ok: false, answer: FAILED });
  const unknown = await login('boss', LOCAL_PASSWORD, { ...options, authzid: 'nobody-here' });
  expect(unknown.answer).toBe('[AUTHORIZATIONFAILED] Authentication failed.');
});

test('destuser, with a variable', async () => {
  expect(await login('erin', 'pass')).toMatchObject({ ok: true });
  await watch.waitForSessions('erin-2');
});

test('director_tag: only backends that have it', async () => {
  for (const user of ['mona', 'leo']) {
    expect(await login(user, 'pass')).toMatchObject({ ok: true });
    const [session] = await watch.waitForSessions(user);
    expect(session.backend).toBe('b3');
  }
  const others = SCHEMES.flatMap((scheme) => watch.of(scheme.toLowerCase()));
  expect(others.length).toBeGreaterThanOrEqual(SCHEMES.length);
  expect(others.filter(({ backend }) => backend === 'b3')).toEqual([]);
});

test('nologin', async () => {
  const refused = await login('nolog', 'pass');
  expect(refused).toMatchObject({ ok: false, answer: '[ALERT] closed' });
  expect(await login('nolog', WRONG_PASSWORD)).toMatchObject({ answer: FAILED });
  expect(await login('open', 'pass')).toMatchObject({ ok: true });
});

test('a field that makes no sense is our failure, and says so in the log', async () => {
  const { answer } = await login('broken', 'pass');
  expect(answer).toBe('[UNAVAILABLE] Account is temporarily unavailable.');
  await director.waitForLog('the field', ({ detail }) => detail === 'port: not a port');
});

describe('SCRAM-SHA-256, by GNU SASL', () => {
  async function gsasl(user: string, password: string): Promise<ProgramResult> {
    const program = await requireProgram('gsasl', ['gsasl']);
    const [host, port] = ['127.0.0.1', director.imapPort];
    return await runProgram(program, [
      ...['--imap', `--connect=${host}:${port}`, '--mechanism=SCRAM-SHA-256', '--no-starttls'],
      ...[`--authentication-id=${user}`, '--authorization-id=', `--password=${password}`],
      '--no-cb',
    ]);
  }

  // frank's keys are made of his plain password.
  test.each(['scram', 'frank'])('%s', async (user) => {
    const before = watch.of(user).length;
    const right = await gsasl(user, LOCAL_PASSWORD);
    expect(right.stdout).toContain('OK');
    expect(right.code).toBe(0);
    await watch.waitForSessions(user, before + 1);
    const wrong = await gsasl(user, WRONG_PASSWORD);
    expect(wrong.code).not.toBe(0);
    expect(watch.of(user)).toHaveLength(before + 1);
  });

  test('who is not there, or has a hash of another kind, fails as with a wrong password', async () => {
    for (const user of ['nobody-here', 'sha512-crypt']) {
      const { code, stdout } = await gsasl(user, 'pass');
      expect(code).not.toBe(0);
      expect(stdout).toContain(FAILED);
    }
  });
});

test('the file is read again when it has changed', async () => {
  expect(await login('late', 'pass')).toMatchObject({ ok: false, answer: FAILED });
  appendFileSync(usersPath, 'late:{PLAIN}pass\n');
  await eventually('late is known', 10_000, async () => (await login('late', 'pass')).ok);
});

test('a file that is gone is no wrong password', async () => {
  const away = `${usersPath}.away`;
  renameSync(usersPath, away);
  try {
    const unavailable = '[UNAVAILABLE] Temporary authentication failure.';
    await eventually('the failure', 10_000, async () => {
      return (await login('plain', 'pass')).answer === unavailable;
    });
    // Nobody can tell whether this one is there. Each worker notices by itself.
    await eventually('the other failure', 10_000, async () => {
      return (await login('nobody-here', WRONG_PASSWORD)).answer === unavailable;
    });
  } finally {
    renameSync(away, usersPath);
  }
  await eventually('the file is back', 10_000, async () => (await login('plain', 'pass')).ok);
});

test('no password is in the log', () => {
  for (const secret of [LOCAL_PASSWORD, WRONG_PASSWORD, BACKEND_MASTER.password]) {
    expect(director.output).not.toContain(secret);
    expect(director.output).not.toContain(Buffer.from(secret).toString('base64').slice(0, -4));
  }
});

describe('penalties', () => {
  const NETWORK_WAIT_SECS = 4;
  let slow: PostilionProcess;

  beforeAll(async () => {
    slow = await PostilionProcess.start({
      mailServers: lab.backends.map(({ ip }) => ip),
      imapPort: IMAP_PORT,
      pop3Port: POP3_PORT,
      overrides: { auth_failure_delay: '100ms', auth_penalty: true, auth_user_penalty: false },
    });
  });

  afterAll(async () => {
    await slow?.stop();
  });

  test('a network that has failed waits, on all workers, and no other one does', async () => {
    const [guesser, neighbour] = [labAddress(8), labAddress(9)];
    const port = slow.imapPort;
    // The backend judges: passthrough.
    const first = await login('victim', WRONG_PASSWORD, { from: guesser, port });
    expect(first.answer).toBe(FAILED);
    expect(first.seconds).toBeLessThan(NETWORK_WAIT_SECS);
    const [again, other] = await Promise.all([
      login('victim', 'pass', { from: guesser, port }),
      login('victim', 'pass', { from: neighbour, port }),
    ]);
    expect(again.ok).toBe(true);
    expect(again.seconds).toBeGreaterThan(NETWORK_WAIT_SECS - 0.05);
    expect(other.ok).toBe(true);
    expect(other.seconds).toBeLessThan(NETWORK_WAIT_SECS);
    // The success was the end of it.
    const third = await login('victim', 'pass', { from: guesser, port });
    expect(third.seconds).toBeLessThan(NETWORK_WAIT_SECS);
  });
});
