import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';
import type { SessionInfo } from '../../src/embedded/mail-session.ts';
import { nextEvent, RawClient } from './raw-client.ts';

let backend: EmbeddedBackend;
let client: RawClient;

beforeEach(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1', bodyBytes: 3_000_000 });
  client = await RawClient.open('127.0.0.1', backend.imapPort);
});

afterEach(async () => {
  client.close();
  await backend.stop();
});

test('greets with capabilities, answers the pre-login commands', async () => {
  expect(await client.line()).toBe(
    '* OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ AUTH=PLAIN] b1 ready.\r\n',
  );
  client.send('a CAPABILITY\r\nb NOOP\r\nc SELECT INBOX\r\nd LOGOUT\r\n');
  expect(await client.untilEnd()).toBe(
    '* CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ AUTH=PLAIN\r\n' +
      'a OK Capability completed.\r\nb OK NOOP completed.\r\n' +
      'c BAD Error in IMAP command received by server.\r\n' +
      '* BYE Logging out\r\nd OK Logout completed.\r\n',
  );
});

test('a director pipelines ID and LOGIN: the session carries the forwarded identity', async () => {
  await client.line();
  const login = nextEvent(backend, 'login');
  const answer = await client.ask(
    'I ID ("x-session-id" "abc+/" "x-originating-ip" "10.1.2.3" "x-proxy-ttl" "4")\r\n' +
      'L LOGIN "user01" "pass"\r\n',
    /L .*\r\n/,
  );
  expect(answer).toMatch(
    /^\* ID .*\r\nI OK ID completed\.\r\nL OK \[CAPABILITY [^\]]*\] Logged in\r\n$/,
  );
  expect((await login)[0]).toEqual({
    backend: 'b1',
    protocol: 'imap',
    user: 'user01',
    sessionId: 'abc+/',
    originatingIp: '10.1.2.3',
    peerIp: '127.0.0.1',
    peerPort: client.socket.localPort ?? 0,
  } satisfies SessionInfo);
  expect(backend.sessions()).toEqual(new Map([['user01', 1]]));
  const logout = nextEvent(backend, 'logout');
  client.close();
  await logout;
  expect(backend.sessions().size).toBe(0);
});

test('an untrusting backend ignores the forwarded identity', async () => {
  const other = await startEmbeddedBackend({ name: 'b2', host: '127.0.0.1', isTrusting: false });
  const peer = await RawClient.open('127.0.0.1', other.imapPort);
  try {
    const login = nextEvent(other, 'login');
    peer.send('I ID ("x-session-id" "abc")\r\nL LOGIN u pass\r\n');
    expect((await login)[0]).toMatchObject({ sessionId: '', originatingIp: '' });
  } finally {
    peer.close();
    await other.stop();
  }
});

test.each([
  ['atoms', 'a LOGIN bob pass\r\n', 'bob'],
  ['quoted strings', 'a LOGIN "b\\"o\\\\b" "pass"\r\n', 'b"o\\b'],
  ['non-synchronising literals', 'a LOGIN {3+}\r\nbob {4+}\r\npass\r\n', 'bob'],
  ['a literal with CRLF inside', 'a LOGIN {4+}\r\nb\r\no {4+}\r\npass\r\n', 'b\r\no'],
  ['an initial response', `a AUTHENTICATE PLAIN ${plain('bob', 'pass')}\r\n`, 'bob'],
  ['8-bit bytes', 'a LOGIN {2+}\r\n\xff\xe9 {4+}\r\npass\r\n', '\xff\xe9'],
])('logs in with %s', async (_name, command, user) => {
  await client.line();
  expect(await client.ask(command, /a .*\r\n/)).toContain('a OK ');
  expect([...backend.sessions().keys()]).toEqual([user]);
});

test('asks for synchronising literals and for a SASL response', async () => {
  await client.line();
  expect(await client.ask('a LOGIN {3}\r\n', /\r\n/)).toBe('+ OK\r\n');
  expect(await client.ask('bob {5}\r\n', /\r\n/)).toBe('+ OK\r\n');
  expect(await client.ask('wrong\r\n', /\r\n/)).toBe(
    'a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n',
  );
  expect(await client.ask('b AUTHENTICATE PLAIN\r\n', /\r\n/)).toBe('+ \r\n');
  expect(await client.ask('*\r\n', /\r\n/)).toBe('b BAD Authentication aborted by client.\r\n');
  await client.ask('c AUTHENTICATE PLAIN\r\n', /\r\n/);
  expect(await client.ask(`${plain('bob', 'pass')}\r\n`, /\r\n/)).toMatch(/^c OK /);
});

