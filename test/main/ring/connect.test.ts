import { describe, expect, test } from 'vitest';
import { A, B, C, PORT, RingRig } from './ring-rig.ts';

/** Farther to the right; the order is A, B (we), C, D, E. */
const D = '10.9.0.4';
const E = '10.9.0.5';
const FIVE = { members: [A, B, C, D, E] };

describe('CONNECT', () => {
  test('to one that is nearer is obeyed at once: our right hears it, and is left', () => {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    right.take();
    right.say(`CONNECT\t${C}\t${PORT}`);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
    expect(right.take()).toEqual(['QUIT\tCONNECT requested']);
    expect(right.isClosed).toBe(true);
  });

  test('another’s SYNC does not go to the right that has sent us away, but to the new one', () => {
    // It took us for its left as long as we were connected, and passed the SYNC on to us again, four times
    // over; the fifth nobody forwarded, and the new member waited 5 s before it sent another.
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    const left = rig.joinLeft(A);
    rig.sync(right, left);
    const sync = `SYNC\t${C}\t${PORT}\t7\t9\t${rig.nowSecs}\t${rig.directory.hostsHash}`;
    right.say(`CONNECT\t${C}\t${PORT}`, 'NONSENSE');
    left.say(sync);
    expect(right.take().filter((line) => line.startsWith('SYNC'))).toEqual([]);
    expect(rig.joinRight(C).takeAll()).toContain(sync);
    expect(rig.dialled).toEqual([]);
  });

  test('from another than our right is obeyed as well', () => {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    const left = rig.joinLeft(A);
    left.say(`CONNECT\t${C}\t${PORT}`);
    expect(right.isClosed).toBe(true);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
    expect(left.isClosed).toBe(false);
  });

  test.each([
    ['our right', C],
    ['one that is farther than our right', E],
    ['ourselves', B],
  ])('to %s is wrong: who says so is dropped after 1 s, and may not go on', (_name, ip) => {
    const rig = new RingRig(FIVE).start();
    const right = rig.joinRight(C);
    rig.joinLeft(A);
    right.take();
    right.say(`CONNECT\t${ip}\t${PORT}`, 'NONSENSE');
    rig.pass(900);
    expect(right.isClosed).toBe(false);
    rig.pass(100);
    expect(right.take().at(-1)).toBe('QUIT\tWrong CONNECT requested');
    expect(right.isClosed).toBe(true);
    // And then we dial whoever is next.
    expect(rig.dialled.map(({ ip: dialled }) => dialled)).toEqual([C]);
  });

  test('to a member that was taken out is wrong', () => {
    const rig = new RingRig(FIVE).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    rig.ring.removeMember(C, PORT, rig.nowMs);
    right.say(`CONNECT\t${C}\t${PORT}`);
    expect(rig.dialled).toEqual([]);
    rig.pass(1000);
    expect(right.isClosed).toBe(true);
  });

  test('names a member that we did not know: it is one now', () => {
    const rig = new RingRig({ members: [A, B, D] }).start();
    const right = rig.joinRight(D);
    right.say(`CONNECT\t${C}\t${PORT}`);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
    expect(rig.ring.memberStatus()).toHaveLength(4);
  });
});
