import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, B, HOST_1, HOST_2, PORT, RingRig, START_SECS } from './ring-rig.ts';

const EXPIRE_SECS = 900;
/** Of a user that counts as near its expiry. */
const NEAR = START_SECS - EXPIRE_SECS + 29;
/** The hash gives HOST_1 to it. */
const USER = 7;

const userLine = (host: string, secs: number): string => `USER\t${USER}\t${host}\t${secs}`;
const weakLine = (by: string, seq: number, host: string): string => {
  return `USER-WEAK\t${by}\t${PORT}\t${seq}\t${USER}\t${host}`;
};

describe('a ring of two', () => {
  function ringOfTwo(): { rig: RingRig; left: Neighbour; right: Neighbour } {
    const rig = new RingRig({ members: [A, B] }).start();
    const right = rig.joinRight(A);
    const left = rig.joinLeft(A);
    rig.sync(right, left);
    rig.answerPings(left, right);
    left.take();
    right.take();
    return { rig, left, right };
  }

  test('a question goes back to the asker by the other connection, once each', () => {
    const { left, right } = ringOfTwo();
    left.say(weakLine(A, 1, HOST_2));
    expect([left.take(), right.take()]).toEqual([[], [weakLine(A, 1, HOST_2)]]);
    right.say(weakLine(A, 1, HOST_2));
    expect([left.take(), right.take()]).toEqual([[weakLine(A, 1, HOST_2)], []]);
  });

  test('ours is settled when it is back, and no user stays weak', () => {
    const { rig, left, right } = ringOfTwo();
    left.say(userLine(HOST_2, NEAR));
    rig.login(USER);
    expect(right.take()).toEqual([weakLine(B, 101, HOST_2)]);
    right.say(weakLine(B, 101, HOST_2));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.directory.counts().weak).toBe(0);
  });

  test('one who knows better says so to the asker', () => {
    const { left, right } = ringOfTwo();
    left.say(userLine(HOST_1, START_SECS));
    left.take();
    right.take();
    left.say(weakLine(A, 1, HOST_2));
    expect([left.take(), right.take()]).toEqual([
      [userLine(HOST_1, START_SECS)],
      [userLine(HOST_1, START_SECS)],
    ]);
  });

  test('a question of one who is gone goes to the other as ours', () => {
    const { rig, left, right } = ringOfTwo();
    left.say(weakLine('10.9.0.77', 1, HOST_2));
    expect(right.take()).toEqual([weakLine(B, 101, HOST_2)]);
    right.say(weakLine(B, 101, HOST_2));
    expect(rig.directory.counts().weak).toBe(0);
  });
});

describe('hosts of a ring of two that forms again', () => {
  const weight = (count: number): string => `HOST\t${HOST_1}\t${count}\t\tU0\t`;
  const weightHere = (rig: RingRig): number => rig.directory.host(HOST_1)!.vhostCount;

  /** We are alone, with a weight of ours. */
  function alone(): RingRig {
    const rig = new RingRig({ members: [A, B] }).start();
    while (!rig.ring.isAlone) {
      if (rig.isDialling(A)) rig.refused(A);
      rig.pass(1000);
    }
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    return rig;
  }

  test.each([
    [70, 50],
    [30, 30],
  ])('cross with ours: of 50 and %i the smaller holds on both sides', (theirs, result) => {
    const rig = alone();
    const left = rig.dialledBy(A)!;
    left.greet();
    rig.reached(A).greet();
    left.take();
    left.handOver({ isDone: 1, hosts: [weight(theirs)] });
    expect(weightHere(rig)).toBe(result);
    expect(left.take()).toContain(`HOST\t${B}\t${PORT}\t102\t${HOST_1}\t${result}\t\tU0\t`);
  });

  test('that were sent after it had taken ours count', () => {
    const rig = alone();
    const first = rig.dialledBy(A)!;
    first.greet();
    const right = rig.joinRight(A);
    first.hangUp();
    rig.pass(100);
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 1, hosts: [weight(70)] });
    expect([weightHere(rig), right.isClosed]).toEqual([70, false]);
  });

  test('of one whom we have not told ours count', () => {
    const rig = alone();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 1, hosts: [weight(70)] });
    expect(weightHere(rig)).toBe(70);
  });
});
