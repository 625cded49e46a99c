import { describe, expect, test } from 'vitest';
import { server } from '../directory/test-directory.ts';
import type { Neighbour } from './neighbour.ts';
import { OURS } from './ours-ring.ts';
import { A, B, C, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

const D = '10.9.0.4';
const USER = 7;

const at = (secs: number): number => START_SECS - secs;
const usersOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => /^(U|USER)\t/.test(line));
};
const knownUser = `U\t${USER}\t${HOST_2}\t${at(5)}`;
const unsureUser = `${knownUser}\tunsure`;

/** A login of the user: let in, or others are asked first. */
function asksAbout(rig: RingRig, neighbour: Neighbour, tagIndex = 0): boolean {
  neighbour.take();
  rig.answers.length = 0;
  rig.login(USER, 0, tagIndex);
  const isAsked = neighbour.take().some((line) => line.startsWith('USER-WEAK'));
  expect(rig.takeAnswers()).toEqual(isAsked ? [] : ['']);
  return isAsked;
}

describe('DONE of ours to one of ours', () => {
  test('wants users when it has no left neighbour yet', () => {
    const rig = new RingRig(OURS).start();
    expect(rig.joinLeft().take()).toContain('DONE\twants-users');
  });

  test('says which, when it has one', () => {
    const rig = new RingRig({ ours: [A, D], members: [A, B, C, D] }).start();
    rig.joinLeft(D);
    const sent = rig.joinLeft(A).take();
    expect(sent.filter((line) => line.startsWith('DONE'))).toEqual([
      `DONE\thas-left\t${D}\t${PORT}`,
    ]);
  });

  test('to one of Dovecot’s has no field', () => {
    const rig = new RingRig().start();
    expect(rig.joinLeft().take()).toContain('DONE');
  });
});

describe('users that we are given when we join a ring', () => {
  /** We have just been started; so was our right neighbour, perhaps. */
  function joining(done: string | null, ours: readonly string[] = [A, C]): Scene {
    const rig = new RingRig({ ours }).start();
    const right = rig.reached(C);
    right.greet();
    if (done !== null) right.say(done);
    right.take();
    const left = rig.dialledBy(A)!;
    left.greet();
    return { rig, left, right };
  }

  interface Scene {
    readonly rig: RingRig;
    readonly left: Neighbour;
    readonly right: Neighbour;
  }

  test.each([
    ['wants them', 'DONE\twants-users', [`USER\t${USER}\t${HOST_2}\t${at(5)}`]],
    ['has not said so yet', null, [`USER\t${USER}\t${HOST_2}\t${at(5)}`]],
    ['has them', 'DONE', []],
    ['has them of the same ring', `DONE\thas-left\t${A}\t${PORT}`, []],
    [
      'has those of another ring',
      `DONE\thas-left\t${D}\t${PORT}`,
      [`USER\t${USER}\t${HOST_2}\t${at(5)}`],
    ],
  ])('are passed on to a right neighbour of ours that %s', (_name, done, passed) => {
    const { left, right } = joining(done);
    left.handOver({ isDone: 1, users: [knownUser] });
    expect(usersOf(right)).toEqual(passed);
  });

  test('are not passed on to one of Dovecot’s: it is given what its ring has', () => {
    const { left, right } = joining('DONE\twants-users', [A]);
    left.handOver({ isDone: 1, users: [knownUser] });
    expect(usersOf(right)).toEqual([]);
  });

  test.each(['wants-users', `has-left\t${D}\t${PORT}`])(
    'are not passed on to one that said %s, when the ring has been synced: it has got them',
    (word) => {
      const { rig, left, right } = joining(`DONE\t${word}`);
      left.handOver({ isDone: 1 });
      left.say(right.take().findLast((line) => line.startsWith(`SYNC\t${B}`))!);
      expect(rig.ring.isSynced).toBe(true);
      left.say(`USER\t${USER}\t${HOST_2}\t${at(5)}\tunsure`);
      expect(usersOf(right)).toEqual([]);
    },
  );

  test('are passed on as unsure if they are', () => {
    const { left, right } = joining('DONE\twants-users');
    left.handOver({ isDone: 1, users: [unsureUser] });
    expect(usersOf(right)).toEqual([`USER\t${USER}\t${HOST_2}\t${at(5)}\tunsure`]);
  });

  test('are not passed on twice', () => {
    const { left, right } = joining('DONE\twants-users');
    left.handOver({ isDone: 1, users: [unsureUser, unsureUser] });
    expect(usersOf(right)).toHaveLength(1);
  });

  test('USER … unsure goes on in the same way, and the user is asked about', () => {
    const { rig, left, right } = joining('DONE\twants-users');
    left.handOver({ isDone: 1 });
    left.say(`USER\t${USER}\t${HOST_2}\t${at(5)}\tunsure`);
    const lines = right.take();
    expect(lines).toContain(`USER\t${USER}\t${HOST_2}\t${at(5)}\tunsure`);
    left.say(lines.findLast((line) => line.startsWith(`SYNC\t${B}`))!);
    expect(asksAbout(rig, right)).toBe(true);
  });
});