test('FETCH BODY[] gives the generated message, exact to the byte', async () => {
  await login();
  expect(await client.ask('s SELECT INBOX\r\n', /s OK .*\r\n/)).toContain('* 1 EXISTS\r\n');
  expect(await client.ask('f FETCH 1 BODY[]\r\n', /\{3000000\}\r\n/)).toBe(
    '* 1 FETCH (BODY[] {3000000}\r\n',
  );
  const body = Buffer.from(await client.take(3_000_000), 'latin1');
  expect(await client.until(/f OK .*\r\n/)).toBe(')\r\nf OK Fetch completed.\r\n');
  expect(createHash('sha256').update(body).digest('hex')).toBe(backend.message.sha256);
  expect(body.toString('latin1')).toContain('Subject: Served by backend b1\r\n');
  expect(body.subarray(-2).toString('latin1')).toBe('\r\n');
});

test('commands behind a FETCH wait for it, on the wire too', async () => {
  await login();
  client.send('s SELECT INBOX\r\nf FETCH 1 (UID BODY.PEEK[])\r\ng UID FETCH 1 FLAGS\r\nn NOOP\r\n');
  await client.until(/\{3000000\}\r\n/);
  await client.take(3_000_000);
  expect(await client.until(/n OK .*\r\n/)).toBe(
    ')\r\nf OK Fetch completed.\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\ng OK Fetch completed.\r\n' +
      '* 1 EXISTS\r\nn OK NOOP completed.\r\n',
  );
});

test('APPEND streams, counts and hashes, and wakes an idling session of the user', async () => {
  await login();
  const idler = await RawClient.open('127.0.0.1', backend.imapPort);
  await idler.ask('a LOGIN bob pass\r\nb SELECT INBOX\r\nc IDLE\r\n', /\+ idling\r\n/);
  const message = `Subject: x\r\n\r\n${'y'.repeat(200_000)}\r\n`;
  expect(await client.ask(`a APPEND INBOX (\\Seen) {${message.length}}\r\n`, /\r\n/)).toBe(
    '+ OK\r\n',
  );
  expect(await client.ask(`${message}\r\n`, /a .*\r\n/)).toBe('a OK Append completed.\r\n');
  expect(await idler.line()).toBe('* 2 EXISTS\r\n');
  expect(await idler.ask('DONE\r\n', /c .*\r\n/)).toBe('c OK Idle completed.\r\n');
  expect(backend.appends).toEqual([
    {
      user: 'bob',
      mailbox: 'INBOX',
      bytes: message.length,
      sha256: createHash('sha256').update(message).digest('hex'),
    },
  ]);
  idler.close();
});

test('notify reaches only the idling sessions of that user', async () => {
  await login();
  await client.ask('s SELECT INBOX\r\ni IDLE\r\n', /\+ idling\r\n/);
  expect(backend.notify('carol')).toBe(0);
  expect(backend.notify('bob')).toBe(1);
  expect(await client.line()).toBe('* 2 EXISTS\r\n');
});

test('LIST and SEARCH', async () => {
  await login();
  expect(await client.ask('l LIST "" "*"\r\n', /l .*\r\n/)).toBe(
    '* LIST (\\HasNoChildren) "/" INBOX\r\nl OK LIST completed.\r\n',
  );
  await client.ask('s SELECT INBOX\r\n', /s OK .*\r\n/);
  expect(await client.ask('q SEARCH ALL\r\n', /q .*\r\n/)).toBe(
    '* SEARCH 1\r\nq OK Search completed.\r\n',
  );
});

test('a line beyond the limit ends the connection', async () => {
  await client.line();
  client.send(`a NOOP ${'x'.repeat(70_000)}`);
  expect(await client.untilEnd()).toBe('* BYE Input buffer full, aborting\r\n');
});

test('LOGOUT ends the session before its reply is read', async () => {
  await login();
  const logout = nextEvent(backend, 'logout');
  client.send('z LOGOUT\r\n');
  await logout;
  expect(await client.untilEnd()).toBe('* BYE Logging out\r\nz OK Logout completed.\r\n');
});

async function login(): Promise<void> {
  await client.line();
  await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
}

function plain(user: string, password: string): string {
  return Buffer.from(`\0${user}\0${password}`, 'latin1').toString('base64');
}
