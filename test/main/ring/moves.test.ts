import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, B, HOST_1, HOST_2, PORT, type RigOptions, RingRig, START_SECS } from './ring-rig.ts';

const USER = 7;
const KICK_DELAY_MS = 2000;
const KILLED = `USER-KILLED\t${USER}`;
const everywhere = (by: string, seq: number): string => {
  return `USER-KILLED-EVERYWHERE\t${by}\t${PORT}\t${seq}\t${USER}`;
};

interface Scene {
  readonly rig: RingRig;
  readonly left: Neighbour;
  readonly right: Neighbour;
  /** A session of the user on HOST_1. */
  readonly slot: number;
}

/** The user is on HOST_1, has a session here, and was not seen lately by others. */
function withSession(options: RigOptions = {}): Scene {
  const made = RingRig.synced(options);
  made.left.say(`USER\t${USER}\t${HOST_1}\t${START_SECS - 60}`);
  const slot = made.rig.openSession(USER, HOST_1);
  made.left.take();
  made.right.take();
  return { ...made, slot };
}

const state = (rig: RingRig) => rig.directory.killState(0, USER);

/** The worker closes the user's sessions. */
function close({ rig, slot }: Scene): void {
  rig.closeSession(slot);
  rig.acknowledge();
}

function isLetIn(rig: RingRig): boolean {
  rig.answers.length = 0;
  rig.login(USER);
  return rig.takeAnswers().length > 0;
}

describe('a move that we order', () => {
  const order = (scene: Scene) => scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);

  test('is told to all before anything else, and kills our sessions', () => {
    const scene = withSession();
    order(scene);
    const line = `USER-MOVE\t${B}\t${PORT}\t101\t${USER}\t${HOST_2}`;
    expect([scene.left.take(), scene.right.take()]).toEqual([[line], [line]]);
    expect(scene.rig.kicks.map(({ userHashes }) => userHashes)).toEqual([[USER]]);
    expect(state(scene.rig)).toBe('killing');
    expect(isLetIn(scene.rig)).toBe(false);
  });

  test('goes around when our sessions are closed, and ends when it is back', () => {
    const scene = withSession();
    order(scene);
    scene.right.take();
    close(scene);
    expect(state(scene.rig)).toBe('waiting-for-everyone');
    expect(scene.right.take()).toEqual([KILLED]);
    expect(scene.left.take()).not.toContain(KILLED);
    scene.left.say(KILLED);
    expect([scene.left.take(), scene.right.take()]).toEqual([
      [everywhere(B, 102)],
      [everywhere(B, 102)],
    ]);
    expect(state(scene.rig)).toBe('delay');
    scene.rig.pass(KICK_DELAY_MS - 100);
    expect(isLetIn(scene.rig)).toBe(false);
    scene.rig.pass(200);
    expect(scene.rig.hostOf(USER)).toBe(HOST_2);
    expect(isLetIn(scene.rig)).toBe(true);
  });

  test('of a user without sessions goes around at once', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_1}\t${START_SECS - 60}`);
    right.take();
    rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
    expect(right.take().map((line) => line.split('\t')[0])).toEqual(['USER-MOVE', 'USER-KILLED']);
    expect(isLetIn(rig)).toBe(false);
  });

  test('of a user that is there already is asked of the others: they may see it elsewhere', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_2}\t${START_SECS - 60}`);
    right.take();
    expect(rig.directory.moveUser('', USER, HOST_2, rig.nowMs)).toBe('moving');
    expect(right.take()[0]).toContain('USER-MOVE');
  });

  test('of a user that is being moved is refused', () => {
    const scene = withSession();
    order(scene);
    expect(order(scene)).toBe('busy');
  });

  test('alone is done at once', () => {
    const rig = new RingRig({ members: [B] }).start();
    rig.login(USER);
    rig.pass(10_000);
    expect(rig.directory.moveUser('', USER, HOST_2, rig.nowMs)).toBe('moved');
  });

  test('is not done at once because our right is lost for a moment', () => {
    const scene = withSession();
    scene.right.hangUp();
    order(scene);
    close(scene);
    scene.rig.pass(5000);
    expect(isLetIn(scene.rig)).toBe(false);
  });
});

