import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import { OverlapMonitor } from '../../src/embedded/overlap-monitor.ts';
import { eventually } from '../support/deadline.ts';
import { MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';
import type { LogLine } from '../support/postilion.ts';
import { Turnstile } from '../support/turnstile.ts';

const WORKERS = 3;
const USERS = 250;
const SESSIONS = 2 * USERS;
const DEADLINE_MS = 20_000;
/** Of the worker with index 0, which is started first. */
const VICTIM = 1;

let backends: EmbeddedBackend[];
let front: InProcessDirector;
const monitor = new OverlapMonitor();
const gate = new Turnstile(50);

beforeAll(async () => {
  backends = await startEmbeddedBackends(
    [1, 2, 3].map((number) => ({ name: `e${number}`, host: labAddress(number) })),
  );
  for (const backend of backends) monitor.watch(backend);
  front = await InProcessDirector.start({
    mailServers: backends.map((backend) => backend.host),
    imapPort: backends[0].imapPort,
    pop3Port: backends[0].pop3Port,
    workers: WORKERS,
  });
});

afterAll(async () => {
  await front?.stop();
  await Promise.all((backends ?? []).map((backend) => backend.stop()));
});

const isLogin = (line: LogLine): boolean => line['msg'] === 'login';

async function openAll(): Promise<MailSession[]> {
  const opening: Promise<MailSession>[] = [];
  for (let user = 0; user < USERS; user++) {
    for (const protocol of ['imap', 'pop3'] as const) {
      opening.push(gate.pass(() => MailSession.open(front.ports, protocol, `user${user}`)));
    }
  }
  return await Promise.all(opening);
}

test('a worker dies with 500 sessions open: only its own end, and nothing leaks', async () => {
  const sessions = await openAll();
  const logins = await front.waitForLogs('login', SESSIONS, isLogin);
  expect(front.sessionCount()).toBe(SESSIONS);
  const workerOf = new Map(logins.map((line) => [line['client'], line['worker']]));
  const { address: host } = sessions[0].client.socket.address() as { address: string };
  const isOnVictim = (session: MailSession): boolean => {
    const worker = workerOf.get(`${host}:${session.client.socket.localPort}`);
    expect(worker).toBeGreaterThan(0);
    return worker === VICTIM;
  };
  const victims = sessions.filter(isOnVictim);
  const survivors = sessions.filter((session) => !victims.includes(session));
  // The kernel spreads connections over the workers.
  expect(victims.length).toBeGreaterThan(SESSIONS / WORKERS / 4);
  expect(survivors.length).toBeGreaterThan(SESSIONS / WORKERS / 4);

  await front.director.killWorker(0);

  // At once, with one worker missing.
  const early = await Promise.all(
    Array.from({ length: 20 }, (_value, i) => {
      return MailSession.open(front.ports, i % 2 === 0 ? 'imap' : 'pop3', `user${i}`);
    }),
  );
  await Promise.all(survivors.map((session) => session.noop()));
  await Promise.all(victims.map((session) => session.client.untilEnd()));
  expect(survivors.filter((session) => session.isClosed)).toEqual([]);
  await eventually('counts of the dead worker are taken back', DEADLINE_MS, () => {
    return front.sessionCount() === survivors.length + early.length;
  });

  // The victims come back; the worker that was started instead takes its share.
  await front.waitForLogs('worker replaced', 1, (line) => line['msg'] === 'worker replaced');
  const returned = await Promise.all(
    victims.map((session) => {
      return gate.pass(() => MailSession.open(front.ports, session.protocol, session.user));
    }),
  );
  const isNewWorker = (line: LogLine): boolean => isLogin(line) && Number(line['worker']) > WORKERS;
  await front.waitForLogs('login on the new worker', 1, isNewWorker);
  expect(monitor.violationCount).toBe(0);

  await Promise.all([...survivors, ...early, ...returned].map((session) => session.logout()));
  await eventually('no session is counted', DEADLINE_MS, () => {
    return front.director.sessionCounts().every(({ sessions: count }) => count === 0);
  });
  await eventually('no session is open', DEADLINE_MS, () => monitor.openSessions === 0);
  expect(monitor.loginCount).toBe(SESSIONS + early.length + returned.length);
}, 60_000);
