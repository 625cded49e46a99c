import { describe, expect, test } from 'vitest';
import { server } from '../directory/test-directory.ts';
import type { Neighbour } from './neighbour.ts';
import { A, B, C, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

const USER = 7;
const KICK_DELAY_MS = 2000;
const KILLED = `USER-KILLED\t${USER}`;
const mailServers = [HOST_1, HOST_2, HOST_3].map((ip) => server(ip));

interface Scene {
  readonly rig: RingRig;
  readonly left: Neighbour;
  readonly right: Neighbour;
  readonly slot: number;
}

/** The user has a session here, on HOST_3. */
function withSession(): Scene {
  const made = RingRig.synced({ mailServers });
  made.left.say(`USER\t${USER}\t${HOST_3}\t${START_SECS - 60}`);
  const slot = made.rig.openSession(USER, HOST_3);
  made.left.take();
  made.right.take();
  return { ...made, slot };
}

function close({ rig, slot }: Scene): void {
  rig.closeSession(slot);
  rig.acknowledge();
}

function isLetIn(rig: RingRig): boolean {
  rig.answers.length = 0;
  rig.login(USER);
  return rig.takeAnswers().length > 0;
}

const movesOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => line.startsWith('USER-MOVE'));
};

describe('two directors move one user at once', () => {
  test.each([
    [HOST_1, HOST_2],
    [HOST_2, HOST_1],
  ])('we to %s, another to %s: to the lower address', (ours, theirs) => {
    const scene = withSession();
    scene.rig.directory.moveUser('', USER, ours, scene.rig.nowMs);
    scene.left.order('USER-MOVE', USER, theirs);
    expect(scene.rig.hostOf(USER)).toBe(HOST_1);
  });

  test('directors that take the last order they hear are told the one that holds', () => {
    const scene = withSession();
    scene.rig.directory.moveUser('', USER, HOST_1, scene.rig.nowMs);
    movesOf(scene.right);
    const line = scene.left.order('USER-MOVE', USER, HOST_2);
    expect(movesOf(scene.right)).toEqual([
      line,
      `USER-MOVE\t${B}\t${PORT}\t102\t${USER}\t${HOST_1}`,
    ]);
  });

  test('the round of the other is not taken for ours: others may still have sessions', () => {
    const scene = withSession();
    scene.rig.directory.moveUser('', USER, HOST_1, scene.rig.nowMs);
    scene.left.order('USER-MOVE', USER, HOST_1);
    close(scene);
    scene.left.say(KILLED);
    scene.rig.pass(KICK_DELAY_MS + 200);
    expect(isLetIn(scene.rig)).toBe(false);
  });

  test('it ends when our SYNC is back: nobody lets it pass while he closes sessions', () => {
    const scene = withSession();
    scene.rig.directory.moveUser('', USER, HOST_1, scene.rig.nowMs);
    scene.left.order('USER-MOVE', USER, HOST_1);
    close(scene);
    scene.rig.sync(scene.right, scene.left);
    scene.rig.pass(KICK_DELAY_MS + 200);
    expect(isLetIn(scene.rig)).toBe(true);
    expect(scene.rig.hostOf(USER)).toBe(HOST_1);
  });

  test('sessions that the first spared, on its target, are killed by the second', () => {
    const scene = withSession();
    scene.left.order('USER-MOVE', USER, HOST_3);
    const spared = scene.rig.directory.host(HOST_3)!.hostId;
    expect(scene.rig.kicks.map(({ exceptHostId }) => exceptHostId)).toEqual([spared]);
    scene.right.say(`USER-MOVE\t${C}\t${PORT}\t1\t${USER}\t${HOST_1}`);
    expect(scene.rig.kicks.at(-1)!.exceptHostId).toBe(0);
    expect(scene.rig.hostOf(USER)).toBe(HOST_1);
    // Only the first kick is acknowledged.
    const [first] = scene.rig.kicks;
    scene.rig.directory.acknowledgeKick(1, first.killId, scene.rig.nowMs);
    scene.left.say(KILLED, `USER-KILLED-EVERYWHERE\t${A}\t${PORT}\t9\t${USER}`);
    scene.rig.pass(40_000);
    expect(isLetIn(scene.rig)).toBe(false);
  });
});

