import { beforeEach, describe, expect, test } from 'vitest';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server, TestDirectory } from './test-directory.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';
const USER = 0x12345678;
const KICK_DELAY_MS = 2000;
/** The stamp's second, the delay, and a moment. */
const LONG_AGO_MS = 1000 + KICK_DELAY_MS;

let made: TestDirectory;
let first: SessionRegistryWriter;
let second: SessionRegistryWriter;

beforeEach(() => {
  made = new TestDirectory([server(A), server(B)]);
  const registries = [createRegistry(8), createRegistry(8)];
  made.directory.attachWorker(1, registries[0]);
  made.directory.attachWorker(2, registries[1]);
  [first, second] = registries.map((registry) => new SessionRegistryWriter(registry));
  made.directory.moveUser('', USER, A, made.nowMs);
  made.pass(LONG_AGO_MS);
});

function openSession(registry: SessionRegistryWriter): number {
  const slot = registry.enter(0, USER);
  registry.setState(slot, SessionState.active, 1);
  return slot;
}

function move(ip: string): string {
  return made.directory.moveUser('', USER, ip, made.nowMs);
}

/** Nobody may log in: the move goes on. */
function isKilling(): boolean {
  return made.directory.killState(0, USER) !== null;
}

function acknowledge(workerId: number, kick = 0): void {
  made.directory.acknowledgeKick(workerId, made.kicks[kick].killId, made.nowMs);
}

describe('a move', () => {
  test('without a session is done at once', () => {
    expect(move(B)).toBe('moved');
    expect(made.hostOf(USER)).toBe(B);
    expect(made.kicks).toEqual([]);
    expect([made.usersOn(A), made.usersOn(B)]).toEqual([0, 1]);
  });

  test('of a user whose session ended a moment ago waits for user_kick_delay', () => {
    made.login(USER);
    expect(move(B)).toBe('moving');
    expect(made.kicks.map((kick) => kick.workerId)).toEqual([1, 2]);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS - 1);
    expect(isKilling()).toBe(true);
    made.pass(1);
    expect(isKilling()).toBe(false);
    expect(made.hostOf(USER)).toBe(B);
  });

  test('with a session waits for every worker, also those without one, and the delay', () => {
    openSession(first);
    expect(move(B)).toBe('moving');
    expect(made.kicks).toEqual([
      { workerId: 1, killId: 1, tagIndex: 0, userHashes: [USER] },
      { workerId: 2, killId: 1, tagIndex: 0, userHashes: [USER] },
    ]);
    acknowledge(1);
    made.pass(5 * KICK_DELAY_MS);
    expect(isKilling()).toBe(true);
    acknowledge(2);
    made.pass(KICK_DELAY_MS - 1);
    expect(isKilling()).toBe(true);
    made.pass(1);
    expect(isKilling()).toBe(false);
    expect(made.hostOf(USER)).toBe(B);
    expect(made.directory.counts().kills).toBe(0);
  });

  test.each(['reading', 'active'] as const)('sees a session that is %s', (state) => {
    const slot = second.enter(0, USER);
    second.setState(slot, SessionState[state], state === 'active' ? 1 : 0);
    expect(move(B)).toBe('moving');
  });

  test('does not mind one that waits for main', () => {
    second.setState(second.enter(0, USER), SessionState.waiting);
    expect(move(B)).toBe('moved');
  });

  test('to where the user is changes nothing', () => {
    openSession(first);
    expect(move(A)).toBe('unchanged');
    expect(made.kicks).toEqual([]);
  });

  test('to a host that is not there, or of another tag, is refused', () => {
    made.directory.addHost(C, 100, 'other', made.nowMs);
    expect(move('10.9.9.9')).toBe('unknown-host');
    expect(move(C)).toBe('unknown-host');
    expect(made.hostOf(USER)).toBe(A);
  });

  test('during a move is busy, and the first one counts', () => {
    made.directory.addHost(C, 100, '', made.nowMs);
    openSession(first);
    move(B);
    expect(move(C)).toBe('busy');
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBe(B);
  });

  test('holds logins back and then answers them in their order', () => {
    openSession(first);
    move(B);
    made.login(USER, 0, 1, 10);
    made.login(USER, 0, 2, 20);
    expect(made.answers).toEqual([]);
    expect(made.directory.counts().waiting).toBe(2);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.answers).toEqual([
      { workerId: 1, requestId: 10, error: null },
      { workerId: 2, requestId: 20, error: null },
    ]);
  });

  test('acknowledged twice, or for a kill that never was, counts once', () => {
    openSession(first);
    move(B);
    acknowledge(1);
    acknowledge(1);
    made.directory.acknowledgeKick(2, 999, made.nowMs);
    made.directory.acknowledgeKick(3, made.kicks[0].killId, made.nowMs);
    made.pass(10 * KICK_DELAY_MS);
    expect(isKilling()).toBe(true);
  });
});

