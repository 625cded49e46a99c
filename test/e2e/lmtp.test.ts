import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackendWatch } from '../support/backend-watch.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { eventually } from '../support/deadline.ts';
import { MailSession } from '../support/director-sessions.ts';
import type { DovecotLab } from '../support/dovecot.ts';
import {
  copiesOf,
  inbox,
  LmtpClient,
  lmtpPortOf,
  startLmtpLab,
  startLmtpPostilion,
} from '../support/lmtp-lab.ts';
import { pythonClient } from '../support/mail-clients.ts';
import type { PostilionProcess } from '../support/postilion.ts';
import { requireProgram } from '../support/require-program.ts';
import { outputOf, runProgram } from '../support/run-program.ts';

/**
 * Through `postilion serve` to real dovecot-lmtpd. What counts is in the Maildirs: every accepted recipient's
 * message once, and all of a user's mail and sessions on one backend.
 */

const MESSAGE = 'Subject: hi\r\nFrom: <s@x.test>\r\n\r\nbody\r\n..dot\r\n';
const BACKENDS = 3;

let scratch: string;
let certificate: CertificateFiles;
let lab: DovecotLab;
let postilion: PostilionProcess;
let port: number;
let socketPath: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-lmtp-'));
  certificate = await makeCertificate(scratch, 'front.test');
  lab = await startLmtpLab(BACKENDS);
  socketPath = join(scratch, 'lmtp');
  const listen = '127.0.0.1:0';
  // Left by a process that died.
  const bind = 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])';
  await outputOf(await requireProgram('python3', ['python3']), ['-c', bind, socketPath]);
  postilion = await startLmtpPostilion({
    mailServers: lab.backends.map(({ ip }) => ip),
    services: [
      { protocol: 'imap', listen },
      { protocol: 'lmtp', listen },
      { protocol: 'lmtp', listen: `unix:${socketPath}` },
    ],
    overrides: { ssl: certificate, login_trusted_networks: ['127.0.0.77'] },
  });
  port = lmtpPortOf(postilion);
}, 60_000);

