import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuthSocketAddress } from '../../src/shared/remote-passdb-settings.ts';
import { DovecotAuthPassdb } from '../../src/workers/auth/dovecot-auth/dovecot-auth-passdb.ts';
import { DovecotAuthServer } from '../support/dovecot-auth.ts';
import { clientFacts, lookUpQuery, verifyQuery } from '../support/passdb-queries.ts';

let server: DovecotAuthServer;
const open: DovecotAuthPassdb[] = [];

beforeAll(async () => {
  server = await DovecotAuthServer.start(1);
});

afterAll(async () => {
  for (const passdb of open) await passdb.close();
  await server?.stop();
});

function passdbOn(
  socket: AuthSocketAddress,
  masterSocket: AuthSocketAddress | null,
  timeoutMs = 20_000,
): DovecotAuthPassdb {
  const passdb = new DovecotAuthPassdb({
    driver: 'dovecot-auth',
    name: 'dovecot-auth',
    defaultFields: {},
    overrideFields: {},
    isMaster: false,
    socket,
    masterSocket,
    timeoutMs,
    mechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'],
  });
  open.push(passdb);
  return passdb;
}

const unixPassdb = (timeoutMs?: number) =>
  passdbOn({ path: server.clientSocket }, { path: server.userdbSocket }, timeoutMs);

describe.each([
  ['unix sockets', () => unixPassdb()],
  [
    'TCP',
    () =>
      passdbOn(
        { host: server.ip, port: server.clientPort },
        { host: server.ip, port: server.userdbPort },
      ),
  ],
] as const)('a real auth process on %s', (_name, create) => {
  test('passwords are verified, with the fields of the user', async () => {
    const passdb = create();
    expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toEqual({
      kind: 'ok',
      fields: new Map([['proxy', 'y']]),
    });
    expect(await passdb.query(verifyQuery('berta', 'berta pass'))).toMatchObject({
      kind: 'ok',
      fields: new Map([
        ['proxy', 'y'],
        ['host', '192.0.2.99'],
        ['port', '1143'],
        ['destuser', 'berta@inside'],
        ['director_tag', 'east'],
        ['forward_unit', '7'],
      ]),
    });
    expect(await passdb.query(verifyQuery('clara', 'clara pass'))).toMatchObject({
      fields: new Map([
        ['proxy', 'y'],
        ['master', 'boss'],
        ['pass', 'boss-pass'],
      ]),
    });
    for (const [user, secret] of [
      ['alice', 'berta pass'],
      ['alice', ''],
      ['alice', 'alice pass '],
      ['nobody-knows', 'alice pass'],
    ]) {
      expect(await passdb.query(verifyQuery(user!, secret!))).toEqual({ kind: 'mismatch' });
    }
  });

  test('users are looked up without a password', async () => {
    const passdb = create();
    expect(await passdb.query(lookUpQuery('berta'))).toMatchObject({
      kind: 'ok',
      fields: expect.objectContaining(new Map([['director_tag', 'east']])),
    });
    expect(await passdb.query(lookUpQuery('nobody-knows'))).toEqual({ kind: 'unknown-user' });
  });
});

test('nologin, expired passwords, users that are disabled, and no answer', async () => {
  const passdb = unixPassdb();
  expect(await passdb.query(verifyQuery('closed', 'closed pass'))).toMatchObject({
    kind: 'ok',
    fields: new Map([
      ['nologin', 'y'],
      ['reason', 'Closed_today'],
    ]),
  });
  expect(await passdb.query(verifyQuery('expired', 'x'))).toMatchObject({ kind: 'expired' });
  expect(await passdb.query(verifyQuery('disabled', 'x'))).toMatchObject({ kind: 'disabled' });
  expect(await passdb.query(verifyQuery('broken', 'x'))).toEqual({
    kind: 'failed',
    detail: 'temporary failure',
  });
});

