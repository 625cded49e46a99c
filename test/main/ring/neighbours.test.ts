import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, B, C, PORT, RingRig } from './ring-rig.ts';

/** To the right of C, and around: the order is A, B (we), C, D, E. Whoever is nearest on our left is A, then E. */
const D = '10.9.0.4';
const E = '10.9.0.5';
const FIVE = { members: [A, B, C, D, E] };

const isLeft = (rig: RingRig, ip: string): boolean => placeOf(rig, ip) === 'left';
const isRight = (rig: RingRig, ip: string): boolean => placeOf(rig, ip) === 'right';

function placeOf(rig: RingRig, ip: string): string | null {
  const member = rig.ring.memberStatus().find((other) => other.ip === ip)!;
  return (
    member.connections.map((other) => rig.ring.placeOf(other)).find((it) => it !== null) ?? null
  );
}

/** Dials us and finishes its handshake. */
function joins(rig: RingRig, ip: string): Neighbour {
  const neighbour = rig.dialledBy(ip)!;
  neighbour.greet();
  neighbour.handOver();
  return neighbour;
}

describe('our left', () => {
  test('is the first to finish its handshake; our right is told of it', () => {
    const rig = new RingRig(FIVE).start();
    const right = rig.joinRight(C);
    right.take();
    const left = joins(rig, A);
    expect(isLeft(rig, A)).toBe(true);
    expect(left.take()).toContain('DONE');
    expect(right.take()).toContain(`DIRECTOR\t${A}\t${PORT}`);
  });

  test('when it dials again has lost its connection: the new one takes the place', () => {
    const rig = new RingRig(FIVE).start();
    const old = joins(rig, A);
    const left = rig.dialledBy(A)!;
    old.take();
    left.greet();
    expect(old.take()).toEqual(['QUIT\tReplacing with new incoming connection']);
    expect(old.isClosed).toBe(true);
    left.handOver();
    expect(isLeft(rig, A)).toBe(true);
  });

  test('that is farther than a newcomer is sent to it; the newcomer waits until it has gone', () => {
    const rig = new RingRig(FIVE).start();
    const old = joins(rig, E);
    old.take();
    const left = rig.dialledBy(A)!;
    left.greet();
    expect(old.take()).toContain(`CONNECT\t${A}\t${PORT}`);
    left.handOver();
    expect([isLeft(rig, E), isLeft(rig, A)]).toEqual([true, false]);
    old.say('QUIT\tCONNECT requested');
    expect([isLeft(rig, E), isLeft(rig, A)]).toEqual([false, true]);
  });

  test('that is nearer than a newcomer is asked for a sign of life, and keeps its place with it', () => {
    const rig = new RingRig(FIVE).start();
    const left = joins(rig, A);
    left.takeAll();
    const wrong = joins(rig, E);
    expect(left.takeAll().filter((line) => line.startsWith('PING'))).toHaveLength(1);
    wrong.take();
    left.answerPing();
    expect(wrong.take()).toEqual([`CONNECT\t${A}\t${PORT}`]);
    expect([isLeft(rig, A), isLeft(rig, E)]).toEqual([true, false]);
  });

  test('that gives no sign of life loses its place to the newcomer', () => {
    const rig = new RingRig(FIVE).start();
    rig.joinRight(C);
    const left = joins(rig, A);
    left.hangs = true;
    joins(rig, E);
    rig.pass(30_100);
    expect(left.isClosed).toBe(true);
    expect(isLeft(rig, E)).toBe(true);
  });

  test('is not us', () => {
    const rig = new RingRig(FIVE).start();
    const self = rig.dialledBy(B)!;
    self.greet();
    expect(self.isClosed).toBe(true);
  });

  test('who was sent elsewhere has 10 s to go; what it says meanwhile does not count', () => {
    const rig = new RingRig(FIVE).start();
    rig.joinRight(C);
    const left = joins(rig, A);
    const wrong = joins(rig, E);
    left.answerPing();
    wrong.take();
    wrong.say('PING\t1\t0', 'NONSENSE');
    expect(wrong.take()).toEqual([]);
    rig.pass(9900);
    expect(wrong.isClosed).toBe(false);
    rig.pass(200);
    expect(wrong.isClosed).toBe(true);
    expect(isLeft(rig, A)).toBe(true);
  });

  test('when it goes, whoever waits for its place has it', () => {
    const rig = new RingRig(FIVE).start();
    rig.joinRight(C);
    const left = joins(rig, A);
    const next = joins(rig, E);
    left.hangUp();
    expect(isLeft(rig, E)).toBe(true);
    expect(next.isClosed).toBe(false);
  });

  test('one that waits dials again: only the new connection is kept', () => {
    const rig = new RingRig(FIVE).start();
    joins(rig, A);
    const attempts = [joins(rig, E), joins(rig, E), joins(rig, E)];
    expect(attempts.map(({ isClosed }) => isClosed)).toEqual([true, true, false]);
  });
});

