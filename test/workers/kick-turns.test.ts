import { beforeEach, describe, expect, test } from 'vitest';
import { DirectoryReader } from '../../src/shared/memory/directory-memory.ts';
import { createRegistry, SessionRegistryWriter } from '../../src/shared/memory/session-registry.ts';
import type { FromWorker } from '../../src/shared/messages.ts';
import { DirectoryClient, type HostWaiter } from '../../src/workers/directory-client.ts';
import { server, TestDirectory } from '../main/directory/test-directory.ts';

// The promise in all of these: main lets a user in elsewhere when it has every worker's acknowledgement, so
// none may be posted before each session that held a host when the kick arrived has closed its socket. How
// many turns that takes makes no difference.

const PER_TURN = 32;
const LOOKS_PER_TURN = 4096;
const USER = 77;
const OTHER = 78;
const UNKNOWN = 79;

class Waiter implements HostWaiter {
  readonly name: string;
  slot = -1;
  isKicked = false;
  reason = '';

  constructor(name: string) {
    this.name = name;
  }
  hostAssigned(slot: number): void {
    this.slot = slot;
  }
  hostFailed(slot: number): void {
    this.slot = slot;
  }
  kick(reason: string): void {
    this.isKicked = true;
    this.reason = reason;
  }
}

let made: TestDirectory;
let client: DirectoryClient<Waiter>;
let posted: FromWorker[];
let turns: (() => void)[];

beforeEach(() => {
  made = new TestDirectory([server('10.0.0.1'), server('10.0.0.2')]);
  posted = [];
  turns = [];
  made.publications.length = 0;
  const reader = new DirectoryReader(made.directory.snapshot(), () => made.publications.shift());
  client = new DirectoryClient(
    reader,
    new SessionRegistryWriter(createRegistry(20_000)),
    900,
    (message) => posted.push(message),
    (run) => turns.push(run),
  );
  for (const user of [USER, OTHER]) made.login(user);
});

function nowSecs(): number {
  return made.nowMs / 1000;
}

function enter(userHash = USER, name = ''): Waiter {
  const waiter = new Waiter(name);
  expect(client.enter(0, userHash, waiter, nowSecs())).toBe(true);
  return waiter;
}

function leave(waiter: Waiter): void {
  client.leave(waiter.slot, nowSecs());
}

function nextTurn(): void {
  for (const run of turns.splice(0)) run();
}

function kickedCount(waiters: readonly Waiter[]): number {
  return waiters.filter(({ isKicked }) => isKicked).length;
}

describe('a kick of more sessions than fit into a turn', () => {
  test.each([PER_TURN - 1, PER_TURN, PER_TURN + 1, 3 * PER_TURN + 5])(
    'of %i ends so many in each, and is acknowledged behind the last socket',
    (count) => {
      const waiters = Array.from({ length: count }, () => enter());
      client.kick(1, 0, [USER], 0);
      for (let turn = 1; (turn - 1) * PER_TURN < count; turn++) {
        expect(kickedCount(waiters)).toBe(Math.min(count, turn * PER_TURN));
        nextTurn();
      }
      for (const waiter of waiters) {
        expect(posted).toEqual([]);
        leave(waiter);
      }
      expect(posted).toEqual([{ kind: 'kicked', killId: 1 }]);
      nextTurn();
      expect(turns).toEqual([]);
    },
  );

  test('shares the turn with other kicks', () => {
    const waiters = Array.from({ length: 2 * PER_TURN }, (_value, i) =>
      enter(i % 2 ? USER : OTHER),
    );
    client.kick(1, 0, [USER], 0);
    client.kick(2, 0, [OTHER], 0);
    expect(kickedCount(waiters)).toBe(PER_TURN);
    nextTurn();
    expect(kickedCount(waiters)).toBe(2 * PER_TURN);
  });

  test('does not take a session for one whose slot it has got meanwhile', () => {
    const waiters = Array.from({ length: PER_TURN + 1 }, () => enter());
    client.kick(1, 0, [USER], 0);
    const last = waiters[PER_TURN];
    leave(last);
    const next = enter(OTHER);
    expect(next.slot).toBe(last.slot);
    nextTurn();
    expect([last.isKicked, next.isKicked]).toEqual([false, false]);
    for (const waiter of waiters.slice(0, PER_TURN)) leave(waiter);
    expect(posted).toEqual([{ kind: 'kicked', killId: 1 }]);
  });

  test('waits for a session also when its end comes before its turn', () => {
    const waiters = Array.from({ length: PER_TURN + 1 }, () => enter());
    client.kick(1, 0, [USER], 0);
    for (const waiter of waiters) leave(waiter);
    // The kick has not been through with all it had to tell.
    expect(posted).toEqual([]);
    nextTurn();
    expect(posted).toEqual([{ kind: 'kicked', killId: 1 }]);
  });
});

