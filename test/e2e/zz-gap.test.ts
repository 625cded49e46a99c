import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningDirectory } from '../../src/main/directory/running-directory.ts';
import { BackendWatch } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { type MailPorts, MailSession } from '../support/director-sessions.ts';
import { DovecotLab, IMAP_PORT, POP3_PORT } from '../support/dovecot.ts';
import { InProcessDirector } from '../support/in-process-director.ts';
import { chooseSeed, seededRandom } from '../support/seeded-random.ts';
import { Turnstile } from '../support/turnstile.ts';

const USERS = 200;
const MAX_SESSIONS_PER_USER = 5;
const LOGINS = 1600;
/** Sessions that are kept open; beyond, every login ends an older one. */
const KEPT_OPEN = 400;
/** Logins that run at once; every one costs a Dovecot process. */
const PARALLEL_LOGINS = 60;
const MOVED_USERS = 25;
const TEST_DEADLINE_MS = 120_000;

const seed = chooseSeed();
const replay = `SEED=${seed} npx vitest run test/e2e/one-backend-per-user.test.ts`;

/** What is done to the directory when so many logins have succeeded. */
type Hook = readonly [atLogins: number, act: (directory: RunningDirectory) => void];

/**
 * 200 users, each with one to five clients. A client logs in and stays, until it is cut off or until
 * it is its turn to make room; then it logs in again, over the other protocol. No clock in it: every
 * step follows from a login.
 */
class Crowd {
  readonly #ports: MailPorts;
  readonly #random: () => number;
  readonly #gate = new Turnstile(PARALLEL_LOGINS);
  readonly #hooks: Hook[];
  readonly #directory: RunningDirectory;
  /** Of each session that stays: ends its stay. */
  readonly #staying: (() => void)[] = [];
  logins = 0;
  open = 0;
  peak = 0;
  /** Sessions, or logins, that were closed under their clients. */
  cut = 0;

  constructor(
    ports: MailPorts,
    directory: RunningDirectory,
    random: () => number,
    hooks: readonly Hook[],
  ) {
    this.#ports = ports;
    this.#directory = directory;
    this.#random = random;
    this.#hooks = [...hooks];
  }

