import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import { OverlapMonitor } from '../../src/embedded/overlap-monitor.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';
import type { LogLine } from '../support/postilion.ts';

const WORKERS = 2;
const USERS = 40;

let backends: EmbeddedBackend[];
let monitor: OverlapMonitor;
let front: InProcessDirector | undefined;

beforeEach(async () => {
  backends = await startEmbeddedBackends(
    [1, 2].map((number) => ({ name: `e${number}`, host: labAddress(number) })),
  );
  monitor = new OverlapMonitor();
  for (const backend of backends) monitor.watch(backend);
});

afterEach(async () => {
  await front?.stop();
  front = undefined;
  await Promise.all(backends.map((backend) => backend.stop()));
});

async function startFront(
  overrides: Record<string, unknown> = {},
  workers = WORKERS,
): Promise<InProcessDirector> {
  front = await InProcessDirector.start({
    mailServers: backends.map((backend) => backend.host),
    imapPort: backends[0].imapPort,
    pop3Port: backends[0].pop3Port,
    workers,
    director: { user_kick_delay: '1s' },
    overrides,
  });
  return front;
}

/** Sessions of users user0, user1, …, spread over the workers by the kernel. */
async function openSessions(at: InProcessDirector, users: number): Promise<MailSession[]> {
  const names = Array.from({ length: users }, (_value, i) => `user${i}`);
  return await Promise.all(names.map((name) => MailSession.open(at.ports, 'imap', name)));
}

function hostOf(at: InProcessDirector, user: string): string | undefined {
  const { directory } = at.director;
  return directory.status.currentHost('', directory.status.hashUser(user))?.ip;
}

function otherBackend(ip: string | undefined): EmbeddedBackend {
  return backends.find((backend) => backend.host !== ip)!;
}

describe('a worker that ends', () => {
  test('takes only its own sessions with it, and is replaced', async () => {
    const director = await startFront();
    const sessions = await openSessions(director, USERS);
    expect(director.sessionCount()).toBe(USERS);
    await director.director.killWorker(0);
    const left = director.sessionCount();
    expect(left).toBeLessThan(USERS);
    expect(left).toBeGreaterThan(0);
    await eventually('its clients are cut', 10_000, () => {
      return sessions.filter((session) => !session.isClosed).length === left;
    });
    await Promise.all(
      sessions.filter((session) => !session.isClosed).map((session) => session.noop()),
    );
    // While one is missing, and when it is back.
    const more = await openSessions(director, USERS);
    await director.waitForLogs('worker replaced', 1, (line) => line['msg'] === 'worker replaced');
    more.push(...(await openSessions(director, USERS)));
    expect(director.sessionCount()).toBe(left + 2 * USERS);
    expect(monitor.violations).toEqual([]);
    expect(director.director.directory.counts().users).toBe(USERS);
    for (const session of [...sessions, ...more]) session.vanish();
    await eventually('no session is counted', 10_000, () => director.sessionCount() === 0);
  }, 60_000);

  test('in the middle of a move lets the move go on, after the delay', async () => {
    const director = await startFront({}, 1);
    const session = await MailSession.open(director.ports, 'imap', 'user0');
    const target = otherBackend(hostOf(director, 'user0'));
    expect(director.director.directory.moveUser('user0', target.host)).toBe('moving');
    // Most likely before it has answered the kick; right in either case.
    await director.director.killWorker(0);
    await withDeadline(session.closed, 10_000, 'end of the session');
    await director.waitForLogs('replaced', 1, (line) => line['msg'] === 'worker replaced');
    const again = await MailSession.open(director.ports, 'imap', 'user0');
    expect(hostOf(director, 'user0')).toBe(target.host);
    expect(target.sessions().get('user0')).toBe(1);
    expect(monitor.violations).toEqual([]);
    again.vanish();
  }, 60_000);

  test('again and again is started again and again', async () => {
    const director = await startFront();
    for (let round = 1; round <= 4; round++) {
      await director.director.killWorker(round % WORKERS);
      await director.waitForLogs('replaced', round, (line) => line['msg'] === 'worker replaced');
    }
    const sessions = await openSessions(director, USERS);
    expect(director.sessionCount()).toBe(USERS);
    await eventually('all are counted', 10_000, () => {
      return director.director.counters().loginsOk === USERS;
    });
    for (const session of sessions) session.vanish();
  }, 60_000);

  test('and cannot listen when it is to come back is tried again until it can', async () => {
    const director = await startFront({}, 1);
    const port = director.ports.pop3Port;
    // Its first service it gets, its second is taken: nothing of it may stay alive.
    const occupant = await occupyAfterKill(director, port);
    const isFailure = (line: LogLine): boolean => /EADDRINUSE/.test(String(line['error']));
    await director.waitForLogs('a start failed', 3, isFailure, 20_000);
    expect(director.director.counters().accepted).toBe(0);
    await new Promise((resolve) => occupant.close(resolve));
    await director.waitForLogs('replaced', 1, (line) => line['msg'] === 'worker replaced', 20_000);
    const session = await MailSession.open(director.ports, 'pop3', 'user0');
    await session.logout();
  }, 60_000);
});

