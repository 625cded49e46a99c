import { describe, expect, test } from 'vitest';
import { A, B, C, PORT, RingRig } from './ring-rig.ts';

const D = '10.9.0.4';
const directorLine = (ip: string): string => `DIRECTOR\t${ip}\t${PORT}`;

function memberIps(rig: RingRig): string[] {
  const present = rig.ring.memberStatus().filter(({ isRemoved }) => !isRemoved);
  return present.map(({ ip }) => ip);
}

describe('DIRECTOR', () => {
  test('of a member that we did not know: it is one, and all others hear of it', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    left.say(directorLine(D));
    expect(memberIps(rig)).toEqual([A, B, C, D]);
    expect(right.take()).toEqual([directorLine(D)]);
    expect(left.take()).toEqual([]);
  });

  test('of a member that we know goes on until it reaches that member', () => {
    const { left, right } = RingRig.synced();
    right.take();
    left.say(directorLine(A));
    expect(right.take()).toEqual([directorLine(A)]);
  });

  test('of ourselves ends here', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(directorLine(B));
    expect(right.take()).toEqual([]);
    expect(memberIps(rig)).toEqual([A, B, C]);
  });

  test('of the one that should be our right and is not ends here: it would go around for ever', () => {
    const rig = new RingRig({ members: [A, B, C, D] }).start();
    rig.refused(C);
    const right = rig.joinRight(D);
    const left = rig.joinLeft();
    rig.sync(right, left);
    right.take();
    left.say(directorLine(C));
    expect(right.take()).toEqual([]);
  });

  test('of a member that was restarted: its numbers begin anew', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER-KICK\t${A}\t${PORT}\t50\tfirst`, `USER-KICK\t${A}\t${PORT}\t1\told`);
    right.say(directorLine(A));
    left.say(`USER-KICK\t${A}\t${PORT}\t1\tnew`);
    expect(rig.fieldKicks).toEqual(['user=first', 'user=new']);
  });

  test('of more members than 256 is passed over', () => {
    const { rig, left } = RingRig.synced();
    for (let i = 0; i < 300; i++) left.say(directorLine(`10.8.${i >> 8}.${i & 255}`));
    expect(left.isClosed).toBe(false);
    expect(memberIps(rig)).toHaveLength(256);
  });
});

describe('adding a director by order', () => {
  test('tells all others', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    expect(rig.ring.addMember(D, PORT, rig.nowMs)).toBe(true);
    expect([left.take(), right.take()]).toEqual([[directorLine(D)], [directorLine(D)]]);
    expect(rig.ring.addMember(D, PORT, rig.nowMs)).toBe(false);
  });
});

describe('removing a director', () => {
  const removal = (ip: string): string => `DIRECTOR-REMOVE\t${ip}\t${PORT}`;

  test('by order: it hears that itself and is left; the others are told', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    expect(rig.ring.removeMember(A, PORT, rig.nowMs)).toBe(true);
    expect(left.take()).toEqual([removal(A), 'QUIT\tRemoving from ring']);
    expect(left.isClosed).toBe(true);
    expect(right.take()[0]).toBe(removal(A));
    expect(memberIps(rig)).toEqual([B, C]);
  });

  test('by another: passed on once', () => {
    const { rig, left, right } = RingRig.synced({ members: [A, B, C, D] });
    right.take();
    left.say(removal(D));
    expect(right.take()[0]).toBe(removal(D));
    left.say(removal(D));
    expect(right.take()).toEqual([]);
    expect(memberIps(rig)).toEqual([A, B, C]);
  });

  test('our right: we dial the next one', () => {
    const { rig, right } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(C, PORT, rig.nowMs);
    expect(right.isClosed).toBe(true);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([D]);
  });

  test('the ring is unsynced until all know it', () => {
    const { rig, left, right } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(D, PORT, rig.nowMs);
    expect(rig.ring.isSynced).toBe(false);
    rig.sync(right, left);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('late news do not bring it back', () => {
    const { rig, left } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(D, PORT, rig.nowMs);
    left.say(directorLine(D));
    expect(memberIps(rig)).toEqual([A, B, C]);
    expect(rig.ring.memberStatus()).toHaveLength(4);
  });

  test('it is forgotten when all know it', () => {
    const { rig, left, right } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(D, PORT, rig.nowMs);
    rig.sync(right, left);
    expect(rig.ring.memberStatus()).toHaveLength(3);
  });

  test('it is forgotten after 30 s at the latest', () => {
    const { rig } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(D, PORT, rig.nowMs);
    rig.pass(29_900);
    expect(rig.ring.memberStatus()).toHaveLength(4);
    rig.pass(100);
    expect(rig.ring.memberStatus()).toHaveLength(3);
  });

  test('ourselves, by another: the others will leave us', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(removal(B));
    expect(right.take()).toEqual([]);
    expect(memberIps(rig)).toEqual([A, B, C]);
  });

  test('ourselves, by order: the others are told', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    rig.ring.removeMember(B, PORT, rig.nowMs);
    expect([left.take()[0], right.take()[0]]).toEqual([removal(B), removal(B)]);
  });

  test('of nobody is nothing', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(removal(D));
    expect(right.take()).toEqual([]);
    expect(rig.ring.removeMember(D, PORT, rig.nowMs)).toBe(false);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('what it had ordered before goes on in our name: it may not have reached all', () => {
    const { rig, left, right } = RingRig.synced({ members: [A, B, C, D] });
    rig.ring.removeMember(D, PORT, rig.nowMs);
    right.take();
    left.say(`USER-KICK\t${D}\t${PORT}\t7\tname`);
    expect(rig.fieldKicks).toEqual(['user=name']);
    expect(right.take()).toEqual([`USER-KICK\t${B}\t${PORT}\t101\tname`]);
  });
});
