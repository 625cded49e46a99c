import { describe, expect, test } from 'vitest';
import { A, B, C, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

describe('greeting', () => {
  test('who dials is told version and name, at once', () => {
    const rig = new RingRig().start();
    expect(rig.dialledBy(A)!.take()).toEqual([
      'VERSION\tdirector\t1\t9\tbarriers',
      `ME\t${B}\t${PORT}\t${START_SECS}`,
    ]);
  });

  test('who is dialled is told the members as well, and the hosts when its version is known', () => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    expect(right.take()).toEqual([
      'VERSION\tdirector\t1\t9\tbarriers',
      `ME\t${B}\t${PORT}\t${START_SECS}`,
      ...[A, B, C].map((ip) => `DIRECTOR\t${ip}\t${PORT}`),
    ]);
    right.say('VERSION\tdirector\t1\t9');
    expect(right.take()).toEqual([
      'HOST-HAND-START\t0',
      `HOST\t${HOST_1}\t100\t\tU0\t`,
      `HOST\t${HOST_2}\t100\t\tU0\t`,
      'HOST-HAND-END\t0',
      'OPTIONS\tconsistent-hashing',
      'DONE',
    ]);
  });

  test('a clock that is more than a second off is warned about', () => {
    const rig = new RingRig().start();
    const warnings = [0, 1, 2, -1, -2].map((offsetSecs) => {
      const left = rig.dialledBy(A)!;
      left.say('VERSION\tdirector\t1\t9', `ME\t${A}\t${PORT}\t${START_SECS + offsetSecs}`);
      left.hangUp();
      return rig.logged('warn').filter((text) => text.includes('clock differs')).length;
    });
    expect(warnings).toEqual([0, 0, 1, 1, 2]);
  });
});

describe('hosts in a handshake', () => {
  const third = [`HOST\t${HOST_3}\t50\t\tU0\t`];

  test('we join a ring that is synced: our hosts go, its hosts come', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 1, hosts: third });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_3]);
  });

  test('the ring that we join is told its hosts by us, but for who told us', () => {
    const rig = new RingRig().start();
    const right = rig.joinRight();
    right.take();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.take();
    left.handOver({ isDone: 1, hosts: third });
    expect(right.take()).toContain(`HOST\t${B}\t${PORT}\t101\t${HOST_3}\t50\t\tU0\t`);
    expect(left.take().some((line) => line.startsWith('HOST'))).toBe(false);
  });

  test('two who have never been synced put theirs together', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ isDone: 0, hosts: third });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_1, HOST_2, HOST_3]);
  });

  test('one who joins us does not bring its hosts', () => {
    const { rig, left } = RingRig.synced();
    left.hangUp();
    const newcomer = rig.dialledBy(A)!;
    newcomer.greet();
    newcomer.handOver({ isDone: 0, hosts: third });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_1, HOST_2]);
  });

  test('two synced rings put theirs together', () => {
    const { rig, left } = RingRig.synced();
    left.hangUp();
    const other = rig.dialledBy(A)!;
    other.greet();
    other.handOver({ isDone: 1, hosts: third });
    expect(rig.directory.hosts.map(({ ip }) => ip)).toEqual([HOST_1, HOST_2, HOST_3]);
  });

  test('nothing may come between them', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.take();
    left.say('HOST-HAND-START\t0', 'PING\t1\t0');
    expect(left.take()).toEqual(['QUIT\tInvalid input: PING']);
    expect(left.isClosed).toBe(true);
  });

  test('are not taken from whom we dial', () => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    right.greet();
    right.take();
    right.say('HOST-HAND-START\t0');
    expect(right.take()).toEqual(['QUIT\tInvalid input: HOST-HAND-START']);
  });
});

describe('users in a handshake', () => {
  const at = (secs: number): number => START_SECS - secs;

  test('are taken over, with their time', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ users: [`U\t7\t${HOST_2}\t${at(100)}`] });
    expect(rig.directory.status.currentHost('', 7)).toEqual({
      ip: HOST_2,
      expiresAtSecs: at(100) + 900,
    });
  });

  test('with a time ahead of ours count as seen now', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ users: [`U\t7\t${HOST_2}\t${at(-100)}`] });
    expect(rig.directory.status.currentHost('', 7)?.expiresAtSecs).toBe(START_SECS + 900);
  });

  test('who have expired are ignored', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ users: [`U\t7\t${HOST_2}\t${at(900)}`, `U\t8\t${HOST_2}\t${at(899)}`] });
    expect([rig.hostOf(7), rig.hostOf(8)]).toEqual([null, HOST_2]);
  });

  test('who are weak stay weak: nobody lets them in before their host is agreed on', () => {
    const { rig, left } = RingRig.synced();
    left.hangUp();
    const again = rig.dialledBy(A)!;
    again.greet();
    again.handOver({ users: [`U\t7\t${HOST_2}\t${START_SECS}\tw`] });
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
    expect(rig.directory.counts().weak).toBe(1);
  });

  test('of a host that is not known here are passed over', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.handOver({ users: [`U\t7\t${HOST_3}\t${START_SECS}`] });
    expect(left.isClosed).toBe(false);
    expect(rig.hostOf(7)).toBeNull();
  });

  test('of a ring that meets ours are told to the other side: else it would place them anew', () => {
    const { rig, left, right } = RingRig.synced();
    left.hangUp();
    right.take();
    const other = rig.dialledBy(A)!;
    other.greet();
    other.handOver({ isDone: 1, users: [`U\t7\t${HOST_2}\t${at(5)}`] });
    expect(right.take()).toContain(`USER\t7\t${HOST_2}\t${at(5)}`);
  });

  test('are those that we have: seen, weak, moved; not the expired', () => {
    const { rig, right } = RingRig.synced();
    rig.directory.moveUser('', 7, HOST_2, rig.nowMs);
    const now = rig.nowSecs;
    right.say(`USER\t8\t${HOST_1}\t${now - 899}`, `USER\t9\t${HOST_1}\t${now - 400}`);
    right.order('USER-WEAK', 10, HOST_2);
    rig.pass(10_000);
    right.hangUp();
    rig.pass(100);
    const again = rig.reached(rig.dialled[0].ip);
    again.greet();
    const users = again.take().filter((line) => line.startsWith('U\t'));
    expect(users.sort()).toEqual(
      [
        `U\t10\t${HOST_2}\t${now}\tw`,
        `U\t7\t${HOST_2}\t${now}`,
        `U\t9\t${HOST_1}\t${now - 400}`,
      ].sort(),
    );
  });
});