afterAll(async () => {
  await postilion?.stop();
  await lab?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

function users(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}@example.test`);
}

/** Where each one's mail is; every one must have exactly one. */
function backendsOf(recipients: readonly string[]): string[] {
  return recipients.map((user) => {
    const copies = copiesOf(lab, user);
    expect([user, copies.length]).toEqual([user, 1]);
    return copies[0];
  });
}

/** Nobody has a session under this name any more. */
async function gone(user: string): Promise<void> {
  await eventually(`no session of ${user}`, 10_000, async () => {
    const { stdout } = await postilion.directorCommand('who', '-f', 'json');
    return !stdout.includes(user);
  });
}

describe('one message', () => {
  test('for one recipient: what arrives is what was sent, behind a Received header of ours', async () => {
    const client = await LmtpClient.open(port);
    expect(await client.envelope('s@x.test', 'alice@example.test')).toEqual(['250 2.1.5 OK']);
    const [reply] = await client.data(MESSAGE, 1);
    expect(reply).toMatch(/^250 2\.0\.0 <alice@example\.test> \S+ Saved$/);
    expect(await client.command('QUIT')).toBe('221 2.0.0 Bye');
    await client.closed();
    const [backend] = backendsOf(['alice@example.test']);
    const [mail] = inbox(lab.byName(backend), 'alice@example.test');
    expect(mail.replaceAll('\r', '')).toMatch(
      /\nReceived: from mta\.test \(\[127\.0\.0\.1\]\)\n\tby proxy\.test with LMTP\n\tid \S+\n\t\(envelope-from <s@x\.test>\)\n\tfor <alice@example\.test>; .* \+0000\nSubject: hi\nFrom: <s@x\.test>\n\nbody\n\.dot\n$/,
    );
  });

  test('for 30 recipients on three backends: once each, replies in order', async () => {
    const recipients = users('many', 30);
    const client = await LmtpClient.open(port);
    // Everything in one piece.
    const rcpts = recipients.map((path) => `RCPT TO:<${path}>\r\n`).join('');
    client.send(`MAIL FROM:<s@x.test>\r\n${rcpts}DATA\r\n`);
    const replies = await client.replies(recipients.length + 2);
    expect(replies).toEqual(['250 2.1.0 OK', ...recipients.map(() => '250 2.1.5 OK'), '354 OK']);
    client.send(`${MESSAGE}.\r\n`);
    const finals = await client.replies(recipients.length);
    expect(finals.map((text) => /<(.*)>/.exec(text)?.[1])).toEqual(recipients);
    expect(finals.every((text) => text.startsWith('250 2.0.0 '))).toBe(true);
    client.close();
    expect(new Set(backendsOf(recipients)).size).toBe(BACKENDS);
  });

  test('by BDAT in chunks, 8BITMIME', async () => {
    const recipients = users('chunks', 4);
    const client = await LmtpClient.open(port);
    await client.command('MAIL FROM:<s@x.test> BODY=8BITMIME');
    for (const path of recipients) await client.command(`RCPT TO:<${path}>`);
    client.send('BDAT 14\r\nSubject: b\r\n\r\n');
    expect(await client.replies(1)).toEqual(['250 2.0.0 Added 14 octets']);
    client.send('BDAT 9 LAST\r\n.\r\nb\xf6dy\r\n');
    expect(await client.replies(4)).toHaveLength(4);
    client.close();
    const names = backendsOf(recipients);
    const [mail] = inbox(lab.byName(names[0]), recipients[0]);
    expect(mail.replaceAll('\r', '')).toMatch(/\n\n\.\nb\xf6dy\n$/);
  });

  test('for a recipient with detail and another spelling: the same user, the same backend', async () => {
    const client = await LmtpClient.open(port);
    const spellings = [
      'Detail@example.test',
      'detail+Folder@example.test',
      '"DETAIL"@Example.Test',
    ];
    expect(await client.envelope('s@x.test', ...spellings)).toEqual(
      spellings.map(() => '250 2.1.5 OK'),
    );
    const finals = await client.data(MESSAGE, 3);
    expect(finals.map((text) => /<(.*)>/.exec(text)?.[1])).toEqual([
      'Detail@example.test',
      'detail+Folder@example.test',
      'DETAIL@Example.Test',
    ]);
    client.close();
    const copies = copiesOf(lab, 'detail@example.test');
    expect(copies).toHaveLength(3);
    expect(new Set(copies).size).toBe(1);
  });

  test('broken off by the MTA delivers nothing', async () => {
    const recipients = users('broken', 3);
    const client = await LmtpClient.open(port);
    await client.envelope('s@x.test', ...recipients);
    await client.command('DATA');
    client.send(MESSAGE.repeat(20_000));
    client.close();
    await gone('broken0@example.test');
    const next = await LmtpClient.open(port);
    await next.envelope('s@x.test', ...recipients);
    await next.data(MESSAGE, 3);
    next.close();
    backendsOf(recipients);
  });
});

test('smtplib.LMTP, plain: several recipients and one that cannot be', async () => {
  const recipients = users('smtplib', 5);
  const bad = 'not!possible@example.test';
  const seen = await pythonClient('lmtp_tour.py', '127.0.0.1', port, 'plain', ...recipients, bad);
  expect(seen['features']).toEqual([
    ...['8bitmime', 'chunking', 'enhancedstatuscodes', 'pipelining', 'starttls'],
  ]);
  const text = `5.1.1 <${bad}> User doesn't exist: ${bad}`;
  expect(seen['refused']).toEqual({ [bad]: [550, text] });
  expect(seen['codes']).toEqual([250, 250, 250, 250, 250]);
  backendsOf(recipients);
});

test('smtplib.LMTP, STARTTLS with verification: the header says so', async () => {
  const recipients = users('secured', 3);
  const mode = `starttls:${certificate.cert}`;
  const seen = await pythonClient('lmtp_tour.py', '127.0.0.1', port, mode, ...recipients);
  expect(seen['offered']).toContain('starttls');
  expect(seen['features']).not.toContain('starttls');
  expect(seen['refused']).toEqual({});
  const [backend] = backendsOf(recipients);
  const [mail] = inbox(lab.byName(backend), recipients[0]);
  expect(mail).toMatch(
    /\(using TLSv1\.3 with cipher \S+ \(256\/256 bits\)\)\s+by proxy\.test with LMTPS/,
  );
});

test('smtplib.LMTP, unix socket: everybody may, stale ones are removed', async () => {
  expect(statSync(socketPath).mode & 0o777).toBe(0o666);
  const recipients = users('unix', 4);
  const seen = await pythonClient('lmtp_tour.py', socketPath, 0, 'plain', ...recipients);
  expect(seen['refused']).toEqual({});
  const [backend] = backendsOf(recipients);
  const [mail] = inbox(lab.byName(backend), recipients[0]);
  expect(mail).toMatch(/Received: from mta\.test\s+by proxy\.test with LMTP\s/);
});