test('names, passwords and fields with what separates fields and lines', async () => {
  const passdb = unixPassdb();
  expect(await passdb.query(verifyQuery('escaped', 'a: %u"\\\xc3\xa9'))).toMatchObject({
    kind: 'ok',
  });
  const told = await passdb.query(verifyQuery('told', 'told pass'));
  const { remoteIp, localIp, sessionId } = clientFacts;
  expect(told).toMatchObject({
    fields: new Map([
      ['proxy', 'y'],
      ['tabbed', 'one\ttwo\x01three'],
      ['seen', `imap ${remoteIp} ${localIp} ${sessionId} TLS`],
    ]),
  });
  for (const [user, secret] of [
    ['alice\tresp=AGFsaWNlAGFsaWNlIHBhc3M=', 'x'],
    ['alice\nAUTH\t77\tPLAIN\tservice=imap\tresp=AGFsaWNlAGFsaWNlIHBhc3M=', 'x'],
    ['nobody\0alice\0alice pass', 'x'],
    ['alice', 'x\0alice pass'],
    // Dovecot refuses control characters itself.
    ['berta', 'berta pass\n'],
    ['berta', 'berta pass\t'],
  ]) {
    expect(await passdb.query(verifyQuery(user!, secret!))).toEqual({ kind: 'mismatch' });
  }
  for (const user of ['nobody\tuser=berta', 'nobody\nPASS\t1\tberta\tservice=lmtp']) {
    expect(await passdb.query(lookUpQuery(user))).toEqual({ kind: 'unknown-user' });
  }
  // The connection has survived all of it.
  expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toMatchObject({ kind: 'ok' });
});

describe('tokens', () => {
  test.each(['XOAUTH2', 'OAUTHBEARER'])('%s', async (mechanism) => {
    const passdb = unixPassdb();
    const ask = (user: string, token: string) =>
      passdb.query(verifyQuery(user, token, { mechanism }));
    expect(await ask('tom', 'tok3n.abc_-~+/x==')).toMatchObject({
      kind: 'ok',
      fields: new Map([['proxy', 'y']]),
    });
    const refused = await ask('tom', 'another-token');
    expect(refused.kind).toBe('bad-token');
    const challenge = refused.kind === 'bad-token' ? JSON.parse(refused.challenge) : null;
    expect(challenge).toHaveProperty('status');
    // A name that brings a token of its own.
    expect(await ask('tom\x01auth=Bearer tok3n.abc_-~+/x==', 'x')).toEqual({ kind: 'mismatch' });
    expect(await ask('alice,\x01auth=Bearer x', 'x')).toEqual({ kind: 'mismatch' });
  });
});

test('questions are answered in any order, many at a time', async () => {
  const passdb = unixPassdb();
  const slow = passdb.query(verifyQuery('slow', 'x'));
  let isSlowAnswered = false;
  void slow.then(() => {
    isSlowAnswered = true;
  });
  const questions = Array.from({ length: 200 }, (_, i) => {
    const [user, secret] = i % 2 === 0 ? ['alice', 'alice pass'] : ['berta', 'berta pass'];
    return passdb.query(verifyQuery(user!, secret!));
  });
  for (const [i, answer] of (await Promise.all(questions)).entries()) {
    expect(answer.kind).toBe('ok');
    const host = answer.kind === 'ok' ? answer.fields.get('host') : 'none';
    expect(host).toBe(i % 2 === 0 ? undefined : '192.0.2.99');
  }
  expect(isSlowAnswered).toBe(false);
  await server.openGate();
  expect(await slow).toMatchObject({ kind: 'ok' });
});

test('a server that is slow is not waited for longer than the time limit', async () => {
  const passdb = unixPassdb(300);
  expect(await passdb.query(verifyQuery('slow', 'x'))).toEqual({
    kind: 'failed',
    detail: 'no answer within 300 ms',
  });
  // Its answer, when it comes, is nobody's.
  await server.openGate();
  expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toMatchObject({ kind: 'ok' });
});

test('a server that is down: no answer; and up again', async () => {
  const own = await DovecotAuthServer.start(2);
  const passdb = passdbOn({ path: own.clientSocket }, null, 2000);
  const patient = passdbOn({ path: own.clientSocket }, null, 20_000);
  try {
    expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toMatchObject({ kind: 'ok' });
    const asked = passdb.query(verifyQuery('slow', 'x'));
    await passdb.query(verifyQuery('alice', 'alice pass'));
    await own.kill();
    expect(await asked).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('connection lost'),
    });
    expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toMatchObject({
      kind: 'failed',
      detail: expect.stringMatching(/within 2000 ms: .*(?:ECONNREFUSED|ENOENT)/),
    });
    // Who is patient enough is answered by the next one.
    const waiting = patient.query(verifyQuery('berta', 'berta pass'));
    await own.startAgain();
    expect(await waiting).toMatchObject({ kind: 'ok' });
    expect(await passdb.query(verifyQuery('alice', 'wrong'))).toEqual({ kind: 'mismatch' });
  } finally {
    await own.stop();
  }
});

test('the wrong kind of socket is named in the log text', async () => {
  const passdb = passdbOn({ path: server.userdbSocket }, { path: server.clientSocket }, 500);
  expect(await passdb.query(verifyQuery('alice', 'alice pass'))).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('(is it an auth-client socket?)'),
  });
  expect(await passdb.query(lookUpQuery('alice'))).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('(is it a userdb or master socket?)'),
  });
});
