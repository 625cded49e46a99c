import { afterAll, beforeAll, expect, test } from 'vitest';
import { DovecotAuthServer } from '../support/dovecot-auth.ts';
import { imapLogin, imapToken, PassdbLab } from '../support/passdb-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/** `driver: dovecot-auth` through `postilion serve`: a real auth process, real backends, Python's imaplib. */

const WRONG = 'geheim-9d4f7b';

let server: DovecotAuthServer;
let lab: PassdbLab;
let director: PostilionProcess;

beforeAll(async () => {
  server = await DovecotAuthServer.start(5);
  lab = await PassdbLab.start();
  director = await lab.serve(
    [
      {
        driver: 'dovecot-auth',
        socket: server.clientSocket,
        master_socket: server.userdbSocket,
        mechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'],
        timeout: '3s',
      },
    ],
    { auth_mechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'] },
  );
});

afterAll(async () => {
  await lab?.stop();
  await server?.stop();
});

const answerTo = async (user: string, password: string): Promise<string> =>
  (await imapLogin(director, user, password)).answer;

test('passwords, and the fields of the user: tag, master login, other name', async () => {
  for (const mechanism of ['LOGIN', 'PLAIN', 'SASL-LOGIN'] as const) {
    const result = await imapLogin(director, 'doris', 'doris pass', mechanism);
    expect(result).toMatchObject({ ok: true });
  }
  expect(await lab.backendOf('doris')).toBe('b2');
  expect((await imapLogin(director, 'dora', 'dora pass')).ok).toBe(true);
  expect(await lab.backendOf('dora-inside')).toBe('b1');
});

test('refusals', async () => {
  for (const [user, password] of [
    ['doris', WRONG],
    ['doris', ''],
    ['nobody', WRONG],
    ['doris', 'doris pass\r\nx'],
  ]) {
    const result = await imapLogin(director, user!, password!, 'PLAIN');
    expect(result).toMatchObject({
      ok: false,
      answer: expect.stringContaining('[AUTHENTICATIONFAILED]'),
    });
  }
  expect(await answerTo('closed', WRONG)).toContain('[AUTHENTICATIONFAILED]');
  expect(await answerTo('closed', 'closed pass')).toMatch(/Closed_today/);
  // The auth process has a text of its own, which goes before the code, as in Dovecot.
  expect(await answerTo('expired', 'x')).toContain('Password expired');
  expect(await answerTo('disabled', 'x')).toContain('[CONTACTADMIN]');
  expect(await answerTo('broken', 'x')).toContain('[UNAVAILABLE]');
  expect(director.output).not.toContain(WRONG);
});

test('a token that the auth process refuses: its challenge is the client’s', async () => {
  for (const mechanism of ['XOAUTH2', 'OAUTHBEARER'] as const) {
    const result = await imapToken(director, 'tom', 'another.token', mechanism);
    expect(result.answer).toContain('[AUTHENTICATIONFAILED]');
    const status = mechanism === 'XOAUTH2' ? '401' : 'invalid_token';
    expect(JSON.parse(result.challenge)).toMatchObject({ status });
  }
});

test('a server that is slow, down, and up again', async () => {
  expect(await answerTo('slow', 'x')).toContain('[UNAVAILABLE]');
  await server.openGate();
  await server.kill();
  expect(await answerTo('doris', 'doris pass')).toContain('[UNAVAILABLE]');
  expect(await answerTo('doris', WRONG)).toContain('[UNAVAILABLE]');
  await server.startAgain();
  expect((await imapLogin(director, 'doris', 'doris pass')).ok).toBe(true);
  expect(await answerTo('doris', WRONG)).toContain('[AUTHENTICATIONFAILED]');
});