  async run(): Promise<void> {
    const clients: Promise<void>[] = [];
    for (let user = 0; user < USERS; user++) {
      const count = 1 + Math.floor(this.#random() * MAX_SESSIONS_PER_USER);
      for (let i = 0; i < count; i++) clients.push(this.#client(`user${user}`, i));
    }
    await Promise.all(clients);
  }

  async #client(user: string, number: number): Promise<void> {
    for (let turn = number; this.logins < LOGINS; turn++) {
      const protocol = turn % 2 === 0 ? 'imap' : 'pop3';
      const session = await this.#gate.pass(() => this.#login(protocol, user));
      if (session !== null) await this.#stay(session);
    }
  }

  /** Null: cut while it was logging in. */
  async #login(protocol: 'imap' | 'pop3', user: string): Promise<MailSession | null> {
    let session: MailSession;
    try {
      session = await MailSession.open(this.#ports, protocol, user);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('closed before')) throw error;
      this.cut++;
      return null;
    }
    this.logins++;
    this.open++;
    this.peak = Math.max(this.peak, this.open);
    while (this.#hooks.length > 0 && this.#hooks[0][0] <= this.logins) {
      this.#hooks.shift()?.[1](this.#directory);
    }
    return session;
  }

  async #stay(session: MailSession): Promise<void> {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#staying.push(release);
    this.#makeRoom();
    await Promise.race([released, session.closed]);
    const index = this.#staying.indexOf(release);
    if (index >= 0) this.#staying.splice(index, 1);
    try {
      await session.noop();
      if (this.#random() < 0.3) session.vanish();
      else await session.logout();
    } catch (error) {
      if (!session.isClosed) throw error;
      this.cut++;
      session.vanish();
    } finally {
      this.open--;
      this.#makeRoom();
    }
  }

  /** Sends home whom chance picks, and at the end everybody. */
  #makeRoom(): void {
    const kept = this.logins < LOGINS ? KEPT_OPEN : 0;
    while (this.#staying.length > kept) {
      const index = Math.floor(this.#random() * this.#staying.length);
      this.#staying.splice(index, 1)[0]();
    }
  }
}

let lab: DovecotLab;

beforeAll(async () => {
  lab = await DovecotLab.start(3);
});

afterAll(async () => {
  await lab?.stop();
});

describe.each([2, 4])('%i workers', (workers) => {
  let front: InProcessDirector;

  beforeAll(async () => {
    front = await InProcessDirector.start({
      mailServers: [lab.backends[0].ip, lab.backends[1].ip],
      imapPort: IMAP_PORT,
      pop3Port: POP3_PORT,
      workers,
    });
  });

  afterAll(async () => {
    await front?.stop();
  });

  test(
    `every user is on one backend at a time, whatever happens to the backends (${replay})`,
    async () => {
      const random = seededRandom(seed + workers);
      const [b1, b2, b3] = lab.backends.map((backend) => backend.ip);
      const done: string[] = [];
      const step = (name: string, act: (directory: RunningDirectory) => boolean) => {
        return (directory: RunningDirectory): void => {
          if (act(directory)) done.push(name);
        };
      };
      const crowd = new Crowd(front.ports, front.director.directory, random, [
        [300, step('add b3', (directory) => directory.addHost(b3, 100))],
        [450, step('weight b1', (directory) => directory.setVhostCount(b1, 20))],
        [600, step('remove b2', (directory) => directory.removeHost(b2))],
        [800, step('add b2', (directory) => directory.addHost(b2, 50))],
        [900, step('move', (directory) => moveSome(directory, b2))],
        [1000, step('b3 down', (directory) => directory.setDown(b3, true))],
        [1050, step('remove b3', (directory) => directory.removeHost(b3))],
        [1200, step('add b3 again', (directory) => directory.addHost(b3, 200))],
        [1250, step('b1 down', (directory) => directory.setDown(b1, true))],
        [1300, step('b1 up', (directory) => directory.setDown(b1, false))],
        [1350, step('remove b1', (directory) => directory.removeHost(b1))],
        [1500, step('add b1', (directory) => directory.addHost(b1, 100))],
      ]);
      const watch = new BackendWatch(lab.backends);
      const before = watch.intervals().length;
      await crowd.run();
      await watch.waitUntilAllEnded();

      const sessions = watch.intervals().slice(before);
      expect(sessions.length).toBeGreaterThanOrEqual(crowd.logins);
      expect(watch.overlaps()).toEqual([]);
      { const gaps: number[] = []; for (const all of Map.groupBy(sessions, (s) => s.user).values()) { for (const s of all) { const before = all.filter((o) => o.backend !== s.backend && (o.endUs ?? 0) <= s.startUs).map((o) => s.startUs - (o.endUs ?? 0)); const between = all.some((o) => o.backend === s.backend && o.startUs < s.startUs && (o.startUs > s.startUs - Math.min(...before))); if (before.length > 0 && !between) gaps.push(Math.min(...before)); } } gaps.sort((a, b) => a - b); console.log('GAPS ms ' + gaps.length + ' ' + JSON.stringify(gaps.slice(0, 15).map((g) => Math.round(g / 1000)))); }
      expect(done).toHaveLength(12);
      expect(crowd.peak).toBeGreaterThan(KEPT_OPEN);
      expect(crowd.cut).toBeGreaterThan(USERS / 4);
      const backendsOf = Map.groupBy(sessions, (session) => session.user);
      const wandered = [...backendsOf.values()].filter((all) => {
        return new Set(all.map((session) => session.backend)).size > 1;
      });
      expect(wandered.length).toBeGreaterThan(USERS / 4);
      await eventually('the directory counts no session', 5000, () => front.sessionCount() === 0);
    },
    TEST_DEADLINE_MS,
  );
});

function moveSome(directory: RunningDirectory, ip: string): boolean {
  let moved = 0;
  for (let user = 0; user < MOVED_USERS; user++) {
    const outcome = directory.moveUser(`user${user}`, ip);
    if (outcome === 'moved' || outcome === 'moving') moved++;
  }
  return moved > 0;
}
