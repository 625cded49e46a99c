import { beforeAll, describe, expect, test } from 'vitest';
import { ringLimits } from '../../../src/main/ring/ring-limits.ts';
import type { Neighbour } from './neighbour.ts';
import { C, HOST_2, RingRig, START_SECS } from './ring-rig.ts';

const USERS = 20_000;
/** Users of one shard are sent together. */
const SHARD_USERS = 200;

const hashOf = (i: number): number => Math.imul(i + 1, 0x9e37_79b1) >>> 0 || 1;
const isUser = (line: string): boolean => line.startsWith('U\t');

describe('the users of a handshake', () => {
  let rig: RingRig;
  let right: Neighbour;

  beforeAll(() => {
    rig = new RingRig().start();
    const host = rig.directory.host(HOST_2)!;
    const source = { isWeak: false, barrier: 0, via: 1 };
    for (let i = 0; i < USERS; i++) {
      const news = { userHash: hashOf(i), host, stampSecs: START_SECS, ...source };
      rig.directory.ringUser(news, rig.nowMs);
    }
  });

  /** Dials C anew, and lets so many bytes wait. */
  function dial(bufferedBytes: number): void {
    if (right !== undefined) right.hangUp();
    while (!rig.isDialling(C)) {
      if (rig.dialled.length > 0) rig.refused(rig.dialled[0].ip);
      rig.pass(1000);
    }
    right = rig.reached(C);
    rig.buffered.set(right.id, bufferedBytes);
    right.greet();
  }

  test('are sent some at a time: in between the event loop has other work', () => {
    dial(0);
    let turns = 1;
    let sent = right.take().filter(isUser).length;
    expect(sent).toBeGreaterThanOrEqual(ringLimits.handshakeUsersPerTurn);
    while (rig.ring.hasMore(right.id)) {
      rig.ring.writable(right.id, rig.nowMs);
      const lines = right.take();
      const users = lines.filter(isUser).length;
      expect(users).toBeLessThanOrEqual(ringLimits.handshakeUsersPerTurn + SHARD_USERS);
      sent += users;
      turns++;
      expect(lines.includes('DONE')).toBe(!rig.ring.hasMore(right.id));
    }
    expect(sent).toBe(USERS);
    expect(turns).toBeGreaterThan((USERS / ringLimits.handshakeUsersPerTurn) * 0.8);
  });

  test.each([
    [ringLimits.handshakeBufferBytes - 1, true],
    [ringLimits.handshakeBufferBytes, false],
    [ringLimits.handshakeBufferBytes + 1, false],
  ])('with %i bytes waiting: more are sent: %s', (bytes, isMore) => {
    dial(bytes);
    expect(right.take().filter(isUser).length > 0).toBe(isMore);
    expect(rig.ring.hasMore(right.id)).toBe(true);
  });

  test('go on when the buffer is emptier', () => {
    dial(ringLimits.handshakeBufferBytes);
    right.take();
    rig.ring.writable(right.id, rig.nowMs);
    expect(right.take()).toEqual([]);
    rig.buffered.set(right.id, 0);
    rig.ring.writable(right.id, rig.nowMs);
    expect(right.take().filter(isUser).length).toBeGreaterThan(0);
  });

  test('do not hold up what is new: it is sent in between', () => {
    dial(ringLimits.handshakeBufferBytes);
    right.take();
    const left = rig.joinLeft();
    left.say(`USER\t${hashOf(1)}\t${HOST_2}\t${START_SECS + 1}`);
    rig.pass(1000);
    left.say(`USER\t${hashOf(1)}\t${HOST_2}\t${rig.nowSecs}`);
    expect(right.take()).toContain(`USER\t${hashOf(1)}\t${HOST_2}\t${rig.nowSecs}`);
    left.hangUp();
  });

  test('end with a connection that ends, and begin anew with the next', () => {
    dial(ringLimits.handshakeBufferBytes);
    const { id } = right;
    right.hangUp();
    expect(rig.ring.hasMore(id)).toBe(false);
    rig.ring.writable(id, rig.nowMs);
    dial(0);
    expect(right.take().filter(isUser).length).toBeGreaterThan(0);
  });

  test('slow to go are no reason to give up: 30 s count from the last that went', () => {
    dial(ringLimits.handshakeBufferBytes);
    for (let i = 0; i < 4; i++) {
      rig.pass(20_000);
      rig.ring.writable(right.id, rig.nowMs);
    }
    expect(right.isClosed).toBe(false);
    rig.pass(30_100);
    expect(right.isClosed).toBe(true);
  });
});
