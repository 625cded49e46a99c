import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { opensslClient } from '../support/certificates.ts';
import { labAddress } from '../support/dovecot.ts';
import { type LargeMessage, writeLargeMessage } from '../support/large-message.ts';
import { CURL_LOGIN_DENIED, curl, curlOutput, pythonClient } from '../support/mail-clients.ts';
import { requireProgram } from '../support/require-program.ts';
import { runProgram } from '../support/run-program.ts';
import { SubmissionLab } from '../support/submission-lab.ts';

/** Submission with clients that we did not write, real Dovecot behind us, and a relay behind that. */

const MESSAGE_BYTES = 5 * 1024 * 1024;
/** swaks: the server refused the login. */
const SWAKS_AUTH_ERROR = 28;
const HELLO = 'Subject: hello\r\n\r\nhello\r\n';

const modes = ['plain', 'starttls', 'implicit'] as const;
type Mode = (typeof modes)[number];

let front: SubmissionLab;
let large: LargeMessage;
/** As the relay keeps it. */
let largeText: string;

beforeAll(async () => {
  front = await SubmissionLab.start(3);
  large = writeLargeMessage(join(front.folder, 'large.eml'), MESSAGE_BYTES);
  largeText = large.content.toString('latin1');
});

afterAll(async () => {
  await front?.stop();
});

function portOf(mode: Mode): number {
  return front.port(mode === 'implicit' ? 'implicit' : 'starttls');
}

/** The backend puts a Received line of its own before it. */
async function expectRelayed(recipient: string, from: string, text: string): Promise<void> {
  const message = await front.relay.messageTo(recipient);
  expect(message).toMatchObject({ from, to: [recipient] });
  expect(message.content.endsWith(text)).toBe(true);
}

test('smtplib: in the clear, STARTTLS and TLS from the first byte, 5 MB each', async () => {
  const seen = await pythonClient(
    'submission_tour.py',
    ...[front.ip, front.port(), front.port('implicit'), front.certificate.cert, 'py', large.path],
  );
  expect(seen).toEqual({
    extensions: [
      ...['8bitmime', 'auth', 'chunking', 'dsn', 'enhancedstatuscodes', 'pipelining', 'size'],
      'starttls',
    ],
    size: '41943040',
    before: [530, '5.7.0 Authentication required.'],
    wrong: [535, '5.7.8 Authentication failed.'],
    login: 235,
    refused: {},
    noop: 250,
    starttls: 220,
    starttls_again: false,
    starttls_login: 235,
    tls_login: 235,
  });
  for (const mark of ['plain', 'starttls', 'tls']) {
    await expectRelayed(`${mark}@example.test`, 'py@client.test', largeText);
  }
});

describe('curl', () => {
  const options: Readonly<Record<Mode, readonly string[]>> = {
    plain: [],
    starttls: ['--ssl-reqd'],
    implicit: [],
  };
  const args = (mode: Mode, ...further: string[]): string[] => [
    `${mode === 'implicit' ? 'smtps' : 'smtp'}://${front.ip}:${portOf(mode)}/client.test`,
    ...['--cacert', front.certificate.cert, ...options[mode], '-T', large.path],
    ...['--mail-from', 'curl@client.test', '--mail-rcpt', `curl-${mode}@example.test`, ...further],
  ];

  test.each(modes)('%s: 5 MB', async (mode) => {
    await curlOutput('curl', ...args(mode));
    await expectRelayed(`curl-${mode}@example.test`, 'curl@client.test', largeText);
  });

  test.each(['PLAIN', 'LOGIN'])('%s, with and without an initial response', async (mechanism) => {
    const login = ['--login-options', `AUTH=${mechanism}`];
    for (const further of [login, [...login, '--sasl-ir']]) {
      const recipient = `${mechanism}-${further.length}@example.test`;
      await curlOutput('curl', ...args('plain', ...further, '--mail-rcpt', recipient));
      expect((await front.relay.messageTo(recipient)).to.length).toBe(2);
    }
    front.relay.messages.length = 0;
  });

  test('a wrong password stays one', async () => {
    const { code } = await curl('curl', 'wrong', ...args('plain'));
    expect(code).toBe(CURL_LOGIN_DENIED);
  });
});