/** Takes the port in the moment in which its only worker is gone. */
async function occupyAfterKill(director: InProcessDirector, port: number): Promise<Server> {
  return await eventually('the port is taken', 20_000, async () => {
    await director.director.killWorker(0);
    const occupant = createServer();
    occupant.listen({ host: '127.0.0.1', port });
    const isListening = await once(occupant, 'listening').then(
      () => true,
      () => false,
    );
    return isListening ? occupant : null;
  });
}

describe('a move', () => {
  test('of a user with sessions on every worker ends them all before the next login', async () => {
    const director = await startFront();
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => MailSession.open(director.ports, 'imap', 'user0')),
    );
    const target = otherBackend(hostOf(director, 'user0'));
    const old = backends.find((backend) => backend !== target)!;
    expect(old.sessions().get('user0')).toBe(20);
    expect(director.director.directory.moveUser('user0', target.host)).toBe('moving');
    const started = performance.now();
    const next = MailSession.open(director.ports, 'imap', 'user0');
    await withDeadline(Promise.all(sessions.map(({ closed }) => closed)), 10_000, 'all ends');
    await next;
    expect(performance.now() - started).toBeGreaterThan(1000);
    expect(old.sessions().get('user0')).toBeUndefined();
    expect(target.sessions().get('user0')).toBe(1);
    expect(monitor.violations).toEqual([]);
    await eventually('all are counted', 10_000, () => director.director.counters().kicked === 20);
    (await next).vanish();
  }, 60_000);

  test('right behind a logout waits for the delay too: the backend may not have noticed', async () => {
    const director = await startFront();
    const session = await MailSession.open(director.ports, 'imap', 'user0');
    const target = otherBackend(hostOf(director, 'user0'));
    await session.logout();
    await eventually('the session has left', 10_000, () => director.sessionCount() === 0);
    expect(director.director.directory.moveUser('user0', target.host)).toBe('moving');
    const again = await MailSession.open(director.ports, 'imap', 'user0');
    expect(target.sessions().get('user0')).toBe(1);
    again.vanish();
  }, 60_000);
});

describe('a start', () => {
  let occupant: Server;

  beforeEach(async () => {
    occupant = createServer();
  });

  afterEach(async () => {
    if (occupant.listening) await new Promise((resolve) => occupant.close(resolve));
  });

  async function startAt(listen: string): Promise<unknown> {
    return await startFront({ services: [{ protocol: 'imap', listen }] });
  }

  test.each([false, true])(
    'on a port that is taken fails (shared by its owner: %s)',
    async (reusePort) => {
      occupant.listen({ host: '127.0.0.1', port: 0, reusePort });
      await once(occupant, 'listening');
      const { port } = occupant.address() as AddressInfo;
      await expect(startAt(`127.0.0.1:${port}`)).rejects.toThrow(
        `listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
      );
      // Nothing of it is left: the port can be had as soon as it is free.
      await new Promise((resolve) => occupant.close(resolve));
      await startAt(`127.0.0.1:${port}`).catch((error: Error) => {
        // InProcessDirector wants POP3 as well; the workers were up by then.
        expect(error.message).toBe('not listening for pop3');
      });
    },
    60_000,
  );

  test('on an address that is not ours fails', async () => {
    const started = performance.now();
    await expect(startAt('192.0.2.1:0')).rejects.toThrow('EADDRNOTAVAIL');
    // Not by the deadline of a stop: the thread that failed is ended.
    expect(performance.now() - started).toBeLessThan(4000);
  }, 60_000);
});