test.each([
  ['plain', () => []],
  ['STARTTLS', () => ['--tls']],
])('swaks --protocol LMTP, %s', async (name, options) => {
  const swaks = await requireProgram('swaks', ['swaks']);
  const recipients = users(`swaks${name.toLowerCase()}`, 3);
  const output = await outputOf(swaks, [
    ...['--protocol', 'LMTP', '--server', '127.0.0.1', '--port', `${port}`],
    ...['--helo', 'mta.test', '--from', 's@x.test', '--to', recipients.join(','), ...options()],
  ]);
  expect(output).toContain('Saved');
  backendsOf(recipients);
});

test('swaks, through the unix socket', async () => {
  const swaks = await requireProgram('swaks', ['swaks']);
  const recipients = users('swaksunix', 2);
  const result = await runProgram(swaks, [
    ...['--protocol', 'LMTP', '--socket', socketPath, '--helo', 'mta.test'],
    ...['--from', 's@x.test', '--to', recipients.join(',')],
  ]);
  expect([result.code, result.stderr]).toEqual([0, '']);
  backendsOf(recipients);
});

test('a trusted MTA tells who its client is, and the backend gets it', async () => {
  const client = new LmtpClient(connect({ host: '127.0.0.1', port, localAddress: '127.0.0.77' }));
  await client.replies(1);
  expect(await client.command('LHLO mta.test')).toContain('XCLIENT');
  const identity = 'ADDR=192.0.2.99 PORT=4711 HELO=far.test SESSION=theirs TTL=3';
  expect(await client.command(`XCLIENT ${identity}`)).toMatch(/^220 proxy\.test/);
  await client.command('LHLO mta.test');
  await client.envelope('s@x.test', 'xclient@example.test');
  expect((await client.data(MESSAGE, 1))[0]).toBe('250 2.0.0 <xclient@example.test> theirs Saved');
  client.close();
  const [backend] = backendsOf(['xclient@example.test']);
  const [mail] = inbox(lab.byName(backend), 'xclient@example.test');
  // The backend's own header: it believes us.
  expect(mail).toMatch(
    /Received: from proxy\.test \(\[192\.0\.2\.99\]\)|from far\.test \(\[192\.0\.2\.99\]\)/,
  );
});

test('one user at once over IMAP and LMTP is on one backend', async () => {
  const at = { host: '127.0.0.1', imapPort: postilion.imapPort, pop3Port: 0 };
  const names = users('both', 6);
  const sessions = [];
  for (const user of names.slice(0, 3)) sessions.push(await MailSession.open(at, 'imap', user));
  const client = await LmtpClient.open(port);
  await client.envelope('s@x.test', ...names);
  for (const user of names.slice(3)) sessions.push(await MailSession.open(at, 'imap', user));
  await client.data(MESSAGE, names.length);
  const watch = new BackendWatch(lab.backends);
  for (const user of names) {
    const [session] = await watch.waitForSessions(user);
    expect([user, copiesOf(lab, user)]).toEqual([user, [session.backend]]);
  }
  for (const session of sessions) await session.logout();
  client.close();
  expect(watch.overlaps()).toEqual([]);
});

test('who lists deliveries, and they are gone behind them', async () => {
  const client = await LmtpClient.open(port);
  await client.envelope('s@x.test', 'listed@example.test');
  const { stdout } = await postilion.directorCommand('who', '-f', 'json');
  const listed = (JSON.parse(stdout) as Record<string, string>[]).filter((row) => {
    return Object.values(row).includes('listed@example.test');
  });
  expect(listed).toHaveLength(1);
  expect(Object.values(listed[0])).toContain('lmtp');
  await client.data(MESSAGE, 1);
  await gone('listed@example.test');
  client.close();
});

test('a backend that is lost half-way fails its own recipients, and no other', async () => {
  const recipients = users('lost', 12);
  const client = await LmtpClient.open(port);
  await client.envelope('s@x.test', ...recipients);
  await lab.backends[2].kill();
  const finals = await client.data(MESSAGE, recipients.length);
  client.close();
  const failed = recipients.filter((_user, i) => !finals[i].startsWith('250 '));
  expect(finals.filter((text) => !text.startsWith('250 ')).join('\n')).toMatch(
    /^(451 4\.4\.0 Proxy failed \(connection lost, session=\S+\)\n?)+$/,
  );
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThan(recipients.length);
  for (const user of recipients) {
    const copies = copiesOf(lab, user);
    expect([user, copies.length]).toEqual([user, failed.includes(user) ? 0 : 1]);
  }
  // Known to be down: refused at RCPT, others go on.
  const next = await LmtpClient.open(port);
  const replies = await next.envelope('s@x.test', ...recipients);
  for (const [i, user] of recipients.entries()) {
    const expected = failed.includes(user) ? /^451 4\.4\.0 Proxy failed \(connect, / : /^250 /;
    expect(replies[i]).toMatch(expected);
  }
  next.close();
});