describe('nodemailer', () => {
  const transport = (mode: Mode, pass = 'pass') =>
    createTransport({
      host: front.ip,
      port: portOf(mode),
      name: 'client.test',
      secure: mode === 'implicit',
      ignoreTLS: mode === 'plain',
      requireTLS: mode === 'starttls',
      auth: { user: 'nodemailer', pass },
      tls: { ca: readFileSync(front.certificate.cert, 'utf8') },
    });

  test.each(modes)('%s: 5 MB', async (mode) => {
    const recipient = `nodemailer-${mode}@example.test`;
    const envelope = { from: 'nm@client.test', to: [recipient] };
    const sent = await transport(mode).sendMail({ envelope, raw: large.content });
    expect(sent.accepted).toEqual([recipient]);
    await expectRelayed(recipient, 'nm@client.test', largeText);
  });

  test('a wrong password stays one', async () => {
    await expect(transport('plain', 'wrong').verify()).rejects.toMatchObject({
      code: 'EAUTH',
      responseCode: 535,
      response: '535 5.7.8 Authentication failed.',
    });
  });
});

describe('swaks', () => {
  const run = async (mode: Mode, password: string, ...further: string[]) => {
    const tls = { plain: [], starttls: ['-tls'], implicit: ['-tlsc'] }[mode];
    return await runProgram(await requireProgram('swaks', ['swaks', 'libnet-ssleay-perl']), [
      ...['--server', front.ip, '--port', `${portOf(mode)}`, '--helo', 'client.test', ...tls],
      ...['--from', 'swaks@client.test', '--auth-user', 'swaks', '--auth-password', password],
      ...['--header', 'Subject: hello', '--body', 'hello', ...further],
    ]);
  };

  test.each(modes)('%s', async (mode) => {
    const recipient = `swaks-${mode}@example.test`;
    const { code, stdout } = await run(mode, 'pass', '--to', recipient, '--auth', 'PLAIN');
    expect(code, stdout).toBe(0);
    const message = await front.relay.messageTo(recipient);
    expect(message.content).toContain('\r\nhello\r\n');
  });

  test('pipelining', async () => {
    const recipient = 'swaks-piped@example.test';
    const { code, stdout } = await run('plain', 'pass', '--to', recipient, '--pipeline');
    expect(code, stdout).toBe(0);
    expect((await front.relay.messageTo(recipient)).from).toBe('swaks@client.test');
  });

  test('a wrong password stays one', async () => {
    const { code, stdout } = await run('starttls', 'wrong', '--to', 'x@example.test', '--auth');
    expect(code).toBe(SWAKS_AUTH_ERROR);
    expect(stdout).toContain('535 5.7.8 Authentication failed.');
  });
});

test('openssl s_client -starttls smtp', async () => {
  const address = `${front.ip}:${front.port()}`;
  const ca = ['-CAfile', front.certificate.cert, '-verify_return_error', '-quiet'];
  const said = await opensslClient(
    address,
    'EHLO client.test\\r\\nAUTH PLAIN AG9wZW5zc2wAcGFzcw==\\r\\nQUIT\\r\\n',
    ...['-starttls', 'smtp', ...ca],
  );
  expect(said).toContain('235 2.7.0 Logged in.');
  expect(said).toContain('221 2.0.0 Bye');
});

test('commands in the clear behind STARTTLS are never taken: the connection ends', async () => {
  const client = await RawClient.open(front.ip, front.port());
  await client.until(/ready\.\r\n/);
  client.send('STARTTLS\r\nEHLO client.test\r\nAUTH PLAIN AGluamVjdGVkAHBhc3M=\r\n');
  expect(await client.untilEnd()).toBe('220 2.0.0 Begin TLS negotiation now.\r\n');
  await front.director.waitForLog('the end', ({ msg }) => {
    return msg === 'input in the clear behind STARTTLS';
  });
  expect(front.director.log.filter(({ user }) => user === 'injected')).toEqual([]);
});

