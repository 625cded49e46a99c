import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import type { DovecotBackend } from '../support/dovecot.ts';
import { LabDirector } from '../support/lab-director.ts';

/** Four tries with a second between them, and some room. */
const RETRIED_MIN_MS = 2500;

let front: LabDirector;

beforeAll(async () => {
  front = await LabDirector.start(3);
});

afterAll(async () => {
  await front?.stop();
});

async function openImap(): Promise<RawClient> {
  const client = await RawClient.open('127.0.0.1', front.director.imapPort);
  await client.until(/ready\.\r\n/);
  return client;
}

async function openPop3(): Promise<RawClient> {
  const client = await RawClient.open('127.0.0.1', front.director.pop3Port);
  await client.until(/ready\.\r\n/);
  return client;
}

async function imapSession(user: string): Promise<RawClient> {
  const client = await openImap();
  await client.ask(`a LOGIN ${user} pass\r\n`, /a OK .*\r\n/);
  return client;
}

/** Logs the user in and says where it came to be. */
async function backendOf(user: string): Promise<DovecotBackend> {
  const client = await imapSession(user);
  const sessions = await front.watch.waitForSessions(user);
  client.close();
  return front.lab.byName(sessions[0].backend);
}

/** A user of another backend than this one. */
async function userElsewhere(than: DovecotBackend, prefix: string): Promise<string> {
  for (let i = 0; i < 50; i++) {
    const user = `${prefix}${i}`;
    if ((await backendOf(user)) !== than) return user;
  }
  throw new Error(`50 users, all on ${than.name}`);
}

test('a backend that is down: [UNAVAILABLE] after the retries, and the client may try on', async () => {
  const backend = await backendOf('unlucky');
  const other = await userElsewhere(backend, 'lucky');
  await backend.stop();
  const imap = await openImap();
  const pop3 = await openPop3();
  const startMs = performance.now();
  const answers = Promise.all([
    imap.ask('a LOGIN unlucky pass\r\n', /^a .*\r\n/m),
    pop3.ask('USER unlucky\r\nPASS pass\r\n', /-ERR.*\r\n/),
  ]);
  // Nobody else waits for it.
  const elsewhere = await imapSession(other);
  expect(await elsewhere.ask('n NOOP\r\n', /n .*\r\n/)).toMatch(/n OK/);
  expect(performance.now() - startMs).toBeLessThan(RETRIED_MIN_MS);
  elsewhere.close();
  const [imapAnswer, pop3Answer] = await answers;
  expect(imapAnswer).toBe('a NO [UNAVAILABLE] Account is temporarily unavailable.\r\n');
  expect(pop3Answer).toMatch(/-ERR \[SYS\/TEMP\] Account is temporarily unavailable\.\r\n$/);
  expect(performance.now() - startMs).toBeGreaterThan(RETRIED_MIN_MS);

  await backend.start();
  // The same connections, the same backend.
  expect(await imap.ask('b LOGIN unlucky pass\r\n', /^b .*\r\n/m)).toMatch(/^b OK/);
  await pop3.ask('USER unlucky\r\n', /\+OK\r\n/);
  expect(await pop3.ask('PASS pass\r\n', /.*\r\n/)).toBe('+OK Logged in.\r\n');
  const sessions = await front.watch.waitForSessions('unlucky', 3);
  expect(new Set(sessions.map((session) => session.backend))).toEqual(new Set([backend.name]));
  imap.close();
  pop3.close();
});

test('a backend that dies in mid-session closes its clients and nobody else', async () => {
  const backend = await backendOf('orphan');
  const other = await userElsewhere(backend, 'calm');
  const orphan = await imapSession('orphan');
  const calm = await imapSession(other);
  await orphan.ask('s SELECT INBOX\r\n', /s OK/);
  await front.watch.waitForSessions('orphan', 2);
  await backend.kill();
  // Nothing may be said: it could land inside a literal.
  expect((await orphan.untilEnd()).replace(/^.*\r\n/, '')).toBe('');
  expect(await calm.ask('n NOOP\r\n', /n .*\r\n/)).toMatch(/n OK/);
  calm.close();
  await backend.start();
  const again = await imapSession('orphan');
  const sessions = await front.watch.waitForSessions('orphan', 3);
  expect(sessions[2].backend).toBe(backend.name);
  again.close();
});

test('a backend that comes up while a login retries is used', async () => {
  const backend = await backendOf('patient');
  await backend.stop();
  const client = await openImap();
  const answer = client.ask('a LOGIN patient pass\r\n', /^a .*\r\n/m);
  await backend.start();
  expect(await answer).toMatch(/^a OK/);
  client.close();
});

test('no user was on two backends', async () => {
  await front.watch.waitUntilAllEnded();
  expect(front.watch.overlaps()).toEqual([]);
  expect(front.director.isRunning).toBe(true);
});
