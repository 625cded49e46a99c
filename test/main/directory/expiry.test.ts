import { beforeEach, describe, expect, test } from 'vitest';
import { assignedHost, packAssignment } from '../../../src/shared/memory/assignment.ts';
import { DirectoryReader } from '../../../src/shared/memory/directory-memory.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { START_MS, server, TestDirectory } from './test-directory.ts';

const EXPIRE_SECS = 100;
const USER = 0x80000001;
let made: TestDirectory;
let registry: SessionRegistryWriter;

beforeEach(() => {
  made = new TestDirectory([server('10.0.0.1'), server('10.0.0.2')], {
    userExpireSecs: EXPIRE_SECS,
  });
  const buffer = createRegistry(4);
  made.directory.attachWorker(1, buffer);
  registry = new SessionRegistryWriter(buffer);
});

function passAndSettle(ms: number): void {
  made.pass(ms);
  made.settle();
}

describe('without a session', () => {
  test('a user is there for user_expire, and not a second longer', () => {
    made.login(USER);
    passAndSettle(EXPIRE_SECS * 1000 - 1);
    expect(made.hostOf(USER)).not.toBeNull();
    passAndSettle(1);
    expect(made.hostOf(USER)).toBeNull();
    expect(made.directory.counts().users).toBe(0);
  });

  test('every login starts the time anew', () => {
    made.login(USER);
    made.pass(60_000);
    made.login(USER);
    passAndSettle(EXPIRE_SECS * 1000 - 1000);
    expect(made.hostOf(USER)).not.toBeNull();
    passAndSettle(1000);
    expect(made.hostOf(USER)).toBeNull();
  });

  test('a login after the time gets the host of today, swept or not', () => {
    made.login(USER);
    const before = made.hostOf(USER)!;
    made.directory.setVhostCount(before, 0, made.nowMs);
    made.nowMs += EXPIRE_SECS * 1000 - 1;
    made.login(USER);
    expect(made.hostOf(USER)).toBe(before);
    // The stamp has whole seconds: it says 99 s after the start.
    made.nowMs = START_MS + (EXPIRE_SECS - 1 + EXPIRE_SECS) * 1000;
    made.login(USER);
    expect(made.hostOf(USER)).not.toBe(before);
    expect(made.directory.counts().users).toBe(1);
  });
});

describe('with a session', () => {
  test.each(['reading', 'active'] as const)('%s: the sweep keeps the user for ever', (state) => {
    made.login(USER);
    const before = made.hostOf(USER);
    const slot = registry.enter(0, USER);
    registry.setState(slot, SessionState[state], state === 'active' ? 1 : 0);
    for (let i = 0; i < 50; i++) passAndSettle(EXPIRE_SECS * 700);
    expect(made.hostOf(USER)).toBe(before);
    registry.leave(slot);
    passAndSettle(EXPIRE_SECS * 1000);
    expect(made.hostOf(USER)).toBeNull();
  });

  test('a jump of a year does not take a user its host', () => {
    made.login(USER);
    const before = made.hostOf(USER)!;
    registry.setState(registry.enter(0, USER), SessionState.active, 1);
    made.directory.setVhostCount(before, 0, made.nowMs);
    made.nowMs += 365 * 86_400_000;
    // The login comes before any sweep.
    made.login(USER);
    expect(made.hostOf(USER)).toBe(before);
    made.settle();
    expect(made.hostOf(USER)).toBe(before);
  });

  test('waiting does not count: it holds no backend', () => {
    made.login(USER);
    registry.setState(registry.enter(0, USER), SessionState.waiting);
    passAndSettle(EXPIRE_SECS * 1000);
    expect(made.hostOf(USER)).toBeNull();
  });

  test('of the same hash in another tag does not count', () => {
    made.directory.addHost('10.1.0.1', 100, 'other', made.nowMs);
    made.login(USER);
    registry.setState(registry.enter(1, USER), SessionState.active, 3);
    passAndSettle(EXPIRE_SECS * 1000);
    expect(made.hostOf(USER)).toBeNull();
  });
});

test('normal ticks alone sweep everybody within a tenth of user_expire', () => {
  for (let i = 0; i < 256; i++) made.login(((i << 24) | 1) >>> 0);
  made.nowMs += EXPIRE_SECS * 1000;
  for (let ms = 0; ms < EXPIRE_SECS * 100; ms += 100) made.pass(100);
  expect(made.directory.counts().users).toBe(0);
});

test('a clock that goes backwards loses nobody, and time goes on from there', () => {
  made.login(USER);
  made.nowMs -= 3_600_000;
  for (let i = 0; i < 100; i++) made.pass(100);
  made.login(USER);
  expect(made.hostOf(USER)).not.toBeNull();
  expect(made.takeAnswers()).toEqual([
    { workerId: 1, requestId: 0, error: null },
    { workerId: 1, requestId: 0, error: null },
  ]);
  // The stamp of the later clock holds until that time is over.
  made.nowMs = START_MS + EXPIRE_SECS * 1000 - 1;
  made.settle();
  expect(made.hostOf(USER)).not.toBeNull();
  made.pass(1);
  made.settle();
  expect(made.hostOf(USER)).toBeNull();
});

test('a worker sees an expired user as one to ask about, a moment before main has swept', () => {
  made.login(USER);
  const { directory } = made;
  const reader = new DirectoryReader(directory.snapshot(), () => undefined);
  const nowSecs = made.nowMs / 1000;
  const host = reader.usableHost(0, USER, nowSecs + EXPIRE_SECS - 1, EXPIRE_SECS);
  expect(reader.hosts.ip(host)).toBe(made.hostOf(USER));
  expect(reader.usableHost(0, USER, nowSecs + EXPIRE_SECS, EXPIRE_SECS)).toBe(0);
  expect(reader.find(0, USER)).toBe(packAssignment(1, assignedHost(reader.find(0, USER))));
  reader.touch(0, USER, nowSecs + 50);
  expect(reader.usableHost(0, USER, nowSecs + EXPIRE_SECS, EXPIRE_SECS)).toBe(host);
});