test('commands pipelined behind AUTH are answered by the backend, in order, once', async () => {
  const client = await RawClient.open(front.ip, front.port());
  await client.until(/^220 front\.test Postilion ready\.\r\n/);
  client.send(
    'EHLO client.test\r\nAUTH PLAIN AHBpcGVkAHBhc3M=\r\n' +
      'MAIL FROM:<piped@client.test>\r\nRCPT TO:<piped@example.test>\r\nDATA\r\n',
  );
  const replies = await client.until(/354 .*\r\n/);
  expect(replies.slice(replies.indexOf('235')).split('\r\n')).toEqual([
    '235 2.7.0 Logged in.',
    expect.stringMatching(/^250 2\./),
    expect.stringMatching(/^250 2\./),
    expect.stringMatching(/^354 /),
    '',
  ]);
  client.send(`${HELLO}.\r\nQUIT\r\n`);
  expect(await client.untilEnd()).toMatch(/^250 2\.0\.0 [^\r\n]*\r\n221 2\.0\.0 Bye\r\n$/);
  await expectRelayed('piped@example.test', 'piped@client.test', HELLO);
});

test('the backend knows the client and the session', async () => {
  const clientIp = labAddress(11);
  const client = await RawClient.open(front.ip, front.port(), clientIp);
  await client.until(/ready\.\r\n/);
  await client.ask('EHLO known.test\r\n', /250 [A-Z]+\r\n/);
  await client.ask('AUTH PLAIN AGtub3duAHBhc3M=\r\n', /235 .*\r\n/);
  const [session] = await front.watch.waitForSessions('known');
  expect(session).toMatchObject({ protocol: 'submission', clientIp });
  const line = await front.director.waitForLog('login', ({ msg, user }) => {
    return msg === 'login' && user === 'known';
  });
  expect(line).toMatchObject({ session: session.sessionId, protocol: 'submission' });
  client.send(
    `MAIL FROM:<known@client.test>\r\nRCPT TO:<known@example.test>\r\nDATA\r\n${HELLO}.\r\nQUIT\r\n`,
  );
  await client.untilEnd();
  const { content } = await front.relay.messageTo('known@example.test');
  // The name is the one of our last EHLO: Dovecot 2.3.19.1 does not make use of XCLIENT's here.
  expect(content.split('\r\n', 1)).toEqual([`Received: from front.test ([${clientIp}])`]);
});

test('a kick between two replies is announced by 421', async () => {
  const client = await RawClient.open(front.ip, front.port());
  await client.until(/ready\.\r\n/);
  await client.ask('AUTH PLAIN AGtpY2tlZABwYXNz\r\n', /235 .*\r\n/);
  const { code, stderr } = await front.director.directorCommand('kick', 'kicked');
  expect(code, stderr).toBe(0);
  expect(await client.untilEnd()).toBe('421 4.3.2 Kicked by admin\r\n');
});

test('IMAP and Submission sessions of a user meet on one backend', async () => {
  const imap = await RawClient.open(front.ip, front.director.imapPort);
  await imap.until(/ready\.\r\n/);
  await imap.ask('a LOGIN both pass\r\n', /a OK .*\r\n/);
  const smtp = await RawClient.open(front.ip, front.port());
  await smtp.until(/ready\.\r\n/);
  await smtp.ask('AUTH PLAIN AEJPVEgAcGFzcw==\r\n', /235 .*\r\n/);
  const sessions = await front.watch.waitForSessions('both', 2);
  expect(sessions.map(({ protocol }) => protocol).sort()).toEqual(['imap', 'submission']);
  expect(new Set(sessions.map(({ backend }) => backend)).size).toBe(1);
  imap.close();
  smtp.close();
});

test('no user was on two backends', async () => {
  await front.watch.waitUntilAllEnded();
  expect(front.watch.intervals().length).toBeGreaterThan(10);
  expect(front.watch.overlaps()).toEqual([]);
});
