import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, B, C, HOST_1, HOST_2, PORT, type RigOptions, RingRig, START_SECS } from './ring-rig.ts';

const EXPIRE_SECS = 900;
/** Of a user that counts as near its expiry. */
const NEAR = START_SECS - EXPIRE_SECS + 29;
/** Of a user that is not seen so lately that a question about it is refused. */
const OLD = START_SECS - EXPIRE_SECS / 2 - 1;
/** The hash gives HOST_1 to this user, HOST_2 to the other. */
const USER = firstWithHash(HOST_1);

function firstWithHash(ip: string): number {
  const { directory } = new RingRig();
  for (let hash = 1; ; hash += 0x0100_0000) {
    if (directory.status.hashedHost('', hash) === ip) return hash;
  }
}

const userLine = (host: string, secs: number): string => `USER\t${USER}\t${host}\t${secs}`;
const weakLine = (by: string, seq: number, host: string): string => {
  return `USER-WEAK\t${by}\t${PORT}\t${seq}\t${USER}\t${host}`;
};

/** The user is on the other host than its hash gives, and near its expiry. */
function nearExpiry(options: RigOptions = {}): { rig: RingRig; left: Neighbour; right: Neighbour } {
  const made = RingRig.synced(options);
  made.left.say(userLine(HOST_2, NEAR));
  made.left.take();
  made.right.take();
  return made;
}

describe('a login of a user near its expiry: another director may have forgotten it already', () => {
  test('all are asked; the login waits until the question is back', () => {
    const { rig, left, right } = nearExpiry();
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual([]);
    expect([left.take(), right.take()]).toEqual([
      [weakLine(B, 101, HOST_2)],
      [weakLine(B, 101, HOST_2)],
    ]);
    left.say(weakLine(B, 101, HOST_2));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(left.take()).toContain(userLine(HOST_2, START_SECS));
  });

  test('one who knows better says so, and that holds', () => {
    const { rig, left } = nearExpiry();
    rig.login(USER);
    left.say(userLine(HOST_1, START_SECS - 5));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(USER)).toBe(HOST_1);
  });

  test('nobody is asked where all would place the user alike', () => {
    const made = RingRig.synced();
    made.left.say(userLine(HOST_1, NEAR));
    made.right.take();
    made.rig.login(USER);
    expect(made.rig.takeAnswers()).toEqual(['']);
    expect(made.right.take()).toEqual([userLine(HOST_1, START_SECS)]);
  });

  test('nobody is asked about a user with a session here', () => {
    const { rig, right } = nearExpiry();
    rig.openSession(USER, HOST_2);
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual(['']);
    expect(right.take()).toEqual([userLine(HOST_2, START_SECS)]);
  });

  test('more logins ask no more', () => {
    const { rig, right } = nearExpiry();
    rig.login(USER, 1);
    rig.login(USER, 2);
    expect(right.take()).toEqual([weakLine(B, 101, HOST_2)]);
    right.say(weakLine(B, 101, HOST_2));
    expect(rig.takeAnswers()).toEqual(['', '']);
  });

  test('without answer the login fails in Dovecot’s words, and the user does not stay weak', () => {
    const { rig } = nearExpiry();
    rig.login(USER);
    rig.pass(31_000);
    expect(rig.takeAnswers()[0]).toMatch(
      /^Timeout because weak user - queued for 30 secs \(Ring synced for 30 secs, /,
    );
    rig.pass(30_000);
    expect(rig.directory.counts().weak).toBe(0);
  });

  test('a question that was lost with a connection is asked again', () => {
    const { rig, left, right } = nearExpiry();
    rig.login(USER);
    right.hangUp();
    rig.refused(A);
    rig.pass(1000);
    const again = rig.joinRight(C);
    rig.sync(again, left);
    expect(rig.takeAnswers()).toEqual([]);
    const [question] = again.take().filter((line) => line.startsWith('USER-WEAK'));
    left.say(question);
    expect(rig.takeAnswers()).toEqual(['']);
  });

  test('alone we ask nobody', () => {
    const rig = new RingRig({ members: [B] }).start();
    rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
    rig.pass((EXPIRE_SECS - 10) * 1000);
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(USER)).toBe(HOST_2);
  });
});

describe('a login of a user that has expired here: another director may have it still', () => {
  test('all are asked about the host that its hash gives', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(userLine(HOST_2, NEAR));
    rig.pass(45_000);
    right.take();
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual([]);
    expect(right.take()).toEqual([weakLine(B, 101, HOST_1)]);
    right.say(userLine(HOST_2, START_SECS));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(USER)).toBe(HOST_2);
  });

  test('after two minutes more nobody is asked', () => {
    const { rig, left } = RingRig.synced();
    left.say(userLine(HOST_2, NEAR));
    rig.pass((30 + 120 + 15) * 1000);
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(USER)).toBe(HOST_1);
  });
});

