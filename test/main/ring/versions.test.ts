import { describe, expect, test } from 'vitest';
import { SELF } from '../../../src/main/directory/ring-link.ts';
import { server } from '../directory/test-directory.ts';
import type { Neighbour } from './neighbour.ts';
import { A, B, C, HOST_1, HOST_2, PORT, RingRig, START_SECS } from './ring-rig.ts';

describe('who speaks something else is not talked to', () => {
  test.each([
    ['another protocol', 'VERSION\tdoveadm\t1\t9'],
    ['an older major version', 'VERSION\tdirector\t0\t9'],
    ['a newer major version', 'VERSION\tdirector\t2\t0'],
    ['no number', 'VERSION\tdirector\t1\tx'],
    ['a minor version that is none', 'VERSION\tdirector\t1\t-1'],
    ['no minor version', 'VERSION\tdirector\t1'],
    ['nothing of the kind', 'HELLO'],
  ])('%s', (_name, line) => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(line, left.me());
    expect(left.isClosed).toBe(true);
    expect(rig.logged('error')).toHaveLength(1);
  });

  test('and whom we dial that does so is left alone for a minute', () => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    right.say('VERSION\tdirector\t2\t0');
    expect(right.isClosed).toBe(true);
    // A is the other one.
    rig.refused(A);
    rig.pass(1000);
    // Alone we try all again, every second.
    expect(rig.isDialling(C)).toBe(true);
  });

  test('a second VERSION ends the connection', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say('VERSION\tdirector\t1\t9', 'VERSION\tdirector\t1\t9');
    expect(left.isClosed).toBe(true);
  });
});

describe('a minor version', () => {
  const minors = Array.from({ length: 11 }, (_, minor) => minor);

  test.each(minors)(
    '%i: those below 5 know nothing of consistent hashing, and are refused',
    (minor) => {
      const rig = new RingRig().start();
      const left = rig.dialledBy(A)!;
      left.greet(minor);
      const right = rig.reached(C);
      right.greet(minor);
      expect([left.isClosed, right.isClosed]).toEqual([minor < 5, minor < 5]);
    },
  );

  test.each(minors)(
    '%i: below 7 tags are of another kind: refused where hosts have tags',
    (minor) => {
      const rig = new RingRig({ mailServers: [server(HOST_1), server(HOST_2, 100, 'eu')] }).start();
      const right = rig.reached(C);
      right.greet(minor);
      expect(right.isClosed).toBe(minor < 7);
    },
  );

  test.each([5, 6, 7, 8, 9])('%i: hosts in the handshake as it knows them', (minor) => {
    const rig = new RingRig().start();
    rig.directory.setDown(HOST_2, true, rig.nowMs);
    const right = rig.reached(C);
    right.greet(minor);
    const hosts = right.take().filter((line) => line.startsWith('HOST\t'));
    const down = minor < 6 ? [] : [`HOST\t${HOST_2}\t100\t\tD${START_SECS}\t`];
    expect(hosts.at(-1)).toBe(down[0] ?? `HOST\t${HOST_2}\t100`);
  });

  test.each([5, 6, 7, 8, 9])('%i: users in the handshake as it knows them', (minor) => {
    const { rig, left, right } = RingRig.synced();
    rig.directory.moveUser('', 7, HOST_2, rig.nowMs);
    left.take();
    right.hangUp();
    const again = rig.reached(A);
    again.greet(minor);
    const command = minor < 9 ? 'USER' : 'U';
    expect(again.take()).toContain(`${command}\t7\t${HOST_2}\t${START_SECS}`);
  });

  test.each([5, 8])('%i: its users come as USER with a time', (minor) => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet(minor);
    left.handOver({ users: [`USER\t7\t${HOST_2}\t${START_SECS - 5}\tw`] });
    expect(rig.directory.counts().weak).toBe(1);
  });

  /** A and C both have it. */
  function ringOf(minor: number): { rig: RingRig; left: Neighbour; right: Neighbour } {
    const rig = new RingRig().start();
    const right = rig.joinRight(C, minor);
    const left = rig.joinLeft(A, minor);
    rig.sync(right, left);
    rig.answerPings(left, right);
    left.take();
    return { rig, left, right };
  }

  test.each([5, 6, 7, 8, 9])('%i: is told of a user without time below 9', (minor) => {
    const { rig, left } = ringOf(minor);
    rig.login(7);
    const host = rig.hostOf(7);
    expect(left.take()).toEqual([`USER\t7\t${host}${minor < 9 ? '' : `\t${START_SECS}`}`]);
  });

  test.each([5, 6, 7, 8, 9])('%i: is told of kicks by another field from 8 on', (minor) => {
    const { rig, left } = ringOf(minor);
    rig.directory.kickUserAlt(SELF, 'user_x', 'y');
    expect(left.take()).toHaveLength(minor < 8 ? 0 : 1);
  });

  test.each([5, 6, 7, 8, 9])('%i: the ring as a whole speaks the lowest: HOST', (minor) => {
    const rig = new RingRig().start();
    const right = rig.joinRight();
    const left = rig.joinLeft();
    const sync = right.takeAll().findLast((line) => line.startsWith(`SYNC\t${B}\t`))!;
    const fields = sync.split('\t');
    // Somebody between C and A has lowered it.
    fields[4] = `${minor}`;
    left.say(fields.join('\t'));
    left.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const begin = `HOST\t${B}\t${PORT}\t101\t${HOST_1}\t50`;
    expect(left.take()[0]).toBe(minor < 6 ? begin : `${begin}\t\tU0\t`);
  });

  test('our own is lowered to in the SYNC of others, never raised', () => {
    const { left, right } = RingRig.synced();
    right.take();
    left.say(`SYNC\t${A}\t${PORT}\t1\t12\t${START_SECS}\t0`);
    expect(right.take()).toEqual([`SYNC\t${A}\t${PORT}\t1\t9\t${START_SECS}\t0`]);
    left.say(`SYNC\t${A}\t${PORT}\t2\t6\t${START_SECS}\t0`);
    expect(right.take()).toEqual([`SYNC\t${A}\t${PORT}\t2\t6\t${START_SECS}\t0`]);
  });

  test('a tag from one that is too old for tags ends the connection', () => {
    const { left } = ringOf(6);
    left.order('HOST', '10.0.0.9', 100, 'eu', 'U0', '');
    expect(left.isClosed).toBe(true);
  });
});

describe('OPTIONS', () => {
  const rest = ['HOST-HAND-START\t0', 'HOST-HAND-END\t0'];

  test.each([
    ['consistent-hashing among others', ['OPTIONS\tother\tconsistent-hashing', 'DONE'], false],
    ['without it', ['OPTIONS\tother', 'DONE'], true],
    ['empty', ['OPTIONS', 'DONE'], true],
    ['none: an old director without consistent hashing places users otherwise', ['DONE'], true],
  ])('%s', (_name, lines, isRefused) => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.say(...rest, ...lines);
    expect(left.isClosed).toBe(isRefused);
    const errors = rig.logged('error');
    expect(errors.filter((text) => text.includes('consistent_hashing'))).toHaveLength(
      isRefused ? 1 : 0,
    );
  });
});