describe('a user on whom a member does not rely', () => {
  test.each([
    ['one of ours', [A, C], [`U\t${USER}\t${HOST_1}\t${at(5)}\tunsure`]],
    ['one of Dovecot’s', [], []],
  ])('is told to %s that we dial: %j', (_name, ours, lines) => {
    const { rig, left, right } = RingRig.synced();
    // Old news, perhaps: Dovecot's members cannot tell.
    left.order('HOST-FLUSH', HOST_2);
    rig.sync(right, left);
    left.say(`USER\t${USER}\t${HOST_2}\t${at(5)}`);
    right.hangUp();
    rig.pass(100);
    for (const ip of ours) rig.ours.add(ip);
    const again = rig.reached(rig.dialled[0].ip);
    again.greet();
    expect(usersOf(again)).toEqual(lines);
  });

  test.each([
    ['one of ours, as such: it would let the user in beside open sessions', [A, C], '\tkilled'],
    ['one of Dovecot’s, as any other', [], ''],
  ])('because its sessions are being closed is told to %s', (_name, ours, word) => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_1}\t${at(60)}`);
    rig.openSession(USER, HOST_1);
    rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
    right.hangUp();
    for (const ip of ours) rig.ours.add(ip);
    const again = rig.reached(rig.dialled[0].ip);
    again.greet();
    expect(usersOf(again)).toEqual([`U\t${USER}\t${HOST_2}\t${START_SECS}${word}`]);
  });

  test('because its host is flushed and its sessions are being closed is told to ours as unsure', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_2}\t${at(60)}`);
    rig.openSession(USER, HOST_2);
    left.order('HOST-FLUSH', HOST_2);
    right.hangUp();
    for (const ip of [A, C]) rig.ours.add(ip);
    const again = rig.reached(rig.dialled[0].ip);
    again.greet();
    expect(usersOf(again)).toEqual([`U\t${USER}\t${HOST_1}\t${at(60)}\tunsure`]);
  });

  test('because another closes its sessions is asked about, if it is not known', () => {
    const rig = new RingRig(OURS).start();
    const right = rig.joinRight();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 1, users: [`${knownUser}\tkilled`] });
    rig.sync(right, left);
    expect(asksAbout(rig, right)).toBe(true);
  });

  test('because another closes its sessions is a conflict, if it is elsewhere here', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    left.say(`USER\t${USER}\t${HOST_1}\t${at(60)}`);
    left.hangUp();
    const again = rig.dialledBy(A)!;
    again.greet();
    right.take();
    again.handOver({ isDone: 1, users: [`${knownUser}\tkilled`] });
    expect(right.take()).toContain(`USER-KICK-HASH\t${B}\t${PORT}\t101\t${USER}\t${HOST_1}`);
  });

  test('is asked about by who is given it, before it is placed', () => {
    const rig = new RingRig(OURS).start();
    const right = rig.joinRight();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 1, users: [unsureUser] });
    rig.sync(right, left);
    expect(rig.hostOf(USER)).toBeNull();
    expect(asksAbout(rig, right)).toBe(true);
  });

  test.each([
    [900 + 120, false],
    [900 + 119, true],
  ])('seen %i s ago is taken as such: %s', (secs, isTaken) => {
    const { rig, left, right } = RingRig.synced(OURS);
    left.say(`USER\t${USER}\t${HOST_2}\t${at(secs)}\tunsure`);
    expect(asksAbout(rig, right)).toBe(isTaken);
  });

  test('stays what it is where it is known', () => {
    const { rig, left } = RingRig.synced(OURS);
    left.say(`USER\t${USER}\t${HOST_1}\t${at(5)}`);
    left.say(`USER\t${USER}\t${HOST_2}\t${at(1)}\tunsure`);
    expect(rig.hostOf(USER)).toBe(HOST_1);
    expect(rig.logged('error')).toEqual([]);
  });
});

