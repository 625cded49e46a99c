import { describe, expect, test } from 'vitest';
import { SELF } from '../../../src/main/directory/ring-link.ts';
import { A, B, C, HOST_1, HOST_3, PORT, RingRig } from './ring-rig.ts';

describe('an order of another director', () => {
  const kick = (seq: number, name: string, by = A): string => {
    return `USER-KICK\t${by}\t${PORT}\t${seq}\t${name}`;
  };

  test('goes on to all but where it came from, under the name and number of who gave it', () => {
    const { left, right } = RingRig.synced();
    left.take();
    right.take();
    left.say(kick(1, 'name'));
    expect(right.take()).toEqual([kick(1, 'name')]);
    expect(left.take()).toEqual([]);
  });

  test('is done once, wherever it comes from', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(kick(1, 'name'));
    right.take();
    right.say(kick(1, 'name'));
    left.say(kick(1, 'name'), kick(1, 'name'));
    expect(rig.fieldKicks).toEqual(['user=name']);
    expect(right.take()).toEqual([]);
  });

  test('with a lower number than one before is old', () => {
    const { rig, left } = RingRig.synced();
    left.say(kick(5, 'five'), kick(4, 'four'), kick(0, 'zero'), kick(6, 'six'));
    expect(rig.fieldKicks).toEqual(['user=five', 'user=six']);
  });

  test('numbers of one director say nothing of those of another', () => {
    const { rig, left } = RingRig.synced();
    left.say(kick(5, 'of A'), kick(1, 'of C', C));
    expect(rig.fieldKicks).toEqual(['user=of A', 'user=of C']);
  });

  test('of one whom we do not know goes on as ours', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(kick(5, 'name', '10.9.0.77'));
    expect(rig.fieldKicks).toEqual(['user=name']);
    expect(right.take()).toEqual([`USER-KICK\t${B}\t${PORT}\t101\tname`]);
  });

  test('of our own that comes back is old', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    rig.directory.kickUser(SELF, 'name');
    const [line] = right.take();
    left.say(line);
    expect(rig.fieldKicks).toEqual(['user=name']);
    expect(right.take()).toEqual([]);
  });

  test('under our name that we did not give is not done, and our numbers go on', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(kick(4_294_967_295, 'name', B));
    expect(rig.fieldKicks).toEqual([]);
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    expect(right.take()[0]).toBe(`HOST\t${B}\t${PORT}\t101\t${HOST_1}\t50\t\tU0\t`);
  });

  test('of a director that dials us anew counts from the beginning', () => {
    const { rig, left } = RingRig.synced();
    left.say(kick(50, 'before'));
    left.hangUp();
    const again = rig.joinLeft();
    again.say(kick(1, 'after'));
    expect(rig.fieldKicks).toEqual(['user=before', 'user=after']);
  });

  test('all kinds end as seen', () => {
    const { left, right } = RingRig.synced();
    right.take();
    const lines = [
      `HOST\t${A}\t${PORT}\t1\t${HOST_3}\t50\t\tU0\t`,
      `HOST-FLUSH\t${A}\t${PORT}\t2\t${HOST_3}`,
      `HOST-REMOVE\t${A}\t${PORT}\t3\t${HOST_3}`,
      `USER-MOVE\t${A}\t${PORT}\t4\t7\t${HOST_1}`,
      `USER-KICK-HASH\t${A}\t${PORT}\t5\t7\t${HOST_1}`,
      `USER-KICK-ALT\t${A}\t${PORT}\t6\tfield\tvalue`,
    ];
    const ordersTo = (): string[] => right.take().filter((line) => /^(HOST|USER-)/.test(line));
    for (const line of lines) left.say(line);
    expect(ordersTo().filter((line) => !line.startsWith('USER-KILLED'))).toEqual(lines);
    for (const line of lines) left.say(line);
    expect(ordersTo()).toEqual([]);
  });
});

describe('a kick', () => {
  test('by name and by another field: text is escaped, and comes out as it was', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.order('USER-KICK', 'a\x01tb\x01nc');
    left.order('USER-KICK-ALT', 'user_\x011x', 'v\xc3\xa9');
    expect(rig.fieldKicks).toEqual(['user=a\tb\nc', 'user_\x01x=v\xc3\xa9']);
    expect(right.take()).toEqual([
      `USER-KICK\t${A}\t${PORT}\t1\ta\x01tb\x01nc`,
      `USER-KICK-ALT\t${A}\t${PORT}\t2\tuser_\x011x\tv\xc3\xa9`,
    ]);
  });

  test('of a name that would be too long a line for the others is not passed on', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(`USER-KICK\t${A}\t${PORT}\t1\t${'\x01t'.repeat(480)}`);
    expect(right.take()).toEqual([]);
    expect(rig.logged('error')).toHaveLength(1);
    expect(left.isClosed).toBe(false);
  });

  test('here is told to all, and changes no user', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    left.take();
    right.take();
    const host = rig.hostOf(7);
    left.order('USER-KICK', 'name');
    expect(rig.hostOf(7)).toBe(host);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual(['', '']);
  });
});
