import { describe, expect, it } from 'vitest';
import { moveLimits } from '../../../src/main/moves/move-limits.ts';
import { server } from '../directory/test-directory.ts';
import { HOSTS, MoveRig } from './move-rig.ts';

const ONE = '10.0.0.1';

describe('flush', () => {
  it.each([1, 7, 99, 100, 101])('has at most %d users on the way at a time', (maxMoving) => {
    const rig = new MoveRig();
    const hashes = rig.addUsers(600, 1);
    rig.test.directory.setDown(ONE, true, rig.test.nowMs);
    const before = rig.test.usersOn(ONE)!;
    expect(before).toBeGreaterThan(150);
    const id = rig.start({ kind: 'flush', ip: ONE, maxMoving });
    rig.finish(id);
    expect(rig.mostMoving).toBe(maxMoving);
    expect(rig.progress(id)).toMatchObject({ state: 'done', movedCount: before, movingCount: 0 });
    expect(rig.progress(id).totalCount).toBe(before);
    expect(rig.test.usersOn(ONE)).toBe(0);
    expect(rig.misplaced(hashes)).toBe(0);
  });

  it.each([
    ['one fewer than the limit', 99, 99],
    ['as many as the limit', 100, 100],
    ['one more than the limit', 101, 100],
  ])('of %s', (_name, users, most) => {
    const rig = new MoveRig([server(ONE), server('10.0.0.2', 0)]);
    const hashes = rig.addUsers(users, 1);
    rig.test.directory.setVhostCount('10.0.0.2', 100, rig.test.nowMs);
    rig.test.directory.setVhostCount(ONE, 0, rig.test.nowMs);
    rig.finish(rig.start({ kind: 'flush', ip: ONE, maxMoving: 100 }));
    expect(rig.mostMoving).toBe(most);
    expect(rig.test.usersOn('10.0.0.2')).toBe(users);
    expect(rig.misplaced(hashes)).toBe(0);
  });

  it('counts what others move as well', () => {
    const rig = new MoveRig();
    const hashes = rig.addUsers(300, 1);
    rig.test.directory.setDown(ONE, true, rig.test.nowMs);
    const others = hashes.filter((hash) => rig.test.hostOf(hash) === '10.0.0.2').slice(0, 40);
    for (const hash of others) {
      rig.test.directory.moveUser('', hash, '10.0.0.3', rig.test.nowMs);
    }
    const id = rig.start({ kind: 'flush', ip: ONE, maxMoving: 50 });
    expect(rig.progress(id).movingCount).toBe(10);
    rig.finish(id);
    expect(rig.mostMoving).toBe(50);
  });

  it('moves nobody who is where he belongs', () => {
    const rig = new MoveRig();
    rig.addUsers(300, 1);
    const id = rig.start({ kind: 'flush' });
    expect(rig.progress(id)).toMatchObject({ state: 'done', movedCount: 0, totalCount: 0 });
    expect(rig.sessionUsers).toBe(300);
  });

  it.each([1, 10, 200])('keeps to %d users a second', (ratePerSec) => {
    const rig = new MoveRig();
    rig.addUsers(60);
    rig.test.directory.setDown(ONE, true, rig.test.nowMs);
    const count = rig.test.usersOn(ONE)!;
    const id = rig.start({ kind: 'flush', ip: ONE, ratePerSec });
    const ms = rig.finish(id);
    expect(ms).toBeGreaterThanOrEqual(((count - 1) / ratePerSec) * 1000 - moveLimits.burstMs);
    expect(ms).toBeLessThanOrEqual((count / ratePerSec) * 1000 + 500);
  });

  it('forgets users for whom there is no backend, after their sessions have been killed', () => {
    const rig = new MoveRig();
    rig.addUsers(300, 1);
    for (const { ip } of HOSTS) rig.test.directory.setDown(ip, true, rig.test.nowMs);
    const id = rig.start({ kind: 'flush', ip: ONE });
    rig.finish(id);
    expect(rig.progress(id).note).toMatch(/^no backend is left for the users of 10\.0\.0\.1/);
    rig.pass(10_000);
    expect(rig.test.usersOn(ONE)).toBe(0);
    expect(rig.test.usersOn('10.0.0.2')).toBeGreaterThan(0);
  });
});

