import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import type { ListedSession, SessionFilter } from '../../src/shared/messages.ts';
import { SESSIONS_PER_ANSWER } from '../../src/workers/session-list.ts';
import { eventually } from '../support/deadline.ts';
import { greeted, MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';

/** More than two answers of each worker: one to read, one ahead. */
const SESSIONS = 5 * SESSIONS_PER_ANSWER;
const USERS = 100;

let backends: EmbeddedBackend[];
let front: InProcessDirector;
let sessions: MailSession[];

beforeAll(async () => {
  backends = await startEmbeddedBackends(
    [1, 2].map((number) => ({ name: `e${number}`, host: labAddress(number) })),
  );
  front = await InProcessDirector.start({
    mailServers: backends.map(({ host }) => host),
    imapPort: backends[0].imapPort,
    pop3Port: backends[0].pop3Port,
    workers: 2,
    overrides: { login_trusted_networks: ['127.0.0.1'] },
  });
  sessions = [];
  for (let i = 0; i < SESSIONS; i += USERS) {
    const some = Array.from({ length: Math.min(USERS, SESSIONS - i) }, (_value, user) => {
      return MailSession.open(front.ports, user % 10 === 0 ? 'pop3' : 'imap', `user${user}`);
    });
    sessions.push(...(await Promise.all(some)));
  }
}, 60_000);

afterAll(async () => {
  for (const session of sessions) session.vanish();
  await front?.stop();
  await Promise.all(backends.map((backend) => backend.stop()));
});

async function list(filter: Partial<SessionFilter> = {}): Promise<ListedSession[]> {
  const found: ListedSession[] = [];
  const listed = front.director.sessions(filter);
  for await (const part of listed) {
    expect(part.length).toBeLessThanOrEqual(SESSIONS_PER_ANSWER);
    found.push(...part);
  }
  expect(listed.missingWorkers).toBe(0);
  return found;
}

function backendOf(user: string): string {
  const { status } = front.director.directory;
  return status.currentHost('', status.hashUser(user))!.ip;
}

test('every session is listed once, with what is known of it', async () => {
  const nowMs = Date.now();
  const found = await list();
  expect(found).toHaveLength(SESSIONS);
  expect(new Set(found.map(({ sessionId }) => sessionId)).size).toBe(SESSIONS);
  const ends = new Set(sessions.map(endOf));
  for (const session of found) {
    expect(session.client).toBe('127.0.0.1');
    expect(ends.delete(`${session.protocol} ${session.clientPort}`)).toBe(true);
    expect(session.backend).toBe(backendOf(session.user));
    expect(session.protocol).toBe(/0$/.test(session.user) ? 'pop3' : 'imap');
    expect(session.state).toBe('open');
    expect(session.sinceMs).toBeGreaterThan(nowMs - 60_000);
    expect(session.sinceMs).toBeLessThanOrEqual(nowMs);
  }
  // What the log of the login said.
  const logins = front.log().filter(({ msg }) => msg === 'login');
  const ids = new Set(logins.map((line) => line['session']));
  expect(found.every(({ sessionId }) => ids.has(sessionId))).toBe(true);
});

test('bytes grow with what goes through, in both directions', async () => {
  const session = sessions[1];
  const [before] = (await list({ user: session.user })).filter(isOf(session));
  await session.noop();
  const [after] = (await list({ user: session.user })).filter(isOf(session));
  expect(after.bytesFromClient - before.bytesFromClient).toBe('n NOOP\r\n'.length);
  expect(after.bytesFromBackend).toBeGreaterThan(before.bytesFromBackend);
});

/** A port may be used towards both listeners. */
function endOf({ protocol, client }: MailSession): string {
  return `${protocol} ${client.socket.localPort}`;
}

function isOf(session: MailSession): (listed: ListedSession) => boolean {
  return ({ protocol, clientPort }) => `${protocol} ${clientPort}` === endOf(session);
}

describe('filters', () => {
  const ofUser7 = (name: string): boolean => name === 'user7';

  test('by user and by hash', async () => {
    const count = sessions.filter(({ user }) => ofUser7(user)).length;
    const userHash = front.director.directory.status.hashUser('user7');
    for (const filter of [
      { user: 'user7' },
      { user: 'User7' },
      { userHash },
      { user: 'user7', userHash },
    ]) {
      const found = await list(filter);
      expect(found.map(({ user }) => user)).toEqual(Array(count).fill('user7'));
    }
    for (const user of ['user', '', 'user7\n', 'no spaces'])
      expect(await list({ user })).toEqual([]);
    expect(await list({ user: 'user8', userHash })).toEqual([]);
  });

  test('by backend', async () => {
    for (const { host } of backends) {
      const count = sessions.filter(({ user }) => backendOf(user) === host).length;
      expect(await list({ backend: host })).toHaveLength(count);
    }
    expect(await list({ backend: '10.255.255.1' })).toEqual([]);
    expect(await list({ user: 'user7', backend: backendOf('user7') })).not.toEqual([]);
  });

  test('by network of the client, also one that a trusted proxy names', async () => {
    expect(await list({ network: '127.0.0.0/8' })).toHaveLength(SESSIONS);
    expect(await list({ network: '192.0.2.0/24' })).toEqual([]);
    const client = await greeted(front.ports.host, front.ports.imapPort);
    const id = '("x-originating-ip" "192.0.2.77" "x-session-id" "theirs")';
    await client.ask(`i ID ${id}\r\n`, /^i OK.*\r\n/m);
    await client.ask('a LOGIN user7 pass\r\n', /^a OK.*\r\n/m);
    const found = await list({ network: '192.0.2.0/24' });
    expect(found.map(({ user, sessionId }) => [user, sessionId])).toEqual([['user7', 'theirs']]);
    client.close();
    await eventually('it is gone', 10_000, async () => {
      return (await list({ network: '192.0.2.0/24' })).length === 0;
    });
  });
});

test('sessions that wait for a backend, or for its answer, are listed as such', async () => {
  const { directory } = front.director;
  for (const { host } of backends) directory.setVhostCount(host, 0);
  const client = await greeted(front.ports.host, front.ports.imapPort);
  client.send('a LOGIN newcomer pass\r\n');
  const [found] = await eventually('it waits', 10_000, async () => {
    const waiting = await list({ user: 'newcomer' });
    return waiting.length > 0 ? waiting : null;
  });
  expect(found).toMatchObject({ state: 'waiting', backend: '', bytesFromBackend: 0 });
  client.close();
  await eventually('it is gone', 10_000, async () => {
    return (await list({ user: 'newcomer' })).length === 0;
  });
  for (const { host } of backends) directory.setVhostCount(host, 100);
});

test('who reads slowly, or no longer, holds up nobody', async () => {
  const listed = front.director.sessions();
  const parts = listed[Symbol.asyncIterator]();
  await parts.next();
  await sessions[1].noop();
  await parts.return?.();
  expect(await list()).toHaveLength(SESSIONS);
});

test('a worker that dies in the middle ends its part', async () => {
  const listed = front.director.sessions();
  let count = 0;
  for await (const part of listed) {
    if (count === 0) await front.director.killWorker(0);
    count += part.length;
  }
  expect(listed.missingWorkers).toBe(1);
  expect(count).toBeLessThan(SESSIONS);
  expect(count).toBeGreaterThanOrEqual(front.sessionCount());
  // It is replaced, and listed again.
  await front.waitForLogs('replaced', 1, ({ msg }) => msg === 'worker replaced');
  expect(await list()).toHaveLength(front.sessionCount());
});
