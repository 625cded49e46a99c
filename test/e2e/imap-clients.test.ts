import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { withDeadline } from '../support/deadline.ts';
import { LabDirector } from '../support/lab-director.ts';
import { type LargeMessage, writeLargeMessage } from '../support/large-message.ts';
import { CURL_LOGIN_DENIED, curl, curlOutput, pythonClient } from '../support/mail-clients.ts';

const EVENT_DEADLINE_MS = 15_000;

let front: LabDirector;
let large: LargeMessage;

beforeAll(async () => {
  front = await LabDirector.start(3);
  large = writeLargeMessage(join(front.scratch, 'large.eml'));
});

afterAll(async () => {
  await front?.stop();
});

/** A message as the user's backend gives it without us in between. */
async function fetchDirectly(user: string, index: number): Promise<Buffer> {
  const [session] = await front.watch.waitForSessions(user);
  const { ip, imapPort } = front.lab.byName(session.backend);
  const path = join(front.scratch, `${user}-${index}.eml`);
  await curlOutput(user, `imap://${ip}:${imapPort}/INBOX;MAILINDEX=${index}`, '-o', path);
  return readFileSync(path);
}

test('imaplib: the whole tour, 30 MB up and down', async () => {
  const port = front.director.imapPort;
  const seen = await pythonClient('imap_tour.py', '127.0.0.1', port, 'tour', large.path);
  expect(seen).toEqual({
    welcome: expect.stringMatching(/^\* OK \[CAPABILITY IMAP4rev1 .+\] Postilion ready\.$/),
    unknown_before: 'U1 BAD Error in IMAP command received by server.',
    wrong_password: "b'[AUTHENTICATIONFAILED] Authentication failed.'",
    login: 'OK',
    list: ['(\\HasNoChildren) "/" INBOX'],
    select: '0',
    append_small: 'OK',
    append_large: 'OK',
    search: '1 2',
    search_small: '1',
    small_equal: true,
    large_equal: true,
    large_sha256: large.sha256,
    unknown_after: expect.stringMatching(/^U2 BAD Error in IMAP command XYZZY: Unknown command/),
    logout: 'BYE',
  });
  expect((await fetchDirectly('tour', 2)).equals(large.content)).toBe(true);
});

test('imaplib: IDLE is told what a second session appended', async () => {
  const seen = await pythonClient('imap_idle.py', '127.0.0.1', front.director.imapPort, 'idler');
  expect(seen).toMatchObject({ continuation: '+ idling', append: 'OK' });
  expect(seen['told']).toBe(seen['expected']);
  expect(seen['done']).toMatch(/^I1 OK Idle completed/);
});

test('curl imap://: append, list, search, fetch, 30 MB up and down', async () => {
  const inbox = `${front.imapUrl}/INBOX`;
  await curlOutput('curly', '-T', large.path, inbox);
  expect(await curlOutput('curly', `${front.imapUrl}/`)).toBe(
    '* LIST (\\HasNoChildren) "/" INBOX\r\n',
  );
  expect(await curlOutput('curly', inbox, '-X', 'SEARCH ALL')).toBe('* SEARCH 1\r\n');
  const path = join(front.scratch, 'curl.eml');
  await curlOutput('curly', `${inbox};MAILINDEX=1`, '-o', path);
  expect(readFileSync(path).equals(large.content)).toBe(true);
  expect((await fetchDirectly('curly', 1)).equals(large.content)).toBe(true);
});

test.each([
  ['LOGIN', ['--login-options', 'AUTH=LOGIN']],
  ['PLAIN', ['--login-options', 'AUTH=PLAIN']],
  ['PLAIN with an initial response', ['--sasl-ir', '--login-options', 'AUTH=PLAIN']],
])('curl imap://: SASL %s, right and wrong password', async (_name, options) => {
  const args = [`${front.imapUrl}/`, ...options];
  expect((await curl('sasl', 'pass', ...args)).code).toBe(0);
  expect((await curl('sasl', 'wrong', ...args)).code).toBe(CURL_LOGIN_DENIED);
});

