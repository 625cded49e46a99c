import { describe, expect, test } from 'vitest';
import { server } from '../directory/test-directory.ts';
import { A, C, HOST_1, HOST_2, RingRig, START_SECS } from './ring-rig.ts';

const userLine = (hash: number, secs: number): string => `USER\t${hash}\t${HOST_1}\t${secs}`;

describe('a login waits, with Dovecot’s reason,', () => {
  /** What is logged when it has waited in vain. */
  function inVain(rig: RingRig, tagIndex = 0): string {
    rig.login(7, 1, tagIndex);
    expect(rig.takeAnswers()).toEqual([]);
    rig.pass(29_900);
    expect(rig.takeAnswers()).toEqual([]);
    rig.pass(1100);
    const [answer] = rig.takeAnswers();
    return answer;
  }

  test('until the ring has been joined for the first time', () => {
    const rig = new RingRig().start();
    rig.joinRight();
    expect(inVain(rig)).toMatch(
      /^Timeout because ring not handshaked - queued for 3\d secs \(Ring has never been synced, hash=7\)$/,
    );
  });

  test('until then also of a user whom another director has told us of', () => {
    const rig = new RingRig().start();
    const left = rig.joinLeft();
    left.say(userLine(7, START_SECS));
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
  });

  test('while a change goes around the ring, if the user is new', () => {
    const { rig } = RingRig.synced();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    expect(inVain(rig)).toMatch(
      /^Timeout because ring not synced - queued for 3\d secs \(Ring not synced for 3\d secs, hash=7\)$/,
    );
  });

  test('while the user is being moved', () => {
    const { rig } = RingRig.synced();
    rig.login(7);
    rig.takeAnswers();
    rig.openSession(7, rig.hostOf(7)!);
    rig.directory.moveUser('', 7, HOST_2, rig.nowMs);
    expect(inVain(rig)).toMatch(
      /^Timeout because kill waiting - queued for 3\d secs \(Ring .*, user refreshed \d+ secs ago, hash=7\)$/,
    );
  });

  test('while the directors agree on a weak user', () => {
    const { rig, left } = RingRig.synced();
    // Its hash gives the other one, so that it matters who is right.
    left.order('USER-WEAK', 7, HOST_2);
    expect(inVain(rig)).toMatch(/^Timeout because weak user - queued for 3\d secs \(Ring synced/);
  });

  test('while there is no host for its tag', () => {
    const { rig, left } = RingRig.synced({ mailServers: [server(HOST_1, 0, 'eu')] });
    left.take();
    expect(inVain(rig, 1)).toMatch(
      /^Timeout because no hosts - queued for 3\d secs \(Ring synced for 3\d secs, hash=7, tag=eu\)$/,
    );
  });
});

describe('a login goes on', () => {
  test('when the ring is synced', () => {
    const { rig, left, right } = RingRig.synced();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.login(7, 1);
    rig.login(8, 2);
    expect(rig.takeAnswers()).toEqual([]);
    rig.sync(right, left);
    expect(rig.takeAnswers()).toEqual(['', '']);
  });

  test('when another director says where the user is, though the ring is not synced', () => {
    const { rig, left } = RingRig.synced();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.login(7);
    left.say(userLine(7, START_SECS));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(7)).toBe(HOST_1);
  });

  test('at once for a known user, though the ring is not synced', () => {
    const { rig } = RingRig.synced();
    rig.login(7);
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual(['', '']);
  });

  test('not at once for a known user near its expiry: another may have forgotten it', () => {
    const { rig, left } = RingRig.synced();
    left.say(userLine(7, START_SECS - 900 + 30), userLine(8, START_SECS - 900 + 31));
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.login(7, 1);
    rig.login(8, 2);
    expect(rig.answers.map(({ requestId }) => requestId)).toEqual([2]);
  });

  test('when a host is there', () => {
    const { rig, left, right } = RingRig.synced({ mailServers: [server(HOST_1, 0)] });
    rig.login(7);
    left.order('HOST', HOST_2, 100, '', 'U0', '');
    rig.sync(right, left);
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(7)).toBe(HOST_2);
  });

  test('when the last other director is gone and 20 s have passed', () => {
    const { rig, left, right } = RingRig.synced();
    left.say('QUIT\tbye');
    right.say('QUIT\tbye');
    rig.login(7);
    for (let secs = 0; secs < 22; secs++) {
      for (const ip of [C, A]) if (rig.isDialling(ip)) rig.refused(ip);
      for (const ip of [C, A]) if (rig.isDialling(ip)) rig.refused(ip);
      rig.pass(1000);
    }
    expect(rig.ring.isAlone).toBe(true);
    expect(rig.takeAnswers()).toEqual(['']);
  });
});

describe('the order in which changes and placing go around', () => {
  test('a user placed after a change of hosts is placed by the changed hosts everywhere', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    const sent = right.take().map((line) => line.split('\t')[0]);
    rig.directory.removeHost(HOST_2, rig.nowMs);
    rig.login(8);
    expect(rig.takeAnswers()).toEqual(['']);
    rig.sync(right, left);
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(8)).toBe(HOST_1);
    expect(sent).toContain('USER');
  });

  test('our SYNC goes behind the change, so that it is back only when all have it', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    rig.directory.removeHost(HOST_2, rig.nowMs);
    expect(right.take().map((line) => line.split('\t')[0])).toEqual(['HOST-REMOVE', 'SYNC']);
  });
});
