import { describe, expect, test } from 'vitest';
import { A, C, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

const EXPIRE_SECS = 900;
/** Seconds before its expiry in which a user counts as near it. */
const NEAR_SECS = 30;

const user = (hash: number, host: string, secs: number): string =>
  `USER\t${hash}\t${host}\t${secs}`;
const stampOf = (rig: RingRig, hash: number): number => {
  return rig.directory.status.currentHost('', hash)!.expiresAtSecs - EXPIRE_SECS;
};

describe('a login here', () => {
  test('of a new user is told to all', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    rig.login(7);
    const line = user(7, rig.hostOf(7)!, START_SECS);
    expect([left.take(), right.take()]).toEqual([[line], [line]]);
  });

  test('of a known user is told to all, even if nothing has changed', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    left.take();
    right.take();
    rig.login(7);
    const line = user(7, rig.hostOf(7)!, START_SECS);
    expect([left.take(), right.take()]).toEqual([[line], [line]]);
  });
});

describe('USER', () => {
  test('of a new user is taken, and goes on to all but where it came from', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    left.say(user(7, HOST_2, START_SECS - 10));
    expect([rig.hostOf(7), stampOf(rig, 7)]).toEqual([HOST_2, START_SECS - 10]);
    expect(right.take()).toEqual([user(7, HOST_2, START_SECS - 10)]);
    expect(left.take()).toEqual([]);
  });

  test('that says nothing new ends here', () => {
    const { left, right } = RingRig.synced();
    left.say(user(7, HOST_2, START_SECS));
    right.take();
    left.take();
    right.say(user(7, HOST_2, START_SECS));
    left.say(user(7, HOST_2, START_SECS - 1));
    expect([left.take(), right.take()]).toEqual([[], []]);
  });

  test('that is newer makes the user younger, and goes on under its own time', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(user(7, HOST_2, START_SECS - 100));
    right.take();
    rig.pass(5000);
    left.say(user(7, HOST_2, START_SECS + 1));
    expect(stampOf(rig, 7)).toBe(START_SECS + 1);
    expect(right.take()).toEqual([user(7, HOST_2, START_SECS + 1)]);
  });

  test.each([
    [EXPIRE_SECS, null],
    [EXPIRE_SECS - 1, HOST_2],
  ])('of %i s ago, of %j', (secs, host) => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_2, START_SECS - secs));
    expect(rig.hostOf(7)).toBe(host);
  });

  test('without time counts as of now, but not within 15 s of the last: it would go around for ever', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t7\t${HOST_2}`);
    expect(stampOf(rig, 7)).toBe(START_SECS);
    right.take();
    rig.pass(15_000);
    left.say(`USER\t7\t${HOST_2}`);
    expect([stampOf(rig, 7), right.take()]).toEqual([START_SECS, []]);
    rig.pass(1000);
    left.say(`USER\t7\t${HOST_2}`);
    expect(stampOf(rig, 7)).toBe(START_SECS + 16);
  });

  test('of a time far ahead of our clock is believed but for the time', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(user(7, HOST_2, START_SECS + 301), user(8, HOST_2, START_SECS + 300));
    expect([stampOf(rig, 7), stampOf(rig, 8)]).toEqual([START_SECS, START_SECS + 300]);
    left.say(user(7, HOST_2, 4_294_967_295));
    expect(stampOf(rig, 7)).toBe(START_SECS);
  });

  test('of a host that we do not know is passed over: it was removed a moment ago', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(user(7, HOST_3, START_SECS));
    expect([rig.hostOf(7), right.take(), left.isClosed]).toEqual([null, [], false]);
  });
});

describe('two hosts for one user', () => {
  test('near its expiry here: the sender has forgotten it already, and so do we', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(user(7, HOST_1, START_SECS - EXPIRE_SECS + NEAR_SECS - 1));
    right.take();
    left.say(user(7, HOST_2, START_SECS));
    expect(rig.hostOf(7)).toBe(HOST_2);
    expect(right.take()).toEqual([user(7, HOST_2, START_SECS)]);
    expect(rig.logged('error')).toEqual([]);
  });

  test('near its expiry, but with a session here: a conflict', () => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_1, START_SECS - EXPIRE_SECS + NEAR_SECS - 1));
    rig.openSession(7, HOST_1);
    left.say(user(7, HOST_2, START_SECS));
    expect(rig.logged('error')).toHaveLength(1);
    expect(rig.hostOf(7)).toBe(HOST_1);
  });

  test('the lower address wins, here or there; all hear it, also the sender', () => {
    for (const [known, said] of [
      [HOST_1, HOST_2],
      [HOST_2, HOST_1],
    ]) {
      const { rig, left, right } = RingRig.synced();
      left.say(user(7, known, START_SECS - 100));
      left.take();
      right.take();
      left.say(user(7, said, START_SECS - 50));
      expect(rig.hostOf(7)).toBe(HOST_1);
      const wanted = [
        `USER-KICK-HASH\t10.9.0.2\t${PORT}\t101\t7\t${HOST_1}`,
        expect.stringMatching(new RegExp(`^USER\t7\t${HOST_1}\t`)),
      ];
      for (const neighbour of [left, right]) {
        const lines = neighbour.take().filter((line) => !line.startsWith('SYNC'));
        expect(lines).toEqual(wanted);
      }
      expect(rig.logged('error')[0]).toContain('is being redirected to two hosts');
    }
  });

  test('nobody is let in before the sessions on the wrong one are closed', () => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_2, START_SECS - 100));
    const slot = rig.openSession(7, HOST_2);
    left.say(user(7, HOST_1, START_SECS));
    expect(rig.kicks.map(({ userHashes }) => userHashes)).toEqual([[7]]);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
    rig.closeSession(slot);
    rig.acknowledge();
    expect(rig.takeAnswers()).toEqual([]);
  });

  test('sessions on the right one are spared', () => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_1, START_SECS - 100));
    rig.openSession(7, HOST_1);
    left.say(user(7, HOST_2, START_SECS));
    const spared = rig.directory.host(HOST_1)!.hostId;
    for (const { exceptHostId } of rig.kicks) expect(exceptHostId).toBe(spared);
  });

  test('while it is being moved: it goes where it is moved to', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    rig.openSession(7, rig.hostOf(7)!);
    rig.directory.moveUser('', 7, HOST_2, rig.nowMs);
    left.take();
    right.take();
    left.say(user(7, HOST_1, START_SECS));
    expect(rig.hostOf(7)).toBe(HOST_2);
    expect([left.take(), right.take()]).toEqual([[], []]);
  });
});

describe('USER-KICK-HASH', () => {
  test('goes on to all', () => {
    const { left, right } = RingRig.synced();
    right.take();
    const line = left.order('USER-KICK-HASH', 7, HOST_1);
    expect(right.take()[0]).toBe(line);
  });

  test('kills our sessions on the other host, and lets nobody in before', () => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_2, START_SECS - 100));
    rig.openSession(7, HOST_2);
    left.order('USER-KICK-HASH', 7, HOST_1);
    expect(rig.kicks).toHaveLength(1);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
  });

  test('of a host that loses against ours changes nothing here', () => {
    const { rig, left } = RingRig.synced();
    left.say(user(7, HOST_1, START_SECS - 100));
    rig.openSession(7, HOST_1);
    left.order('USER-KICK-HASH', 7, HOST_2);
    expect(rig.kicks).toEqual([]);
    expect(rig.hostOf(7)).toBe(HOST_1);
  });

  test('of a host that we do not know goes on and is nothing else', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    const line = left.order('USER-KICK-HASH', 7, HOST_3);
    expect(right.take()).toEqual([line]);
    expect(rig.directory.counts().kills).toBe(0);
  });
});

describe('a user with a session here', () => {
  test('does not expire; the others hear of it in good time', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    rig.openSession(7, rig.hostOf(7)!);
    left.take();
    right.take();
    rig.pass(EXPIRE_SECS * 1000);
    const times = left
      .take()
      .filter((line) => line.startsWith('USER\t7\t'))
      .map((line) => Number(line.split('\t')[3]) - START_SECS);
    expect(times.length).toBeGreaterThan(0);
    expect(Math.max(...times)).toBeGreaterThan(EXPIRE_SECS / 2 - 1);
    expect(times[0]).toBeLessThan(EXPIRE_SECS - NEAR_SECS);
    expect(rig.hostOf(7)).not.toBeNull();
  });

  test('while the right is lost: said when there is one again', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    rig.pass(10_000);
    right.hangUp();
    left.take();
    rig.login(7);
    expect(left.take()).toEqual([]);
    rig.refused(A);
    rig.pass(1000);
    const again = rig.joinRight(C);
    rig.sync(again, left);
    left.take();
    rig.pass(10_000);
    expect(left.take()).toContain(user(7, rig.hostOf(7)!, START_SECS + 10));
  });
});