describe('our right', () => {
  test('is the next member, and if that is not to be had the one behind it', () => {
    const rig = new RingRig(FIVE).start();
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
    rig.refused(C);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([D]);
    rig.joinRight(D);
    expect(isRight(rig, D)).toBe(true);
  });

  test('that is not the next one: the next one is tried every 30 s', () => {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    const left = joins(rig, A);
    rig.sync(right, left);
    rig.pass(29_900);
    expect(rig.dialled).toEqual([]);
    rig.pass(100);
    rig.refused(C);
    rig.pass(29_900);
    expect(rig.dialled).toEqual([]);
    rig.pass(100);
    const nearer = rig.reached(C);
    right.take();
    nearer.greet();
    nearer.say('DONE');
    expect(right.take().at(-1)).toBe(`QUIT\tReplacing with ${C}:${PORT}`);
    expect([isRight(rig, C), isRight(rig, D)]).toEqual([true, false]);
    rig.sync(nearer, left);
    rig.pass(61_000);
    expect(rig.dialled).toEqual([]);
  });

  test('is not given up for one that is farther', () => {
    const rig = new RingRig(FIVE).start();
    const right = rig.joinRight(C);
    right.say(`CONNECT\t${D}\t${PORT}`);
    expect(rig.dialled).toEqual([]);
    expect(isRight(rig, C)).toBe(true);
  });

  test('lost is dialled again after the others: it counts as failed if it was short', () => {
    const rig = new RingRig(FIVE).start();
    const right = rig.joinRight(C);
    right.hangUp();
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([D]);
  });

  test('lost after 40 s is dialled again first', () => {
    const rig = new RingRig(FIVE).start();
    const right = rig.joinRight(C);
    const left = joins(rig, A);
    rig.sync(right, left);
    rig.pass(40_000);
    right.hangUp();
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
  });

  test('a member that failed is not dialled for 60 s', () => {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    const left = joins(rig, A);
    rig.sync(right, left);
    rig.pass(25_000);
    right.say('QUIT\tbye');
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([D]);
  });
});

describe('members between us and our right', () => {
  /** E is our right; C and D could not be reached. */
  function farRight(): RingRig {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    rig.refused(D);
    const right = rig.joinRight(E);
    const left = joins(rig, A);
    rig.sync(right, left);
    rig.answerPings(left, right);
    return rig;
  }

  test('are looked for every 30 s, the others as well as the nearest: they may be a ring of their own', () => {
    const rig = farRight();
    rig.pass(29_900);
    expect(rig.dialled).toEqual([]);
    rig.pass(100);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C, D]);
    rig.refused(C);
    rig.joinRight(D);
    expect(isRight(rig, D)).toBe(true);
  });

  test('are looked for in turns, if there are several', () => {
    const F = '10.9.0.6';
    const rig = new RingRig({ members: [A, B, C, D, E, F] }).start();
    for (const ip of [C, D, E]) rig.refused(ip);
    const right = rig.joinRight(F);
    const left = joins(rig, A);
    rig.sync(right, left);
    const tried = [D, E, D].map((ip) => {
      rig.pass(30_000);
      const dialled = rig.dialled.map((other) => other.ip);
      for (const other of dialled) rig.refused(other);
      return [dialled, ip];
    });
    for (const [dialled, ip] of tried) expect(dialled).toEqual([C, ip]);
  });

  test('if there is but the nearest, that one only', () => {
    const rig = new RingRig({ members: [A, B, C, D] }).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    rig.sync(right, joins(rig, A));
    rig.pass(30_000);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
  });
});

test('a left neighbour without a right one is not enough: it is dialled again', () => {
  const rig = new RingRig({ members: [A, B] }).start();
  while (!rig.ring.isAlone) {
    if (rig.isDialling(A)) rig.refused(A);
    rig.pass(1000);
  }
  const left = rig.dialledBy(A)!;
  left.greet();
  rig.refused(A);
  left.handOver();
  expect(isLeft(rig, A)).toBe(true);
  rig.pass(1000);
  expect(rig.isDialling(A)).toBe(true);
});
