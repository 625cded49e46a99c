import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { LabDirector } from '../support/lab-director.ts';
import { type LargeMessage, writeLargeMessage } from '../support/large-message.ts';
import { CURL_LOGIN_DENIED, curl, curlOutput, pythonClient } from '../support/mail-clients.ts';

let front: LabDirector;
let large: LargeMessage;

beforeAll(async () => {
  front = await LabDirector.start(3);
  large = writeLargeMessage(join(front.scratch, 'large.eml'));
});

afterAll(async () => {
  await front?.stop();
});

test('poplib: the whole tour, 30 MB down', async () => {
  await curlOutput('pop', '-T', large.path, `${front.imapUrl}/INBOX`);
  const port = front.director.pop3Port;
  const seen = await pythonClient('pop3_tour.py', '127.0.0.1', port, 'pop', large.path);
  expect(seen).toEqual({
    welcome: '+OK Postilion ready.',
    capa_before: expect.arrayContaining(['SASL', 'TOP', 'UIDL', 'USER']),
    unknown_before: '-ERR Unknown command.',
    wrong_password: '-ERR [AUTH] Authentication failed.',
    user: '+OK',
    pass: '+OK Logged in.',
    stat: 1,
    large_equal: true,
    top_lines: 5,
    unknown_after: '-ERR Unknown command: XYZZY',
    dele: '+OK Marked to be deleted.',
    quit: '+OK Logging out, messages deleted.',
  });
});

test('curl pop3://: list and retrieve 30 MB', async () => {
  await curlOutput('curlpop', '-T', large.path, `${front.imapUrl}/INBOX`);
  expect(await curlOutput('curlpop', `${front.pop3Url}/`)).toBe(`1 ${large.content.length}\r\n`);
  const path = join(front.scratch, 'pop3.eml');
  await curlOutput('curlpop', `${front.pop3Url}/1`, '-o', path);
  expect(readFileSync(path).equals(large.content)).toBe(true);
});

test.each([
  ['SASL LOGIN', ['--login-options', 'AUTH=LOGIN']],
  ['SASL PLAIN', ['--login-options', 'AUTH=PLAIN']],
  ['SASL PLAIN with an initial response', ['--sasl-ir', '--login-options', 'AUTH=PLAIN']],
])('curl pop3://: %s, right and wrong password', async (_name, options) => {
  const args = [`${front.pop3Url}/`, ...options];
  const good = await curl('sasl', 'pass', ...args);
  expect(good).toMatchObject({ code: 0 });
  expect((await curl('sasl', 'wrong', ...args)).code).toBe(CURL_LOGIN_DENIED);
});

test('commands pipelined behind PASS are answered by the backend, in order, once', async () => {
  const client = await RawClient.open('127.0.0.1', front.director.pop3Port);
  await client.until(/ready\.\r\n/);
  client.send('USER piped\r\nPASS pass\r\nSTAT\r\nNOOP\r\nQUIT\r\n');
  expect((await client.untilEnd()).split('\r\n')).toEqual([
    '+OK',
    '+OK Logged in.',
    '+OK 0 0',
    '+OK',
    '+OK Logging out.',
    '',
  ]);
});

test('IMAP and POP3 sessions of a user meet on one backend', async () => {
  const imap = await RawClient.open('127.0.0.1', front.director.imapPort);
  await imap.until(/ready\.\r\n/);
  await imap.ask('a LOGIN both pass\r\n', /a OK .*\r\n/);
  const pop3 = await RawClient.open('127.0.0.1', front.director.pop3Port);
  await pop3.until(/ready\.\r\n/);
  await pop3.ask('USER BOTH\r\n', /\+OK.*\r\n/);
  await pop3.ask('PASS pass\r\n', /\+OK Logged in\.\r\n/);
  const sessions = await front.watch.waitForSessions('both', 2);
  expect(new Set(sessions.map((session) => session.protocol))).toEqual(new Set(['imap', 'pop3']));
  expect(new Set(sessions.map((session) => session.backend)).size).toBe(1);
  imap.close();
  pop3.close();
});

test('no user was on two backends', async () => {
  await front.watch.waitUntilAllEnded();
  expect(front.watch.intervals().length).toBeGreaterThan(5);
  expect(front.watch.overlaps()).toEqual([]);
});
