import { beforeEach, describe, expect, it } from 'vitest';
import { Directory } from '../../../src/main/directory/directory.ts';
import { KICK_GIVE_UP_MS, KICK_TIMEOUT_MS } from '../../../src/main/directory/worker-kicks.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { START_MS, server } from './test-directory.ts';

// Why the promise holds: nothing here takes an acknowledgement as given. A worker that does not give it is
// ended, and only its end, reported by detachWorker(), lets the move go on.

const TICK_MS = 100;
const USER = 7;
const OTHER = 8;
const USERS = [USER, OTHER, 9, 10];

let nowMs: number;
let directory: Directory;
let kicks: { workerId: number; killId: number }[];
let hung: number[];

beforeEach(() => {
  nowMs = START_MS;
  kicks = [];
  hung = [];
  directory = new Directory(
    {
      userExpireSecs: 900,
      userKickDelayMs: 2000,
      hashUser: () => 1,
      mailServers: [server('10.0.0.1'), server('10.0.0.2')],
      nowMs,
    },
    {
      publish: () => {},
      kick: (workerId, killId) => kicks.push({ workerId, killId }),
      kickField: () => {},
      workerHangs: (workerId) => hung.push(workerId),
      flush: () => {},
      answer: () => {},
      log: () => {},
    },
  );
  for (const workerId of [1, 2]) attach(workerId);
  for (const user of USERS) {
    directory.requestLogin({ workerId: 1, requestId: 0, tagIndex: 0, userHash: user }, nowMs);
  }
});

/** A worker on which all users have a session. */
function attach(workerId: number): void {
  const registry = createRegistry(10);
  const writer = new SessionRegistryWriter(registry);
  for (const user of USERS) writer.setState(writer.enter(0, user), SessionState.active, 1);
  directory.attachWorker(workerId, registry);
}

function move(userHash: number): void {
  const from = directory.status.currentHost('', userHash)?.ip;
  const to = from === '10.0.0.1' ? '10.0.0.2' : '10.0.0.1';
  expect(directory.moveUser('', userHash, to, nowMs)).toBe('moving');
}

function pass(ms: number): void {
  for (let left = ms; left > 0; left -= TICK_MS) {
    nowMs += TICK_MS;
    directory.tick(nowMs);
  }
}

function acknowledge(workerId: number): void {
  const index = kicks.findIndex((kick) => kick.workerId === workerId);
  const [{ killId }] = kicks.splice(index, 1);
  directory.acknowledgeKick(workerId, killId, nowMs);
}

function killCount(): number {
  return directory.counts().kills;
}

describe('a worker that acknowledges nothing', () => {
  it('is ended at the time limit, and the move goes on when it has ended', () => {
    directory.tick(nowMs);
    move(USER);
    acknowledge(1);
    pass(KICK_TIMEOUT_MS - TICK_MS);
    expect(hung).toEqual([]);
    pass(TICK_MS);
    expect(hung).toEqual([2]);
    pass(5000);
    expect([killCount(), new Set(hung)]).toEqual([1, new Set([2])]);
    directory.detachWorker(2, nowMs);
    expect(killCount()).toBe(1);
    // user_kick_delay
    pass(2000);
    expect(killCount()).toBe(0);
  });

  it('is not taken for the one that replaces it', () => {
    move(USER);
    acknowledge(1);
    pass(KICK_TIMEOUT_MS);
    directory.detachWorker(2, nowMs);
    attach(3);
    hung = [];
    move(OTHER);
    for (const workerId of [1, 3]) {
      kicks = kicks.filter((kick) => kick.workerId !== 2);
      acknowledge(workerId);
    }
    pass(KICK_TIMEOUT_MS);
    expect([hung, killCount()]).toEqual([[], 0]);
  });
});

describe('a worker that has much to do', () => {
  it('is left alone as long as it acknowledges something', () => {
    for (const user of USERS) move(user);
    for (const _user of USERS) acknowledge(1);
    for (const _user of USERS) {
      pass(KICK_TIMEOUT_MS - TICK_MS);
      acknowledge(2);
    }
    expect(hung).toEqual([]);
    pass(2000);
    expect(killCount()).toBe(0);
  });

  it('but not when one session stays open all the time', () => {
    directory.tick(nowMs);
    move(USER);
    const [first] = kicks.filter(({ workerId }) => workerId === 2);
    kicks = kicks.filter((kick) => kick !== first);
    acknowledge(1);
    for (let passed = 0; passed < KICK_GIVE_UP_MS - 10_000; passed += 10_000) {
      move(OTHER);
      for (const workerId of [1, 2]) acknowledge(workerId);
      pass(10_000);
    }
    expect(hung).toEqual([]);
    pass(10_000);
    expect(hung).toEqual([2]);
  });
});

describe('time that no worker had', () => {
  it.each([
    ['a clock that jumps by an hour', 3_600_000],
    ['a main thread that stood still', KICK_TIMEOUT_MS],
    ['a clock that is put back', -3_600_000],
  ])('%s ends nobody', (_what, ms) => {
    directory.tick(nowMs);
    move(USER);
    nowMs += ms;
    directory.tick(nowMs);
    pass(KICK_TIMEOUT_MS / 2);
    expect(hung).toEqual([]);
    for (const workerId of [1, 2]) acknowledge(workerId);
    pass(KICK_TIMEOUT_MS);
    expect([hung, killCount()]).toEqual([[], 0]);
  });
});
