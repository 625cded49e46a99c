import { describe, expect, test } from 'vitest';
import { A, B, C, RingRig } from './ring-rig.ts';

/** Farther to the right; the order is A, B (we), C, D, E. */
const D = '10.9.0.4';
const E = '10.9.0.5';
const FIVE = { members: [A, B, C, D, E] };

describe('alone', () => {
  test('when for more than 20 s no other is to be had, and not sooner: users are placed without them', () => {
    const rig = new RingRig().start();
    refuseFor(rig, 21);
    expect(rig.ring.isSynced).toBe(false);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
    refuseFor(rig, 1);
    expect([rig.ring.isSynced, rig.ring.isAlone]).toEqual([true, true]);
    expect(rig.takeAnswers()).toEqual(['']);
  });

  test('ends when another is there', () => {
    const rig = aloneRig();
    rig.joinLeft(A);
    const right = rig.joinRight(A);
    expect(right.isClosed).toBe(false);
    expect(rig.ring.isAlone).toBe(false);
  });

  test('nobody is while a lost right neighbour is being replaced', () => {
    const { rig, right } = RingRig.synced();
    right.hangUp();
    expect(rig.ring.isAlone).toBe(false);
    expect(rig.ring.isSynced).toBe(false);
  });

  test('whoever is connected to us then is dropped: it is out of reach for us', () => {
    const rig = new RingRig(FIVE).start();
    const left = rig.joinLeft(A);
    const waiting = rig.joinLeft(E);
    refuseFor(rig, 22);
    expect(rig.ring.isAlone).toBe(true);
    expect([left.isClosed, waiting.isClosed]).toEqual([true, true]);
  });

  function aloneRig(): RingRig {
    const rig = new RingRig().start();
    refuseFor(rig, 22);
    expect(rig.ring.isAlone).toBe(true);
    return rig;
  }

  /** Nobody whom we dial is there; all are tried each second. */
  function refuseFor(rig: RingRig, secs: number): void {
    for (let i = 0; i < secs; i++) {
      while (rig.dialled.length > 0) rig.refused(rig.dialled[0].ip);
      rig.pass(1000);
    }
  }
});