describe('drain', () => {
  it('sets the weight to 0, and moves idle users before those with sessions', () => {
    const rig = new MoveRig();
    rig.addUsers(600, 3);
    const before = rig.test.usersOn(ONE)!;
    const busy = rig.sessionUsers;
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 600_000 });
    rig.pass(1000);
    expect(rig.test.directory.host(ONE)!.vhostCount).toBe(0);
    const { movedCount, busyCount, totalCount } = rig.progress(id);
    expect(totalCount).toBe(before);
    expect(movedCount).toBeGreaterThanOrEqual(before - busyCount - 1);
    expect(rig.sessionUsers).toBeGreaterThanOrEqual(busy - 2);
    rig.finish(id);
    expect(rig.test.usersOn(ONE)).toBe(0);
  });

  it.each([60_000, 600_000, 1_800_000])('spreads users with sessions over %d ms', (withinMs) => {
    const rig = new MoveRig();
    rig.addUsers(900, 1);
    const startMs = rig.test.nowMs;
    const before = rig.test.usersOn(ONE)!;
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs });
    for (const quarter of [1, 2, 3]) {
      while (rig.test.nowMs < startMs + (withinMs * quarter) / 4) rig.pass(100);
      const left = rig.test.usersOn(ONE)! / before;
      expect(left).toBeGreaterThan(1 - quarter / 4 - 0.1);
      expect(left).toBeLessThan(1 - quarter / 4 + 0.05);
    }
    rig.finish(id);
    expect(rig.test.nowMs - startMs).toBeLessThanOrEqual(withinMs);
    expect(rig.test.nowMs - startMs).toBeGreaterThan(withinMs * 0.85);
    expect(rig.progress(id)).toMatchObject({ state: 'done', movedCount: before });
    expect(rig.mostMoving).toBeLessThanOrEqual(100);
  });

  it('kicks nobody who leaves before his turn', () => {
    const rig = new MoveRig();
    const hashes = rig.addUsers(600, 1);
    const ours = hashes.filter((hash) => rig.test.hostOf(hash) === ONE);
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 1_800_000 });
    rig.pass(60_000);
    const { movedCount } = rig.progress(id);
    for (const hash of ours) rig.closeSessions(hash);
    rig.pass(2 * moveLimits.roundMs);
    expect(rig.test.usersOn(ONE)).toBe(0);
    expect(rig.progress(id).movedCount - movedCount).toBeGreaterThan(100);
    expect(rig.progress(id).state).toBe('done');
  });

  it('is never faster than the limit, even when the time is too short', () => {
    const rig = new MoveRig();
    rig.addUsers(900, 1);
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 5000, maxMoving: 10 });
    rig.finish(id);
    expect(rig.mostMoving).toBe(10);
    expect(rig.test.usersOn(ONE)).toBe(0);
  });

  it('has nothing to do on an empty backend', () => {
    const rig = new MoveRig();
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 1_800_000 });
    expect(rig.progress(id)).toMatchObject({ state: 'done', movedCount: 0 });
    expect(rig.test.directory.host(ONE)!.vhostCount).toBe(0);
  });

  it('is refused when there is no other backend, and fails when the last other one goes', () => {
    const alone = new MoveRig([server(ONE), server('10.0.0.2', 100, 'eu')]);
    expect(alone.order({ kind: 'drain', ip: ONE })).toEqual({
      kind: 'refused',
      text: 'there is no other backend for its users',
    });
    expect(alone.test.directory.host(ONE)!.vhostCount).toBe(100);
    const rig = new MoveRig();
    rig.addUsers(600, 1);
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 600_000 });
    rig.pass(60_000);
    rig.test.directory.setDown('10.0.0.2', true, rig.test.nowMs);
    rig.test.directory.setDown('10.0.0.3', true, rig.test.nowMs);
    const sessions = rig.sessionUsers;
    rig.finish(id);
    expect(rig.progress(id)).toMatchObject({
      ...{ state: 'failed', note: 'there is no other backend for the users' },
    });
    expect(rig.sessionUsers).toBeGreaterThan(sessions - 30);
  });

  it('ends when somebody gives the backend its weight back', () => {
    const rig = new MoveRig();
    rig.addUsers(600, 1);
    const id = rig.start({ kind: 'drain', ip: ONE, withinMs: 600_000 });
    rig.pass(60_000);
    rig.test.directory.setVhostCount(ONE, 50, rig.test.nowMs);
    rig.finish(id);
    expect(rig.progress(id)).toMatchObject({
      ...{ state: 'failed', note: "the backend's vhost count was set to 50 meanwhile" },
    });
    const users = rig.test.usersOn(ONE);
    rig.pass(60_000);
    expect(rig.test.usersOn(ONE)).toBe(users);
  });
});

