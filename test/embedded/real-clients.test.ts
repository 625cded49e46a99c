import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';

const run = promisify(execFile);
const LIMITS = { timeout: 20_000, maxBuffer: 8 * 1024 * 1024, encoding: 'latin1' as const };
const BODY_BYTES = 1_000_000;

let backend: EmbeddedBackend;

beforeAll(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1', bodyBytes: BODY_BYTES });
});

afterAll(async () => {
  await backend.stop();
});

async function python(script: string, ...args: string[]): Promise<string> {
  return (await run('python3', ['-c', script, ...args], LIMITS)).stdout;
}

const IMAPLIB = `
import hashlib, imaplib, sys
m = imaplib.IMAP4('127.0.0.1', int(sys.argv[1]))
m.login('alice', 'pass')
print(m.select()[1][0].decode())
print(m.append('INBOX', None, None, b'Subject: hi\\r\\n\\r\\nbody\\r\\n')[0])
print(m.search(None, 'ALL')[1][0].decode())
print(m.list()[1][0].decode())
body = m.fetch('1', '(BODY[])')[1][0][1]
print(len(body), hashlib.sha256(body).hexdigest())
print(m.logout()[0])
try:
    imaplib.IMAP4('127.0.0.1', int(sys.argv[1])).login('alice', 'wrong')
except imaplib.IMAP4.error as error:
    print(error)
`;

test('imaplib: append, search, list, fetch, wrong password', async () => {
  const { sha256 } = backend.message;
  expect((await python(IMAPLIB, `${backend.imapPort}`)).split('\n')).toEqual([
    '1',
    'OK',
    '1 2',
    '(\\HasNoChildren) "/" INBOX',
    `${BODY_BYTES} ${sha256}`,
    'BYE',
    "b'[AUTHENTICATIONFAILED] Authentication failed.'",
    '',
  ]);
});

const POPLIB = `
import hashlib, poplib, sys
p = poplib.POP3('127.0.0.1', int(sys.argv[1]))
print(sorted(p.capa()))
p.user('bob')
p.pass_('pass')
print(p.stat())
body = b''.join(line + b'\\r\\n' for line in p.retr(1)[1])
print(len(body), hashlib.sha256(body).hexdigest())
print(p.quit())
`;

test('poplib: capa, stat, retr', async () => {
  const { sha256 } = backend.message;
  expect((await python(POPLIB, `${backend.pop3Port}`)).split('\n')).toEqual([
    "['AUTH-RESP-CODE', 'CAPA', 'PIPELINING', 'RESP-CODES', 'SASL', 'TOP', 'UIDL', 'USER']",
    `(1, ${BODY_BYTES})`,
    `${BODY_BYTES} ${sha256}`,
    "b'+OK Logging out.'",
    '',
  ]);
});

async function curl(...args: string[]): Promise<string> {
  return (await run('curl', ['--silent', '--show-error', ...args], LIMITS)).stdout;
}

test('curl lists and fetches over IMAP, retrieves over POP3', async () => {
  const imap = `imap://127.0.0.1:${backend.imapPort}/INBOX`;
  expect(await curl(imap, '-u', 'carol:pass')).toBe('* LIST (\\HasNoChildren) "/" INBOX\r\n');
  for (const url of [`${imap};MAILINDEX=1`, `pop3://127.0.0.1:${backend.pop3Port}/1`]) {
    const body = await curl(url, '-u', 'carol:pass');
    expect(createHash('sha256').update(body, 'latin1').digest('hex')).toBe(backend.message.sha256);
  }
  await expect(curl(imap, '-u', 'carol:wrong')).rejects.toThrow(/Login denied|67/);
});