describe('a move that another orders', () => {
  const order = (scene: Scene) => scene.left.order('USER-MOVE', USER, HOST_2);

  test('goes on, and kills our sessions', () => {
    const scene = withSession();
    const line = order(scene);
    expect(scene.right.take()).toEqual([line]);
    expect(scene.rig.kicks).toHaveLength(1);
    expect(isLetIn(scene.rig)).toBe(false);
  });

  test('we closed first: nothing is said before the left has said it', () => {
    const scene = withSession();
    order(scene);
    scene.right.take();
    close(scene);
    expect([state(scene.rig), scene.right.take()]).toEqual(['waiting-for-notify', []]);
    scene.left.say(KILLED);
    expect([state(scene.rig), scene.right.take()]).toEqual(['waiting-for-everyone', [KILLED]]);
  });

  test('the left closed first: nothing is said before our own sessions are closed', () => {
    const scene = withSession();
    order(scene);
    scene.right.take();
    scene.left.say(KILLED, KILLED);
    expect([state(scene.rig), scene.right.take()]).toEqual(['notify-received', []]);
    close(scene);
    expect([state(scene.rig), scene.right.take()]).toEqual(['waiting-for-everyone', [KILLED]]);
  });

  test('ends when everybody has closed, and that goes on to all', () => {
    const scene = withSession();
    order(scene);
    close(scene);
    scene.left.say(KILLED);
    scene.right.take();
    scene.left.say(everywhere(A, 9));
    expect(scene.right.take()).toEqual([everywhere(A, 9)]);
    expect(state(scene.rig)).toBe('delay');
    expect(isLetIn(scene.rig)).toBe(false);
    scene.rig.pass(KICK_DELAY_MS + 100);
    expect(isLetIn(scene.rig)).toBe(true);
  });

  test('does not end by what others say while a session of ours is open', () => {
    const scene = withSession();
    order(scene);
    scene.left.say(KILLED, everywhere(A, 9), everywhere(A, 10));
    scene.rig.pass(60_000);
    expect(isLetIn(scene.rig)).toBe(false);
  });

  test('that comes by again when it is over is answered: whoever asks would wait in vain', () => {
    const scene = withSession();
    order(scene);
    close(scene);
    scene.left.say(KILLED);
    scene.left.say(everywhere(A, 9));
    scene.left.take();
    scene.left.say(KILLED);
    expect(scene.left.take()).toEqual([everywhere(B, 101)]);
  });

  test('of a user whom we do not know: it is one of ours now, and may not log in yet', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.order('USER-MOVE', USER, HOST_2);
    expect(rig.kicks).toEqual([]);
    expect(state(rig)).toBe('waiting-for-notify');
    expect(isLetIn(rig)).toBe(false);
  });

  test('to a host that we do not have goes on, and our sessions are killed: others let the user in there', () => {
    const scene = withSession();
    const line = scene.left.order('USER-MOVE', USER, '10.0.0.99');
    expect(scene.right.take()).toEqual([line]);
    expect(scene.rig.kicks.map(({ userHashes }) => userHashes)).toEqual([[USER]]);
    expect(isLetIn(scene.rig)).toBe(false);
    // Nobody lists it with a host that is none.
    scene.left.order('USER-MOVE', USER, '10.0.0.99');
    expect([...scene.rig.directory.status.users()].filter(({ ip }) => ip === '')).toEqual([]);
  });
});

describe('USER-KILLED of a user that is not being moved', () => {
  test('is nothing', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(`USER\t${USER}\t${HOST_1}\t${START_SECS}`);
    right.take();
    left.say(KILLED);
    left.order('USER-KILLED-EVERYWHERE', USER);
    expect(right.take()).toEqual([]);
    expect(isLetIn(rig)).toBe(true);
  });
});

describe('the flush script', () => {
  const options = { directory: { hasFlushScript: true } };

  test('is run by the director that orders, between the closing and the letting in', () => {
    const scene = withSession(options);
    scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);
    close(scene);
    expect(scene.rig.flushes).toEqual([]);
    scene.left.say(KILLED);
    expect(scene.rig.flushes).toEqual([
      expect.objectContaining({ userHash: USER, oldIp: HOST_1, newIp: HOST_2, oldIsDown: false }),
    ]);
    expect(state(scene.rig)).toBe('flushing');
    scene.rig.pass(10_000);
    expect(isLetIn(scene.rig)).toBe(false);
  });

  test.each([
    [true, true],
    [false, false],
  ])('that ends with success %s: user_kick_delay need not pass: %s', (isWell, isAtOnce) => {
    const scene = withSession(options);
    scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);
    close(scene);
    scene.left.say(KILLED);
    scene.rig.directory.flushed(0, USER, isWell, scene.rig.nowMs);
    expect(isLetIn(scene.rig)).toBe(isAtOnce);
    scene.rig.pass(KICK_DELAY_MS + 100);
    expect(isLetIn(scene.rig)).toBe(true);
  });

  test('is not run where the move was not ordered', () => {
    const scene = withSession(options);
    scene.left.order('USER-MOVE', USER, HOST_2);
    close(scene);
    scene.left.say(KILLED);
    scene.left.say(everywhere(A, 9));
    expect(scene.rig.flushes).toEqual([]);
  });

  test('is not run for a user that was nowhere', () => {
    const { rig, left } = RingRig.synced(options);
    rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
    left.say(KILLED);
    expect(rig.flushes).toEqual([]);
  });

  test('is run for a user without sessions, alone as well', () => {
    const rig = new RingRig({ members: [B], ...options }).start();
    rig.login(USER);
    rig.pass(10_000);
    const target = rig.hostOf(USER) === HOST_1 ? HOST_2 : HOST_1;
    expect(rig.directory.moveUser('', USER, target, rig.nowMs)).toBe('moving');
    expect(rig.flushes).toHaveLength(1);
  });
});
