import { beforeEach, describe, expect, test } from 'vitest';
import { DirectoryReader } from '../../src/shared/memory/directory-memory.ts';
import {
  createRegistry,
  SessionRegistryReader,
  SessionRegistryWriter,
} from '../../src/shared/memory/session-registry.ts';
import type { FromWorker } from '../../src/shared/messages.ts';
import { DirectoryClient, type HostWaiter } from '../../src/workers/directory-client.ts';
import { server, TestDirectory } from '../main/directory/test-directory.ts';

const EXPIRE_SECS = 900;
const MAX_SESSIONS = 3;
const USER = 0xdeadbeef;

class Waiter implements HostWaiter {
  slot = -1;
  hostId = 0;
  failure = '';
  kicks = 0;
  onKick: () => void = () => {};

  hostAssigned(slot: number, hostId: number): void {
    this.slot = slot;
    this.hostId = hostId;
  }
  hostFailed(slot: number, reason: string): void {
    this.slot = slot;
    this.failure = reason;
  }
  kick(): void {
    this.kicks++;
    this.onKick();
  }
}

let made: TestDirectory;
let client: DirectoryClient;
let registry: SessionRegistryReader;
let posted: FromWorker[];

beforeEach(() => {
  made = new TestDirectory([server('10.0.0.1')]);
  posted = [];
  const buffer = createRegistry(MAX_SESSIONS);
  registry = new SessionRegistryReader(buffer);
  // The snapshot has them already.
  made.publications.length = 0;
  const reader = new DirectoryReader(made.directory.snapshot(), () => made.publications.shift());
  client = new DirectoryClient(reader, new SessionRegistryWriter(buffer), EXPIRE_SECS, (message) =>
    posted.push(message),
  );
});

function nowSecs(): number {
  return made.nowMs / 1000;
}

function enter(userHash = USER): Waiter {
  const waiter = new Waiter();
  expect(client.enter(0, userHash, waiter, nowSecs())).toBe(true);
  return waiter;
}

test('a known user costs no message', () => {
  made.login(USER);
  const waiter = enter();
  expect([waiter.slot, waiter.hostId, posted]).toEqual([0, 1, []]);
  expect(registry.has(0, USER)).toBe(true);
});

test('an answer that is out of date is asked for again, and the login waits since its first request', () => {
  enter();
  const askedSecs = nowSecs();
  client.answer(0, null, askedSecs + 20);
  const request = { kind: 'login', requestId: 0, tagIndex: 0, userHash: USER };
  expect(posted).toEqual([request, { ...request, sinceSecs: askedSecs }]);
});

test('an unknown user is asked for; the answer is read from the table', () => {
  const waiter = enter();
  expect(waiter.slot).toBe(-1);
  expect(posted).toEqual([{ kind: 'login', requestId: 0, tagIndex: 0, userHash: USER }]);
  expect(registry.has(0, USER)).toBe(false);
  made.login(USER);
  client.answer(0, null, nowSecs());
  expect([waiter.slot, waiter.hostId]).toEqual([0, 1]);
  expect(registry.has(0, USER)).toBe(true);
});

test('an answer that is overtaken by a kill asks once more', () => {
  const waiter = enter();
  client.answer(0, null, nowSecs());
  expect(waiter.slot).toBe(-1);
  expect(posted).toHaveLength(2);
});

test('a failure goes to the session, which then leaves', () => {
  const waiter = enter();
  client.answer(0, 'why not', nowSecs());
  expect(waiter.failure).toBe('why not');
  client.leave(waiter.slot, nowSecs());
  client.answer(0, null, nowSecs());
  expect(waiter.hostId).toBe(0);
});

test('a full registry refuses the session and leaves nothing behind', () => {
  made.login(USER);
  const waiters = Array.from({ length: MAX_SESSIONS }, () => enter());
  const late = new Waiter();
  expect(client.enter(0, USER, late, nowSecs())).toBe(false);
  expect([late.slot, posted]).toEqual([-1, []]);
  client.leave(waiters[1].slot, nowSecs());
  expect(enter().slot).toBe(waiters[1].slot);
});

test('login and logout both count as seen', () => {
  made.login(USER);
  const expiresAt = (): number => made.directory.status.currentHost('', USER)!.expiresAtSecs;
  made.nowMs += 100_000;
  const waiter = enter();
  expect(expiresAt()).toBe(nowSecs() + EXPIRE_SECS);
  made.nowMs += 700_000;
  client.leave(waiter.slot, nowSecs());
  expect(expiresAt()).toBe(nowSecs() + EXPIRE_SECS);
});

describe('a kick', () => {
  beforeEach(() => {
    made.login(USER);
    made.login(USER + 1);
  });

  test('of nobody is acknowledged at once', () => {
    enter(USER + 1);
    client.kick(7, 0, [USER], 0);
    expect(posted).toEqual([{ kind: 'kicked', killId: 7 }]);
  });

  test('is acknowledged when the last socket is closed', () => {
    const waiters = [enter(), enter(), enter(USER + 1)];
    client.kick(7, 0, [USER], 0);
    expect(waiters.map(({ kicks }) => kicks)).toEqual([1, 1, 0]);
    client.leave(waiters[1].slot, nowSecs());
    expect(posted).toEqual([]);
    expect(registry.has(0, USER)).toBe(true);
    client.leave(waiters[0].slot, nowSecs());
    expect(posted).toEqual([{ kind: 'kicked', killId: 7 }]);
    expect(registry.has(0, USER)).toBe(false);
  });

  test('of sessions that close inside the kick is acknowledged once', () => {
    for (const waiter of [enter(), enter()]) {
      waiter.onKick = () => client.leave(waiter.slot, nowSecs());
    }
    client.kick(7, 0, [USER], 0);
    expect(posted).toEqual([{ kind: 'kicked', killId: 7 }]);
  });

  test('of single sessions ends these and no others', () => {
    const waiters = [enter(), enter(USER + 1), enter(USER + 1)];
    client.kickSlots(
      7,
      waiters.slice(1).map(({ slot }) => slot),
    );
    client.kickSlots(8, []);
    expect(waiters.map(({ kicks }) => kicks)).toEqual([0, 1, 1]);
    expect(posted).toEqual([{ kind: 'kicked', killId: 8 }]);
    for (const { slot } of waiters.slice(1)) client.leave(slot, nowSecs());
    expect(posted[1]).toEqual({ kind: 'kicked', killId: 7 });
  });

  test('that is one of two waits for the same session, as does the other', () => {
    const waiter = enter();
    client.kick(7, 0, [USER], 0);
    client.kick(8, 0, [USER, USER + 1], 0);
    expect(posted).toEqual([]);
    client.leave(waiter.slot, nowSecs());
    expect(posted).toEqual([
      { kind: 'kicked', killId: 7 },
      { kind: 'kicked', killId: 8 },
    ]);
  });

  test('leaves alone who waits for main, and who is of another tag', () => {
    const waiting = enter(USER + 2);
    enter();
    client.kick(7, 0, [USER + 2], 0);
    client.kick(8, 1, [USER], 0);
    expect(waiting.kicks).toBe(0);
    expect(posted.slice(1)).toEqual([
      { kind: 'kicked', killId: 7 },
      { kind: 'kicked', killId: 8 },
    ]);
  });

  test('is over for a slot when it is used again', () => {
    const waiter = enter();
    client.kick(7, 0, [USER], 0);
    client.leave(waiter.slot, nowSecs());
    const next = enter(USER + 1);
    expect(next.slot).toBe(waiter.slot);
    client.leave(next.slot, nowSecs());
    expect(posted).toHaveLength(1);
  });
});
