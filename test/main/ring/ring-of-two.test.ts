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