describe('a question of another director', () => {
  test('is passed on, and nobody is let in before it is settled', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.order('USER-WEAK', USER, HOST_2);
    expect(right.take()).toEqual([weakLine(A, 1, HOST_2)]);
    rig.login(USER);
    expect(rig.takeAnswers()).toEqual([]);
    left.say(userLine(HOST_2, START_SECS));
    expect(rig.takeAnswers()).toEqual(['']);
  });

  test('about a user not seen lately is taken', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(userLine(HOST_1, OLD));
    right.take();
    left.order('USER-WEAK', USER, HOST_2);
    expect(rig.hostOf(USER)).toBe(HOST_2);
    expect(right.take()).toEqual([weakLine(A, 1, HOST_2)]);
  });

  test('about a user seen lately is refused: all hear what we know, the asker too', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(userLine(HOST_1, OLD + 1));
    left.take();
    right.take();
    left.order('USER-WEAK', USER, HOST_2);
    expect(rig.hostOf(USER)).toBe(HOST_1);
    const answer = userLine(HOST_1, OLD + 1);
    expect([left.take(), right.take()]).toEqual([[answer], [answer]]);
  });

  test('about a user with a session here is refused', () => {
    const { rig, left } = RingRig.synced();
    left.say(userLine(HOST_1, OLD));
    rig.openSession(USER, HOST_1);
    left.take();
    left.order('USER-WEAK', USER, HOST_2);
    expect(left.take()).toEqual([userLine(HOST_1, START_SECS)]);
    expect(rig.directory.counts().weak).toBe(0);
  });

  test('about a user that is being moved has no answer: it would be let in too early', () => {
    const { rig, left, right } = RingRig.synced();
    rig.directory.moveUser('', USER, HOST_1, rig.nowMs);
    left.take();
    right.take();
    left.order('USER-WEAK', USER, HOST_2);
    expect([...left.take(), ...right.take()]).toEqual([]);
  });

  test('goes by twice, from either side; a third time it runs in circles', () => {
    const { left, right } = RingRig.synced();
    left.take();
    right.take();
    left.say(weakLine(A, 1, HOST_2));
    right.say(weakLine(A, 1, HOST_2));
    expect(right.take()).toEqual([weakLine(A, 1, HOST_2)]);
    expect(left.take()).toEqual([weakLine(A, 1, HOST_2)]);
    left.say(weakLine(A, 1, HOST_2));
    right.say(weakLine(A, 1, HOST_2));
    expect([left.take(), right.take()]).toEqual([[], []]);
  });

  test('of one who is gone becomes ours, and ends', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.take();
    left.say(weakLine('10.9.0.77', 1, HOST_2));
    expect(right.take()).toEqual([weakLine(B, 101, HOST_2)]);
    left.say(weakLine(B, 101, HOST_2));
    expect(rig.directory.counts().weak).toBe(0);
    expect(right.take()).toEqual([userLine(HOST_2, START_SECS)]);
  });

  test('whose asker does not come back is given up after 30 s', () => {
    const { rig, left } = RingRig.synced();
    left.order('USER-WEAK', USER, HOST_2);
    rig.pass(29_900);
    expect(rig.directory.counts().weak).toBe(1);
    rig.pass(200);
    expect(rig.directory.counts().weak).toBe(0);
  });

  test('whose asker does not come back is asked by us when somebody logs in', () => {
    const { rig, left, right } = RingRig.synced();
    left.order('USER-WEAK', USER, HOST_2);
    rig.pass(15_000);
    right.take();
    rig.login(USER);
    expect(right.take()).toEqual([weakLine(B, 101, HOST_2)]);
    left.say(weakLine(B, 101, HOST_2));
    expect(rig.takeAnswers()).toEqual(['']);
  });
});

describe('two directors ask about one user at once', () => {
  test.each([
    [HOST_2, HOST_1],
    [HOST_1, HOST_2],
  ])('we for %s, another for %s: both come to the lower address', (ours, theirs) => {
    const made = RingRig.synced();
    const { rig, left, right } = made;
    const hash = firstWithHash(ours === HOST_1 ? HOST_2 : HOST_1);
    const question = (by: string, seq: number, host: string): string => {
      return `USER-WEAK\t${by}\t${PORT}\t${seq}\t${hash}\t${host}`;
    };
    left.say(`USER\t${hash}\t${ours}\t${NEAR}`);
    rig.login(hash);
    right.take();
    left.say(question(A, 1, theirs));
    // It goes on with what we have agreed on.
    expect(right.take()).toEqual([question(A, 1, HOST_1)]);
    left.say(question(B, 101, HOST_1));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(hash)).toBe(HOST_1);
  });
});

describe('our question comes back with another host: another director that asks wanted that one', () => {
  test('the lower address: it goes around once more with that, and then holds', () => {
    const { rig, left, right } = nearExpiry();
    rig.login(USER);
    right.take();
    left.say(weakLine(B, 101, HOST_1));
    expect(rig.takeAnswers()).toEqual([]);
    expect(right.take()).toEqual([weakLine(B, 102, HOST_1)]);
    left.say(weakLine(B, 102, HOST_1));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(USER)).toBe(HOST_1);
  });

  test('the higher address: it goes around once more with ours', () => {
    const { rig, left, right } = RingRig.synced();
    const hash = firstWithHash(HOST_2);
    const question = (seq: number, host: string): string => {
      return `USER-WEAK\t${B}\t${PORT}\t${seq}\t${hash}\t${host}`;
    };
    left.say(`USER\t${hash}\t${HOST_1}\t${NEAR}`);
    rig.login(hash);
    right.take();
    left.say(question(101, HOST_2));
    expect(rig.takeAnswers()).toEqual([]);
    expect(right.take()).toEqual([question(102, HOST_1)]);
    left.say(question(102, HOST_1));
    expect(rig.takeAnswers()).toEqual(['']);
    expect(rig.hostOf(hash)).toBe(HOST_1);
  });
});