describe('workers that come and go', () => {
  test('a kick without workers is over after the delay', () => {
    made.directory.detachWorker(1, made.nowMs);
    made.directory.detachWorker(2, made.nowMs);
    made.login(USER);
    expect(move(B)).toBe('moving');
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBe(B);
    expect(made.kicks).toEqual([]);
  });

  test('a dying worker acknowledges what it was asked', () => {
    openSession(first);
    move(B);
    acknowledge(2);
    made.pass(60_000);
    made.directory.detachWorker(1, made.nowMs);
    made.pass(KICK_DELAY_MS - 1);
    expect(isKilling()).toBe(true);
    made.pass(1);
    expect(isKilling()).toBe(false);
    expect(made.hostOf(USER)).toBe(B);
  });

  test('a worker that starts during a kill is not waited for', () => {
    openSession(first);
    move(B);
    made.directory.attachWorker(3, createRegistry(8));
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBe(B);
  });

  test('a dead worker leaves no session, no waiting login, and its users their host', () => {
    openSession(first);
    move(B);
    made.login(USER, 0, 1);
    made.pass(500_000);
    made.takeAnswers();
    const other = USER + 1;
    made.directory.moveUser('', other, A, made.nowMs);
    first.setState(first.enter(0, other), SessionState.active, 1);
    made.pass(500_000);
    made.login(USER, 0, 1);
    made.directory.detachWorker(1, made.nowMs);
    acknowledge(2);
    expect(made.directory.counts().waiting).toBe(0);
    expect(made.directory.status.sessionCounts().every(({ sessions }) => sessions === 0)).toBe(
      true,
    );
    // Seen at the death: the backend may only learn of it now.
    expect(made.directory.status.currentHost('', other)?.expiresAtSecs).toBe(
      made.nowMs / 1000 + 900,
    );
    expect(made.directory.moveUser('', other, B, made.nowMs)).toBe('moving');
    expect(made.answers).toEqual([]);
  });

  test('one that was never attached, or is gone already, is no matter', () => {
    made.directory.detachWorker(1, made.nowMs);
    made.directory.detachWorker(1, made.nowMs);
    made.directory.detachWorker(99, made.nowMs);
    expect(move(B)).toBe('moved');
  });
});

describe('a host that is removed', () => {
  test('forgets its users without sessions, and kicks the others first', () => {
    const idle = USER + 1;
    made.directory.moveUser('', idle, A, made.nowMs);
    made.pass(LONG_AGO_MS);
    openSession(first);
    expect(made.directory.removeHost(A, made.nowMs)).toBe(true);
    made.settle();
    expect(made.hostOf(idle)).toBeNull();
    expect(made.kicks.map(({ workerId, userHashes }) => [workerId, userHashes])).toEqual([
      [1, [USER]],
      [2, [USER]],
    ]);
    made.login(USER);
    expect(made.takeAnswers()).toEqual([]);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.takeAnswers()).toHaveLength(1);
    expect(made.hostOf(USER)).toBe(B);
    expect(made.directory.counts()).toMatchObject({ kills: 0, waiting: 0, users: 1 });
  });

  test('gives users that were seen a moment ago up after the delay only', () => {
    made.login(USER);
    made.directory.removeHost(A, made.nowMs);
    made.settle();
    expect(made.kicks).toHaveLength(2);
    expect(made.hostOf(USER)).toBe(A);
    made.directory.detachWorker(1, made.nowMs);
    made.directory.detachWorker(2, made.nowMs);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBeNull();
  });

  test('as the target of a move: the ring decides afterwards', () => {
    openSession(first);
    move(B);
    made.directory.addHost(C, 0, '', made.nowMs);
    made.directory.removeHost(B, made.nowMs);
    made.login(USER);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBe(A);
    expect(made.takeAnswers()).toEqual([{ workerId: 1, requestId: 0, error: null }]);
  });

  test('as the target of a move and back in time: the move goes there', () => {
    openSession(first);
    move(B);
    made.directory.removeHost(B, made.nowMs);
    made.directory.addHost(B, 0, '', made.nowMs);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBe(B);
  });

  test('as the target of a move and back with another tag: the user stays out of that tag', () => {
    openSession(first);
    move(B);
    made.directory.removeHost(B, made.nowMs);
    made.directory.addHost(B, 100, 'other', made.nowMs);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBeNull();
    made.login(USER);
    expect(made.hostOf(USER)).toBe(A);
  });
});

describe('a host that is back while its users are being purged', () => {
  /** Users of as many shards: more than a turn of a purge visits. */
  const OTHERS = 40;
  const LATE_USER = 0xff000001;

  beforeEach(() => {
    for (let i = 1; i <= OTHERS; i++) {
      made.directory.moveUser('', (i << 24) + 2, B, made.nowMs);
    }
    made.directory.moveUser('', LATE_USER, A, made.nowMs);
    made.pass(LONG_AGO_MS);
    openSession(first);
    made.directory.removeHost(A, made.nowMs);
    expect(made.hostOf(LATE_USER)).toBe(A);
  });

  test('keeps those that were not reached; a kill that runs goes to its end', () => {
    made.directory.addHost(A, 100, '', made.nowMs);
    made.settle();
    expect(made.hostOf(LATE_USER)).toBe(A);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect(made.hostOf(USER)).toBeNull();
    expect([made.usersOn(A), made.usersOn(B)]).toEqual([1, OTHERS]);
  });

  test('with another tag is another host: all users of the old one go', () => {
    made.directory.addHost(A, 100, 'other', made.nowMs);
    made.settle();
    expect(made.hostOf(LATE_USER)).toBeNull();
    made.login(LATE_USER);
    expect(made.hostOf(LATE_USER)).toBe(B);
    expect(made.usersOn(A)).toBe(1);
    acknowledge(1);
    acknowledge(2);
    made.pass(KICK_DELAY_MS);
    expect([made.usersOn(A), made.usersOn(B)]).toEqual([0, OTHERS + 1]);
  });

  test('and removed again: all go', () => {
    made.directory.addHost(A, 100, '', made.nowMs);
    made.directory.removeHost(A, made.nowMs);
    made.settle();
    expect(made.hostOf(LATE_USER)).toBeNull();
  });
});