describe('a user on a backend that is not known here', () => {
  test('others are asked about it: the backend may be back in a moment', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_3}\t${START_SECS}`);
    expect(asksAbout(rig, right)).toBe(true);
  });

  test('likewise in a handshake', () => {
    const { rig, left, right } = RingRig.synced();
    left.hangUp();
    const again = rig.dialledBy(A)!;
    again.greet();
    again.handOver({ isDone: 1, users: [`U\t${USER}\t${HOST_3}\t${at(5)}`] });
    rig.sync(right, again);
    expect(asksAbout(rig, right)).toBe(true);
  });

  test('stays where it is, if it is known', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_2}\t${at(5)}`, `USER\t${USER}\t${HOST_3}\t${START_SECS}`);
    expect(rig.hostOf(USER)).toBe(HOST_2);
    expect(asksAbout(rig, right)).toBe(false);
  });

  test('is the user of any tag: the line has none', () => {
    const mailServers = [server(HOST_1), server(HOST_2, 100, 'tag')];
    const { rig, left, right } = RingRig.synced({ mailServers });
    left.say(`USER\t${USER}\t${HOST_3}\t${START_SECS}`);
    expect([asksAbout(rig, right, 0), asksAbout(rig, right, 1)]).toEqual([true, true]);
  });
});

test('no user is moved before the ring is joined: the ring may know it otherwise, and would not wait for us', () => {
  const rig = new RingRig().start();
  const right = rig.joinRight();
  right.take();
  expect(rig.directory.moveUser('', USER, HOST_2, rig.nowMs)).toBe('busy');
  expect(right.take()).toEqual([]);
  const left = rig.joinLeft();
  rig.sync(right, left);
  expect(rig.directory.moveUser('', USER, HOST_2, rig.nowMs)).toBe('moving');
});

describe('two complete rings that claim our left while we join', () => {
  const weight = (count: number): string[] => [`HOST\t${HOST_3}\t${count}\t\tU0\t`];

  test('the second does not take what the first has given us: both are put together', () => {
    const rig = new RingRig({ members: [A, B, C, D] }).start();
    const first = rig.dialledBy(D)!;
    first.greet();
    first.handOver({ isDone: 1, hosts: weight(50), users: [`U\t${USER}\t${HOST_3}\t${at(5)}`] });
    const second = rig.dialledBy(A)!;
    second.greet();
    second.handOver({ isDone: 1, hosts: [`HOST\t${HOST_1}\t100\t\tU0\t`] });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_1, HOST_3]);
    expect(rig.hostOf(USER)).toBe(HOST_3);
  });

  test('the second does, if the first is gone', () => {
    const rig = new RingRig({ members: [A, B, C, D] }).start();
    const first = rig.dialledBy(D)!;
    first.greet();
    first.handOver({ isDone: 1, hosts: weight(50) });
    first.hangUp();
    const second = rig.dialledBy(A)!;
    second.greet();
    second.handOver({ isDone: 1, hosts: [`HOST\t${HOST_1}\t100\t\tU0\t`] });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_1]);
  });
});

test('what a flush held back goes on when all is forgotten to join a ring', () => {
  const rig = new RingRig(OURS).start();
  const right = rig.joinRight();
  const host = `HOST\t${HOST_1}\t100\t\tU0\t`;
  // Seen a moment ago: the workers are asked to close its sessions.
  right.say(`USER\t${USER}\t${HOST_1}\t${START_SECS}`);
  right.order('HOST-FLUSH', HOST_1);
  right.passBarrier();
  const sync = `SYNC\t${C}\t${PORT}\t1\t9\t${START_SECS}\t0`;
  right.say(sync);
  expect(right.take()).not.toContain(sync);
  const left = rig.dialledBy(A)!;
  left.greet();
  left.handOver({ isDone: 1, hosts: [host] });
  expect(right.take()).toContain(sync);
});