test('a kick but for a host leaves the sessions there, and does not wait for them', () => {
  const onFirst = enter();
  const { directory } = made;
  const ips = ['10.0.0.1', '10.0.0.2'];
  const [first, second] = directory.status.currentHost('', USER)?.ip === ips[0] ? [1, 2] : [2, 1];
  // Main changes the user's word before it kicks: only sessions that were quicker are on the old host.
  made.pass(5000);
  expect(directory.moveUser('', USER, ips[second - 1], made.nowMs)).toBe('moved');
  const onSecond = enter();
  client.kick(1, 0, [USER], second);
  expect([onFirst.isKicked, onSecond.isKicked]).toEqual([true, false]);
  leave(onFirst);
  expect(posted).toEqual([{ kind: 'kicked', killId: 1 }]);
  client.kick(2, 0, [USER], second);
  expect(posted[1]).toEqual({ kind: 'kicked', killId: 2 });
  client.kick(3, 0, [USER], first);
  expect(onSecond.isKicked).toBe(true);
  expect(posted).toHaveLength(2);
});

describe('a kick by something else than the hash', () => {
  test('ends a session that waits, and does not wait for its answer', () => {
    const waiting = enter(UNKNOWN);
    client.kickSlots(1, client.slotsOfHash(UNKNOWN));
    expect([waiting.isKicked, waiting.reason]).toEqual([true, 'kicked']);
    expect(posted.slice(1)).toEqual([{ kind: 'kicked', killId: 1 }]);
  });

  test('waits for the socket of one that has got its host before its turn came', () => {
    const waiters = Array.from({ length: PER_TURN }, () => enter());
    const waiting = enter(UNKNOWN);
    const slots = [...client.slotsOfHash(USER), ...client.slotsOfHash(UNKNOWN)];
    client.kickSlots(1, slots);
    expect([kickedCount(waiters), waiting.isKicked]).toEqual([PER_TURN, false]);
    for (const waiter of waiters) leave(waiter);
    made.login(UNKNOWN);
    client.answer(slots[PER_TURN], null, nowSecs());
    expect(waiting.slot).toBe(slots[PER_TURN]);
    nextTurn();
    expect(waiting.isKicked).toBe(true);
    expect(posted.filter(({ kind }) => kind === 'kicked')).toEqual([]);
    leave(waiting);
    expect(posted.at(-1)).toEqual({ kind: 'kicked', killId: 1 });
  });

  test('looks at so many sessions in a turn, and misses none that was there', () => {
    const count = 2 * LOOKS_PER_TURN + 1;
    const waiters = Array.from({ length: count }, (_value, i) => {
      return enter(USER, i === 0 || i === count - 1 ? 'wanted' : '');
    });
    let looks = 0;
    client.kickWanted(1, ({ name }) => {
      looks++;
      return name === 'wanted';
    });
    expect([looks, kickedCount(waiters)]).toEqual([LOOKS_PER_TURN, 1]);
    leave(waiters[0]);
    nextTurn();
    expect([looks, posted.length]).toEqual([2 * LOOKS_PER_TURN, 0]);
    nextTurn();
    expect([looks, kickedCount(waiters)]).toEqual([count, 2]);
    leave(waiters[count - 1]);
    expect(posted).toEqual([{ kind: 'kicked', killId: 1 }]);
  });
});