describe('users of two tags with one hash', () => {
  const tagged = [
    server(HOST_1),
    server(HOST_2),
    server(HOST_3, 100, 'eu'),
    server('10.0.0.4', 100, 'eu'),
  ];

  test('are moved apart: USER-KILLED does not say whose it is, so neither is released by it', () => {
    const { rig, left, right } = RingRig.synced({ mailServers: tagged });
    left.say(`USER\t${USER}\t${HOST_1}\t${START_SECS - 60}`);
    left.say(`USER\t${USER}\t${HOST_3}\t${START_SECS - 60}`);
    rig.openSession(USER, HOST_3, 1);
    left.order('USER-MOVE', USER, HOST_2);
    left.order('USER-MOVE', USER, '10.0.0.4');
    right.take();
    left.say(KILLED);
    left.order('USER-KILLED-EVERYWHERE', USER);
    rig.pass(KICK_DELAY_MS + 200);
    expect(isLetIn(rig)).toBe(false);
    rig.login(USER, 0, 1);
    expect(rig.takeAnswers()).toEqual([]);
  });

  test('one of them moved: the other is not touched', () => {
    const { rig, left } = RingRig.synced({ mailServers: tagged });
    left.say(`USER\t${USER}\t${HOST_1}\t${START_SECS - 60}`);
    left.say(`USER\t${USER}\t${HOST_3}\t${START_SECS - 60}`);
    left.order('USER-MOVE', USER, '10.0.0.4');
    expect(isLetIn(rig)).toBe(true);
    expect([rig.hostOf(USER), rig.hostOf(USER, 'eu')]).toEqual([HOST_1, '10.0.0.4']);
  });
});

describe('a move whose end nobody announces', () => {
  test('asks with a SYNC after 30 s, and ends when it is back', () => {
    const scene = withSession();
    scene.left.order('USER-MOVE', USER, HOST_1);
    close(scene);
    scene.rig.pass(29_800);
    expect(scene.rig.ring.isSynced).toBe(true);
    scene.rig.pass(400);
    expect(scene.rig.ring.isSynced).toBe(false);
    expect(isLetIn(scene.rig)).toBe(false);
    scene.rig.sync(scene.right, scene.left);
    scene.rig.pass(KICK_DELAY_MS + 200);
    expect(isLetIn(scene.rig)).toBe(true);
  });

  test('is given up when the ring does not become synced either, but never with a session of ours open', () => {
    const open = withSession();
    open.left.order('USER-MOVE', USER, HOST_1);
    const closed = withSession();
    closed.left.order('USER-MOVE', USER, HOST_1);
    close(closed);
    for (const { rig } of [open, closed]) rig.pass(160_000);
    expect([isLetIn(open.rig), isLetIn(closed.rig)]).toEqual([false, true]);
    expect(closed.rig.logged('error').some((text) => text.includes('timed out'))).toBe(true);
  });

  test('ends when all others are gone: we are alone', () => {
    const scene = withSession();
    scene.left.order('USER-MOVE', USER, HOST_1);
    close(scene);
    scene.left.hangUp();
    scene.right.hangUp();
    for (let secs = 0; secs < 24; secs++) {
      while (scene.rig.dialled.length > 0) scene.rig.refused(scene.rig.dialled[0].ip);
      scene.rig.pass(1000);
    }
    expect(scene.rig.ring.isAlone).toBe(true);
    scene.rig.pass(KICK_DELAY_MS + 200);
    expect(isLetIn(scene.rig)).toBe(true);
  });
});

describe('a worker that does not close a session', () => {
  test('holds the user and every SYNC back until it is gone', () => {
    const scene = withSession();
    scene.left.order('USER-MOVE', USER, HOST_1);
    scene.right.take();
    scene.left.say(`SYNC\t${A}\t${PORT}\t1\t9\t${START_SECS}\t${scene.rig.directory.hostsHash}`);
    scene.rig.pass(15_000);
    const passed = () => scene.right.take().filter((line) => line.startsWith(`SYNC\t${A}`));
    expect(passed()).toEqual([]);
    scene.rig.directory.detachWorker(1, scene.rig.nowMs);
    expect(passed()).toHaveLength(1);
  });
});