describe('rebalance', () => {
  it('moves users to a backend that was added, idle ones first, at its rate', () => {
    const rig = new MoveRig();
    const hashes = rig.addUsers(600, 3);
    rig.test.directory.addHost('10.0.0.4', 100, '', rig.test.nowMs);
    const before = rig.misplaced(hashes);
    expect(before).toBeGreaterThan(50);
    const sessions = rig.sessionUsers;
    const id = rig.start({ kind: 'rebalance', ratePerSec: 50 });
    rig.pass(1000);
    expect(rig.sessionUsers).toBe(sessions);
    const ms = rig.finish(id);
    expect(rig.misplaced(hashes)).toBe(0);
    expect(rig.progress(id)).toMatchObject({ state: 'done', movedCount: before });
    expect(ms).toBeGreaterThan((before / 50 - 2) * 1000);
    expect(rig.sessionUsers).toBeLessThan(sessions);
  });
});

describe('in the middle', () => {
  function halfDone(): { rig: MoveRig; id: number; hashes: number[] } {
    const rig = new MoveRig();
    const hashes = rig.addUsers(600, 1);
    const id = rig.start({ kind: 'drain', ip: ONE, maxMoving: 10 });
    rig.pass(10_000);
    expect(rig.progress(id)).toMatchObject({ state: 'moving', movingCount: 10 });
    return { rig, id, hashes };
  }

  it('an interruption lets those on the way arrive, and nobody else leaves', () => {
    const { rig, id } = halfDone();
    expect(rig.jobs.interrupt(id, 'you')).toBe(true);
    expect(rig.progress(id).state).toBe('stopping');
    expect(rig.jobs.interrupt(id, 'you')).toBe(false);
    const users = rig.test.usersOn(ONE);
    expect(rig.finish(id)).toBeLessThan(3000);
    expect(rig.progress(id)).toMatchObject({ state: 'interrupted', movingCount: 0 });
    rig.pass(60_000);
    expect(rig.test.usersOn(ONE)).toBe(users);
    expect(rig.log.at(-1)).toMatch(/^info job 1: drain of 10\.0\.0\.1 .*: interrupted, moved \d+ /);
  });

  it('the same order again goes on where an interrupted job was', () => {
    const { rig, id, hashes } = halfDone();
    rig.jobs.interrupt(id, 'you');
    rig.finish(id);
    const left = rig.test.usersOn(ONE)!;
    const again = rig.start({ kind: 'drain', ip: ONE, maxMoving: 10 });
    rig.pass(100);
    expect(rig.progress(again).totalCount).toBe(left);
    rig.finish(again);
    expect(rig.progress(again)).toMatchObject({ state: 'done', movedCount: left });
    expect(rig.misplaced(hashes)).toBe(0);
  });

  it('a backend that is removed ends the job', () => {
    const { rig, id } = halfDone();
    rig.test.directory.removeHost(ONE, rig.test.nowMs);
    rig.finish(id);
    expect(rig.progress(id)).toMatchObject({
      ...{ state: 'done', note: 'the backend was removed, its users are forgotten with it' },
    });
  });

  it('one that is back at once is another backend', () => {
    const { rig, id } = halfDone();
    rig.test.directory.removeHost(ONE, rig.test.nowMs);
    rig.test.directory.addHost(ONE, 100, '', rig.test.nowMs);
    rig.finish(id);
    expect(rig.test.directory.host(ONE)!.vhostCount).toBe(100);
  });

  it('nobody is told to go while the ring is not synced', () => {
    const { rig, id } = halfDone();
    rig.moves.hasSync = false;
    rig.pass(10_000);
    expect(rig.progress(id)).toMatchObject({ state: 'waiting', movingCount: 0 });
    const users = rig.test.usersOn(ONE);
    rig.pass(60_000);
    expect(rig.test.usersOn(ONE)).toBe(users);
    rig.moves.hasSync = true;
    rig.finish(id);
    expect(rig.test.usersOn(ONE)).toBe(0);
  });

  it('a job that waits for the ring can be interrupted', () => {
    const { rig, id } = halfDone();
    rig.moves.hasSync = false;
    rig.pass(10_000);
    expect(rig.jobs.interrupt(id, 'you')).toBe(true);
    rig.pass(100);
    expect(rig.progress(id).state).toBe('interrupted');
  });

  it('users who are added to the backend are moved as well', () => {
    const { rig, id, hashes } = halfDone();
    const elsewhere = hashes.filter((hash) => rig.test.hostOf(hash) === '10.0.0.2').slice(0, 20);
    for (const hash of elsewhere) rig.test.directory.moveUser('', hash, ONE, rig.test.nowMs);
    rig.finish(id);
    expect(rig.test.usersOn(ONE)).toBe(0);
  });
});

it('looks at a part of the users in one turn', () => {
  const rig = new MoveRig();
  rig.addUsers(3000);
  rig.test.directory.setDown(ONE, true, rig.test.nowMs);
  rig.start({ kind: 'flush', ip: ONE });
  expect(rig.turns).toBeGreaterThan(50);
});
