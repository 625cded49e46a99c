import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackends } from '../../src/embedded/backend.ts';
import { OverlapMonitor } from '../../src/embedded/overlap-monitor.ts';
import { KICK_TIMEOUT_MS } from '../../src/main/directory/worker-kicks.ts';
import { blockOneThread } from '../support/block-thread.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { MailSession } from '../support/director-sessions.ts';
import { labAddress } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';

// Why the promise holds: main waits for the acknowledgement of every worker. One that hangs does not give it;
// then its thread is ended, and only when that has happened, so that the kernel has closed its sockets, its
// missing acknowledgement is taken as given. Until then the user's word says `killing`, and nobody is let in.

const SESSIONS = 30;
const KICK_DELAY_MS = 1000;
/** The clock of main is made to go so much faster at every look: 20 seconds last two. */
const STEP_MS = 100;
const realNow = Date.now;

let backends: EmbeddedBackend[];
let monitor: OverlapMonitor;
let front: InProcessDirector;
let skewMs: number;

beforeEach(async () => {
  skewMs = 0;
  Date.now = () => realNow() + skewMs;
  backends = await startEmbeddedBackends(
    [1, 2].map((number) => ({ name: `e${number}`, host: labAddress(number) })),
  );
  monitor = new OverlapMonitor();
  for (const backend of backends) monitor.watch(backend);
  front = await InProcessDirector.start({
    mailServers: backends.map(({ host }) => host),
    imapPort: backends[0].imapPort,
    pop3Port: backends[0].pop3Port,
    workers: 2,
    director: { user_kick_delay: '1s' },
  });
});

afterEach(async () => {
  Date.now = realNow;
  await front.stop();
  await Promise.all(backends.map((backend) => backend.stop()));
});

function sessionsOn(backend: EmbeddedBackend): number {
  return backend.sessions().get('alice') ?? 0;
}

/** The user's sessions, on both workers; the backend they are on; the other one. */
async function openSessions(): Promise<[MailSession[], EmbeddedBackend, EmbeddedBackend]> {
  const opening = Array.from({ length: SESSIONS }, () => {
    return MailSession.open(front.ports, 'imap', 'alice');
  });
  const sessions = await Promise.all(opening);
  const [old, target] = [...backends].sort((a, b) => sessionsOn(b) - sessionsOn(a));
  expect([sessionsOn(old), sessionsOn(target)]).toEqual([SESSIONS, 0]);
  return [sessions, old, target];
}

function isHangLine({ msg }: { msg?: unknown }): boolean {
  return msg === 'worker does not answer; ending it';
}

/** A login at whichever worker takes the connection: the one that hangs answers nobody. */
async function login(): Promise<MailSession> {
  return await eventually('a login', 20_000, async () => {
    return await MailSession.open(front.ports, 'imap', 'alice').catch(() => null);
  });
}

test('a worker that hangs holds a move up until it is ended, and with it its sessions', async () => {
  const [sessions, old, target] = await openSessions();
  await blockOneThread();
  const { directory } = front.director;
  expect(directory.moveUser('alice', target.host)).toBe('moving');
  // The other worker obeys.
  const left = await eventually('the other worker has ended its sessions', 10_000, () => {
    const open = sessionsOn(old);
    return open < SESSIONS && front.director.counters().kicked === SESSIONS - open && open;
  });
  expect(left).toBeGreaterThan(0);
  // Neither user_kick_delay nor half of the time limit changes anything: nobody is let in.
  skewMs += KICK_DELAY_MS + KICK_TIMEOUT_MS / 2;
  const early = MailSession.open(front.ports, 'imap', 'alice').catch(() => null);
  await expect(withDeadline(early, KICK_DELAY_MS, 'login')).rejects.toThrow('no login');
  expect(directory.counts().kills).toBe(1);
  expect([sessionsOn(old), sessionsOn(target), front.log().filter(isHangLine)]).toEqual([
    left,
    0,
    [],
  ]);
  await eventually('the worker is ended', 20_000, () => {
    skewMs += STEP_MS;
    return front.log().some(isHangLine);
  });
  await eventually('its sessions have ended', 10_000, () => sessionsOn(old) === 0);
  expect(sessions.every(({ isClosed }) => isClosed)).toBe(true);
  const next = await login();
  // The early one is among them, unless the worker that hung had it.
  const logins = [await early, next].filter((session) => session !== null);
  expect([sessionsOn(old), sessionsOn(target)]).toEqual([0, logins.length]);
  expect(monitor.violations).toEqual([]);
  await front.waitForLogs('replaced', 1, ({ msg }) => msg === 'worker replaced');
  expect(front.log().filter(isHangLine)).toHaveLength(1);
  for (const session of logins) session.vanish();
}, 60_000);
