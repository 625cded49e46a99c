import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { BackendWatch, findOverlaps, sessionsOf } from '../support/backend-watch.ts';
import { DovecotLab } from '../support/dovecot.ts';

let lab: DovecotLab;

beforeAll(async () => {
  lab = await DovecotLab.start(2);
});

afterAll(async () => {
  await lab.stop();
});

async function imapLogin(backend: number, user: string): Promise<RawClient> {
  const { ip, imapPort } = lab.backends[backend];
  const client = await RawClient.open(ip, imapPort);
  await client.until(/ready\.\r\n/);
  await client.ask(`a LOGIN ${user} pass\r\n`, /a OK .*\r\n/);
  return client;
}

async function pop3Login(backend: number, user: string): Promise<RawClient> {
  const { ip, pop3Port } = lab.backends[backend];
  const client = await RawClient.open(ip, pop3Port);
  await client.until(/ready\.\r\n/);
  await client.ask(`USER ${user}\r\n`, /\+OK.*\r\n/);
  await client.ask('PASS pass\r\n', /\+OK Logged in\.\r\n/);
  return client;
}

test('a user on two backends at once is found, over both protocols', async () => {
  const watch = new BackendWatch(lab.backends);
  const imap = await imapLogin(0, 'twice');
  const pop3 = await pop3Login(1, 'twice');
  await watch.waitForSessions('twice', 2);
  imap.close();
  pop3.close();
  await watch.waitUntilAllEnded();
  const overlaps = watch.overlaps().filter((overlap) => overlap.user === 'twice');
  expect(overlaps.map(({ first, second }) => [first.backend, second.backend])).toEqual([
    ['b1', 'b2'],
  ]);
  expect(overlaps[0].overlapUs).toBeGreaterThan(0);
});

test('one backend after the other, or several sessions on one, is no overlap', async () => {
  const watch = new BackendWatch(lab.backends);
  const sessions = [await imapLogin(0, 'once'), await pop3Login(0, 'once')];
  await watch.waitForSessions('once', 2);
  for (const session of sessions) session.close();
  await watch.waitUntilAllEnded();
  const later = await imapLogin(1, 'once');
  await later.ask('b LOGOUT\r\n', /b OK/);
  await watch.waitForSessions('once', 3);
  await watch.waitUntilAllEnded();
  expect(watch.overlaps().filter((overlap) => overlap.user === 'once')).toEqual([]);
});

test('sessions of a backend that is killed end with it', async () => {
  const watch = new BackendWatch(lab.backends);
  const client = await imapLogin(1, 'victim');
  await watch.waitForSessions('victim');
  await lab.backends[1].kill();
  await client.untilEnd();
  expect(watch.openSessions()).toEqual([]);
  await lab.backends[1].start();
  const again = await imapLogin(1, 'victim');
  again.close();
  await watch.waitForSessions('victim', 2);
  await watch.waitUntilAllEnded();
});

const LOGIN = (at: string, pid: number, id: string): string =>
  `${at} imap-login: Info: Login: user=<u>, method=PLAIN, rip=10.0.0.1, real_rip=127.0.0.1, ` +
  `lip=127.0.0.2, mpid=${pid}, session=<${id}>\n`;

test('an end that is logged before its login still ends the session', () => {
  const log =
    '1700000000.000005 imap(u)<7><s1>: Info: Disconnected: Logged out in=1 ended=<7/s1>\n' +
    `${LOGIN('1700000000.000009', 7, 's1')}${LOGIN('1700000001.000000', 8, 's2')}`;
  const sessions = sessionsOf('b1', log);
  expect(sessions.map(({ sessionId, startUs, endUs }) => ({ sessionId, startUs, endUs }))).toEqual([
    { sessionId: 's1', startUs: 1_700_000_000_000_009, endUs: 1_700_000_000_000_009 },
    { sessionId: 's2', startUs: 1_700_000_001_000_000, endUs: null },
  ]);
});

test('an overlap of one microsecond counts, touching ends do not', () => {
  const first = sessionsOf(
    'b1',
    `${LOGIN('1700000000.000000', 7, 's1')}1700000001.000000 imap: Info: Disconnected: Logged out in=1 ended=<7/s1>\n`,
  );
  const at = (stamp: string) => sessionsOf('b2', LOGIN(stamp, 9, 's9'));
  expect(findOverlaps([...first, ...at('1700000001.000000')])).toEqual([]);
  expect(findOverlaps([...first, ...at('1700000000.999999')])).toMatchObject([{ overlapUs: 1 }]);
});
