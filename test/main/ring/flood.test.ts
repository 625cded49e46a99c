import { describe, expect, test } from 'vitest';
import { Member } from '../../../src/main/ring/members.ts';
import { ringLimits } from '../../../src/main/ring/ring-limits.ts';
import { A, C, HOST_1, PORT, RingRig, START_SECS } from './ring-rig.ts';

const E = '10.9.0.5';

describe('a flood of connections', () => {
  const LIMIT = ringLimits.unfinishedConnections;

  test('of one address: so many may be unfinished, the next is refused', () => {
    const { rig } = RingRig.synced();
    const taken = Array.from({ length: LIMIT + 1 }, () => rig.dialledBy(C) !== null);
    expect(taken).toEqual([...Array(LIMIT).fill(true), false]);
    expect(rig.logged('warn').at(-1)).toBe(`Connection from ${C}: too many unfinished, dropping`);
  });

  test('does not keep the others out', () => {
    const { rig, left, right } = RingRig.synced();
    for (let i = 0; i < 100; i++) rig.dialledBy(C);
    left.hangUp();
    const again = rig.joinLeft();
    rig.sync(right, again);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('ends by itself: who does not say who he is has 10 s', () => {
    const { rig } = RingRig.synced();
    for (let i = 0; i < LIMIT; i++) rig.dialledBy(C);
    rig.pass(10_100);
    expect(rig.dialledBy(C)).not.toBeNull();
  });

  test('of a member that finishes its handshakes: one is kept, and it is our left only if it should be', () => {
    const { rig, left } = RingRig.synced({ members: [A, '10.9.0.2', C, E] });
    for (let i = 0; i < 100; i++) rig.joinLeft(E);
    const status = rig.ring.memberStatus();
    expect(status.find(({ ip }) => ip === E)!.connections).toHaveLength(1);
    left.answerPing();
    rig.pass(10_100);
    expect(rig.ring.memberStatus().find(({ ip }) => ip === E)!.connections).toEqual([]);
    expect(left.isClosed).toBe(false);
  });

  test('of our left itself: the last one stays', () => {
    const { rig, right } = RingRig.synced();
    for (let i = 0; i < 100; i++) rig.joinLeft();
    const last = rig.joinLeft();
    const [member] = rig.ring.memberStatus();
    expect(member.connections).toHaveLength(1);
    rig.sync(right, last);
    expect(rig.ring.isSynced).toBe(true);
  });
});

describe('a flood of lines', () => {
  test('of one neighbour leaves the other alone, and the state in order', () => {
    const { rig, left, right } = RingRig.synced();
    for (let i = 1; i <= 1000; i++) {
      left.say(
        ...Array.from({ length: 10 }, (_, j) => `USER\t${i * 10 + j}\t${HOST_1}\t${START_SECS}`),
      );
    }
    expect(rig.directory.counts().users).toBe(10_000);
    right.say(`USER\t5\t${HOST_1}\t${START_SECS}`);
    expect(rig.hostOf(5)).toBe(HOST_1);
    expect([left.isClosed, right.isClosed]).toEqual([false, false]);
  });

  test('of questions about users: the second passing of so many is remembered', () => {
    const member = new Member(A, PORT);
    const all = ringLimits.weakPassings;
    for (let seq = 1; seq <= all; seq++) expect(member.passesWeakAgain(seq)).toBe(true);
    expect(member.passesWeakAgain(1)).toBe(false);
    expect(member.passesWeakAgain(all)).toBe(false);
    expect(member.passesWeakAgain(all + 1)).toBe(true);
    // One more, and the oldest is forgotten.
    expect(member.passesWeakAgain(2)).toBe(false);
    expect(member.passesWeakAgain(1)).toBe(true);
  });
});
