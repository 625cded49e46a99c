import { expect, it, vi } from 'vitest';
import {
  createRegistry,
  SessionRegistryReader,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server, TestDirectory } from './test-directory.ts';

const ONE = '10.0.0.1';
/** In parts of the table far from each other, and near each other. */
const USERS = Array.from({ length: 4000 }, (_, i) => (i * 1_073_741 + 1) >>> 0);

function busyDirectory(): { test: TestDirectory; served: number[]; writer: SessionRegistryWriter } {
  const test = new TestDirectory([server(ONE), server('10.0.0.2')]);
  const registry = createRegistry(4096);
  const writer = new SessionRegistryWriter(registry);
  test.directory.attachWorker(1, registry);
  for (const userHash of USERS) test.login(userHash);
  // Nobody was here a moment ago: only a session keeps a user from being moved at once.
  test.pass(60_000);
  const there = USERS.filter((userHash) => test.hostOf(userHash) === ONE);
  const served = there.filter((_, i) => i % 3 === 0);
  const hostId = test.directory.host(ONE)!.hostId;
  for (const userHash of served) {
    writer.setState(writer.enter(0, userHash), SessionState.active, hostId);
  }
  test.directory.setDown(ONE, true, test.nowMs);
  return { test, served, writer };
}

it('looks through the registries once for many users, and moves those without a session at once', () => {
  const { test, served } = busyDirectory();
  const scans = vi.spyOn(SessionRegistryReader.prototype, 'scan');
  const looks = vi.spyOn(SessionRegistryReader.prototype, 'has');
  const reset = test.directory.resetHost(ONE)!;
  let steps = 0;
  let most = 0;
  for (let outcome = 'more'; outcome === 'more'; steps++) {
    const before = reset.movedCount;
    outcome = reset.step(100_000, test.nowMs);
    most = Math.max(most, reset.movedCount - before);
  }
  expect(reset.movedCount).toBeGreaterThan(1500);
  expect(scans.mock.calls.length).toBeLessThanOrEqual(steps);
  expect(looks).not.toHaveBeenCalled();
  // A step is a small part of the work.
  expect(most).toBeLessThanOrEqual(50);
  expect(steps).toBeGreaterThan(100);
  expect(test.usersOn(ONE)).toBe(0);
  expect(test.kicks.flatMap(({ userHashes }) => userHashes).sort()).toEqual([...served].sort());
  for (const userHash of USERS) {
    const isBusy = served.includes(userHash);
    expect(test.directory.killState(0, userHash)).toBe(isBusy ? 'killing' : null);
  }
  vi.restoreAllMocks();
});

it.each([1, 7, 49, 50, 51])('never has more than %d on the way', (maxMoving) => {
  const { test, served } = busyDirectory();
  const reset = test.directory.resetHost(ONE)!;
  let acknowledged = 0;
  for (let outcome = 'more'; outcome !== 'done'; ) {
    outcome = reset.step(maxMoving, test.nowMs);
    expect(test.directory.counts().kills).toBeLessThanOrEqual(maxMoving);
    if (outcome !== 'blocked') continue;
    expect(test.directory.counts().kills).toBe(maxMoving);
    for (const { killId } of test.kicks.slice(acknowledged)) {
      test.directory.acknowledgeKick(1, killId, test.nowMs);
    }
    acknowledged = test.kicks.length;
    test.pass(2100);
  }
  expect(test.kicks).toHaveLength(served.length);
});

it('a session that begins when its user has been moved is seen', () => {
  const { test, writer } = busyDirectory();
  const idle = USERS.find((userHash) => {
    return (
      test.hostOf(userHash) === ONE &&
      !test.directory.userMoves.facts('', userHash)!.sessions.length
    );
  })!;
  const reset = test.directory.resetHost(ONE)!;
  while (reset.step(100_000, test.nowMs) === 'more');
  expect(test.hostOf(idle)).toBe('10.0.0.2');
  const hostId = test.directory.host('10.0.0.2')!.hostId;
  writer.setState(writer.enter(0, idle), SessionState.active, hostId);
  test.directory.setDown(ONE, false, test.nowMs);
  expect(test.directory.moveUser('', idle, ONE, test.nowMs)).toBe('moving');
});