function imapflow(user: string, pass: string): ImapFlow {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: front.director.imapPort,
    secure: false,
    auth: { user, pass },
    logger: false,
  });
  // Errors come by the promises too; without a listener they would end the process.
  client.on('error', () => {});
  return client;
}

test('imapflow: append, list, search, fetch, 30 MB up and down', async () => {
  const client = imapflow('flow', 'pass');
  await client.connect();
  try {
    expect((await client.list()).map((mailbox) => mailbox.path)).toEqual(['INBOX']);
    await client.append('INBOX', 'Subject: first\r\n\r\nhello\r\n');
    await client.append('INBOX', large.content);
    const lock = await client.getMailboxLock('INBOX');
    try {
      expect(await client.search({ all: true })).toEqual([1, 2]);
      expect(await client.search({ subject: 'first' })).toEqual([1]);
      const message = await client.fetchOne('2', { source: true });
      if (message === false) throw new Error('message 2 is not there');
      expect(message.source?.equals(large.content)).toBe(true);
    } finally {
      lock.release();
    }
  } finally {
    await client.logout();
  }
  expect((await fetchDirectly('flow', 2)).equals(large.content)).toBe(true);
});

test('imapflow: IDLE is told what another client appended', async () => {
  const client = imapflow('flowidle', 'pass');
  await client.connect();
  try {
    await client.mailboxOpen('INBOX');
    const told = new Promise<{ count: number }>((resolve) => client.once('exists', resolve));
    const idle = client.idle();
    const path = join(front.scratch, 'small.eml');
    writeFileSync(path, 'Subject: new\r\n\r\nmail\r\n');
    await curlOutput('flowidle', '-T', path, `${front.imapUrl}/INBOX`);
    const { count } = await withDeadline(told, EVENT_DEADLINE_MS, 'notification');
    expect(count).toBe(1);
    await client.noop();
    await idle;
  } finally {
    await client.logout();
  }
});

test('imapflow: wrong password', async () => {
  const client = imapflow('flow', 'wrong');
  await expect(client.connect()).rejects.toMatchObject({
    authenticationFailed: true,
    serverResponseCode: 'AUTHENTICATIONFAILED',
  });
  client.close();
});

test('commands pipelined behind the login are answered by the backend, in order, once', async () => {
  const client = await RawClient.open('127.0.0.1', front.director.imapPort);
  await client.until(/ready\.\r\n/);
  client.send('a LOGIN piped pass\r\nb SELECT INBOX\r\nc NOOP\r\nd LOGOUT\r\n');
  const all = await client.untilEnd();
  const tagged = all.split('\r\n').filter((line) => /^[a-d] /.test(line));
  expect(tagged.map((line) => line.slice(0, 4))).toEqual(['a OK', 'b OK', 'c OK', 'd OK']);
});

test('user names and passwords as literals', async () => {
  const client = await RawClient.open('127.0.0.1', front.director.imapPort);
  await client.until(/ready\.\r\n/);
  await client.ask('a LOGIN {7}\r\n', /\+ .*\r\n/);
  await client.ask('literal {4}\r\n', /\+ .*\r\n/);
  await client.ask('pass\r\n', /a OK .*\r\n/);
  client.send('b LOGOUT\r\n');
  expect(await client.untilEnd()).toMatch(/b OK/);
  const plus = await RawClient.open('127.0.0.1', front.director.imapPort);
  await plus.until(/ready\.\r\n/);
  await plus.ask('a LOGIN {7+}\r\nliteral {4+}\r\npass\r\n', /a OK .*\r\n/);
  plus.close();
  expect(await front.watch.waitForSessions('literal', 2)).toHaveLength(2);
});

test('no user was on two backends', async () => {
  await front.watch.waitUntilAllEnded();
  expect(front.watch.intervals().length).toBeGreaterThan(10);
  expect(front.watch.overlaps()).toEqual([]);
});
