import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, opensslClient } from '../support/certificates.ts';
import { DovecotLab } from '../support/dovecot.ts';
import { CURL_LOGIN_DENIED, curl, curlOutput, pythonClient } from '../support/mail-clients.ts';
import { TlsFront } from '../support/tls-front.ts';

/** TLS towards clients that we did not write, with real Dovecot behind. */

let lab: DovecotLab;
let front: TlsFront;

beforeAll(async () => {
  lab = await DovecotLab.start(2);
  front = await TlsFront.start(
    lab.backends.map(({ ip }) => ip),
    {
      ssl: async (folder) => ({
        alternatives: [
          await makeCertificate(folder, 'other.test', { names: 'DNS:other.test,DNS:*.wild.test' }),
        ],
      }),
    },
  );
});

afterAll(async () => {
  await front?.stop();
  await lab?.stop();
});

function imaps(): string {
  return `${front.ip}:${front.port('imap', 'implicit')}`;
}

test('imaplib and poplib: STARTTLS and TLS from the first byte, with the certificate verified', async () => {
  const seen = await pythonClient(
    'tls_logins.py',
    front.ip,
    front.port('imap', 'starttls'),
    front.port('imap', 'implicit'),
    front.port('pop3', 'starttls'),
    front.port('pop3', 'implicit'),
    front.files.cert,
    'pythonista',
  );
  expect(seen).toEqual({
    plain: expect.stringContaining('[PRIVACYREQUIRED]'),
    imap: { login: 'OK', select: '0', starttls: false },
    imaps: { login: 'OK', select: '0', starttls: false },
    pop3: { messages: 0, stls: false },
    pop3s: { messages: 0, stls: false },
  });
});

test('curl: imap and pop3 with --ssl-reqd, imaps, pop3s; a wrong password stays one', async () => {
  const ca = ['--cacert', front.files.cert];
  const starttls = (protocol: 'imap' | 'pop3'): string =>
    `${protocol}://${front.ip}:${front.port(protocol, 'starttls')}/`;
  const inbox = '* LIST (\\HasNoChildren) "/" INBOX\r\n';
  expect(await curlOutput('curl', starttls('imap'), '--ssl-reqd', ...ca)).toBe(inbox);
  expect(await curlOutput('curl', `imaps://${imaps()}/`, ...ca)).toBe(inbox);
  expect(await curlOutput('curl', starttls('pop3'), '--ssl-reqd', ...ca)).toBe('\r\n');
  const pop3s = `pop3s://${front.ip}:${front.port('pop3', 'implicit')}/`;
  expect(await curlOutput('curl', pop3s, ...ca)).toBe('\r\n');
  const { code } = await curl('curl', 'wrong', `imaps://${imaps()}/`, ...ca);
  expect(code).toBe(CURL_LOGIN_DENIED);
});

test('imapflow over TLS', async () => {
  const client = new ImapFlow({
    host: front.ip,
    port: front.port('imap', 'implicit'),
    secure: true,
    auth: { user: 'flow', pass: 'pass' },
    tls: { ca: readFileSync(front.files.cert, 'utf8') },
    logger: false,
  });
  await client.connect();
  expect(await client.status('INBOX', { messages: true })).toMatchObject({ messages: 0 });
  await client.logout();
});

describe('what openssl is given', () => {
  test.each([
    ['-tls1', 'TLSv1'],
    ['-tls1_1', 'TLSv1.1'],
  ])('nothing older than TLS 1.2: %s', async (version) => {
    // At level 0 openssl is willing, so that it is we who refuse.
    const output = await opensslClient(imaps(), '', version, '-cipher', 'ALL:@SECLEVEL=0');
    expect(output).toMatch(/alert protocol version|unsupported protocol|no protocols available/);
    expect(output).not.toContain('* OK');
  });

  test.each([
    ['-tls1_2', 'TLSv1.2'],
    ['-tls1_3', 'TLSv1.3'],
  ])('%s', async (version, name) => {
    const output = await opensslClient(imaps(), 'a LOGOUT\\r\\n', version);
    expect(output).toContain(`New, ${name}, Cipher is`);
    expect(output).toContain('a OK Logout completed.');
  });

  test.each(['3DES', 'RC4', 'NULL', 'EXPORT', 'aNULL'])('no cipher of %s', async (cipher) => {
    const args = ['-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`];
    const output = await opensslClient(imaps(), '', ...args);
    expect(output).not.toContain('* OK');
  });

  test.each([
    ['front.test', 'front.test'],
    ['other.test', 'other.test'],
    ['a.wild.test', 'other.test'],
    ['A.WILD.test', 'other.test'],
    ['b.a.wild.test', 'front.test'],
    ['nobody.test', 'front.test'],
  ])('who asks for %s gets the certificate of %s', async (asked, given) => {
    const output = await opensslClient(imaps(), 'a LOGOUT\\r\\n', '-servername', asked);
    expect(output).toContain(`subject=CN = ${given}\n`);
  });

  test.each(['imap', 'pop3'] as const)('-starttls %s', async (protocol) => {
    const address = `${front.ip}:${front.port(protocol, 'starttls')}`;
    const quit = protocol === 'imap' ? 'a LOGOUT\\r\\n' : 'QUIT\\r\\n';
    const output = await opensslClient(address, quit, '-starttls', protocol, '-servername', 'x');
    expect(output).toContain('subject=CN = front.test');
    expect(output).toContain(protocol === 'imap' ? 'a OK Logout completed.' : '+OK Logging out');
  });

  test('a session of one worker is taken up again by every other one', async () => {
    const file = join(front.folder, 'session');
    await opensslClient(imaps(), 'a LOGOUT\\r\\n', '-sess_out', file);
    const workers = new Set<unknown>();
    for (let i = 0; i < 40 && workers.size < 2; i++) {
      const user = `ticket${i}`;
      const dialogue = `a LOGIN ${user} pass\\r\\nb LOGOUT\\r\\n`;
      const output = await opensslClient(imaps(), dialogue, '-sess_in', file);
      expect(output).toContain('Reused, TLSv1.3');
      const line = await front.director.waitForLog(user, (entry) => {
        return entry['msg'] === 'login' && entry['user'] === user;
      });
      workers.add(line['worker']);
    }
    expect(workers.size).toBe(2);
  });
});
