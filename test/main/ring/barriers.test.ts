import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { OURS, type Scene, synced } from './ours-ring.ts';
import { A, B, C, HOST_1, HOST_2, PORT, RingRig, START_SECS } from './ring-rig.ts';

const D = '10.9.0.4';
const USER = 7;
const commandsOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().map((line) => line.split('\t')[0]);
};
const barriersOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => line.startsWith('BARRIER'));
};
const flush = ({ rig }: Scene, ip = HOST_2): void => {
  rig.directory.flushHost(ip, rig.nowMs);
};

describe('a BARRIER of ours', () => {
  test('is sent to both neighbours behind the order, and before the SYNC', () => {
    const scene = synced();
    flush(scene);
    expect(commandsOf(scene.left)).toEqual(['HOST-FLUSH', 'BARRIER']);
    expect(commandsOf(scene.right)).toEqual(['HOST-FLUSH', 'BARRIER', 'SYNC']);
  });

  test.each([
    ['USER-MOVE', `${USER}\t${HOST_2}`],
    ['HOST-FLUSH', HOST_2],
    ['HOST-REMOVE', HOST_2],
    ['HOST', `${HOST_2}\t100\ttag\tU0\t`],
  ])('is sent behind %s of another', (command, fields) => {
    const { left, right } = synced();
    left.order(command, fields);
    const sent = right.take().map((line) => line.split('\t')[0]);
    expect(sent.slice(0, 2)).toEqual([command, 'BARRIER']);
    expect(barriersOf(left)).toEqual(['BARRIER\t1']);
  });

  test('is not sent for what makes no news old', () => {
    const { rig, left, right } = synced();
    rig.login(USER);
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    left.order('USER-KICK', 'name');
    expect([...barriersOf(left), ...barriersOf(right)]).toEqual([]);
  });

  test('has the next number when the last has been passed', () => {
    const scene = synced();
    flush(scene);
    scene.right.passBarrier();
    expect(barriersOf(scene.right)).toEqual(['BARRIER\t1']);
    flush(scene);
    expect(barriersOf(scene.right)).toEqual(['BARRIER\t2']);
  });

  test('is the only one under way on its connection: the next stands for all that were begun meanwhile', () => {
    const scene = synced();
    for (let i = 0; i < 3; i++) flush(scene);
    expect(barriersOf(scene.right)).toEqual(['BARRIER\t1']);
    scene.right.passBarrier();
    expect(barriersOf(scene.right)).toEqual(['BARRIER\t3']);
    scene.right.passBarrier();
    expect(barriersOf(scene.right)).toEqual([]);
    // The other one has not answered yet.
    expect(barriersOf(scene.left)).toEqual(['BARRIER\t1']);
  });

  test('stands for all orders of one read', () => {
    const { left, right } = synced();
    left.say(...[1, 2, 3].map((seq) => `HOST-FLUSH\t${A}\t${PORT}\t${seq}\t${HOST_2}`));
    expect(barriersOf(right)).toEqual(['BARRIER\t3']);
    expect(barriersOf(left)).toEqual(['BARRIER\t3']);
  });

  test.each([
    ['left', A, C],
    ['right', C, A],
  ] as const)(
    'is not sent to a %s neighbour of Dovecot’s, and not waited for',
    (side, dovecot, our) => {
      const scene = synced({ ours: [our] });
      const { [side]: deaf, [side === 'left' ? 'right' : 'left']: other } = scene;
      scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);
      expect(deaf.ip).toBe(dovecot);
      expect(barriersOf(deaf)).toEqual([]);
      expect(scene.rig.directory.killState(0, USER)).toBe('killing');
      other.passBarrier();
      expect(scene.rig.directory.killState(0, USER)).toBe('waiting-for-everyone');
    },
  );

  test('is asked of a new connection for what was ordered since it was greeted, and no more', () => {
    const scene = synced({ ...OURS, members: [A, B, C, D] });
    flush(scene);
    const incoming = scene.rig.dialledBy(D)!;
    flush(scene);
    scene.rig.ours.add(D);
    incoming.greet();
    expect(barriersOf(incoming)).toEqual(['BARRIER\t2']);
    const other = scene.rig.dialledBy(D)!;
    other.greet();
    expect(barriersOf(other)).toEqual([]);
  });
});

describe('a connection that does not answer', () => {
  const killState = ({ rig }: Scene) => rig.directory.killState(0, USER);

  /** A move that waits for the barrier of the left neighbour only. */
  function waiting(): Scene {
    const scene = synced({ ...OURS, members: [A, B, C, D] });
    scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);
    scene.right.passBarrier();
    expect(killState(scene)).toBe('killing');
    return scene;
  }

  test('and ends holds nothing up', () => {
    const scene = waiting();
    scene.left.hangUp();
    expect(killState(scene)).toBe('waiting-for-everyone');
  });

  test('and is to be closed in a moment holds nothing up: nothing is read from it', () => {
    const scene = waiting();
    scene.left.say(`CONNECT\t${C}\t${PORT}`);
    expect(scene.left.isClosed).toBe(false);
    expect(killState(scene)).toBe('waiting-for-everyone');
  });

  test('and has been sent elsewhere before is not asked', () => {
    const scene = synced({ ours: [A, C, D], members: [A, B, C, D] });
    const farther = scene.rig.dialledBy(D)!;
    farther.greet();
    scene.left.answerPing();
    expect(commandsOf(farther)).toContain('CONNECT');
    flush(scene);
    expect(barriersOf(farther)).toEqual([]);
  });
});

describe('BARRIER-PASSED', () => {
  test('of a number that was not asked is ignored', () => {
    const scene = synced();
    scene.rig.directory.moveUser('', USER, HOST_2, scene.rig.nowMs);
    for (const neighbour of [scene.left, scene.right]) neighbour.say('BARRIER-PASSED\t2');
    expect(scene.rig.directory.killState(0, USER)).toBe('killing');
    // Nor does it stand for the next one.
    flush(scene);
    barriersOf(scene.right);
    scene.right.say('BARRIER-PASSED\t1');
    expect(barriersOf(scene.right)).toEqual(['BARRIER\t2']);
  });

  test('of an earlier number takes nothing back', () => {
    const scene = synced();
    flush(scene);
    scene.left.passBarrier();
    scene.right.passBarrier();
    scene.rig.directory.moveUser('', USER, HOST_1, scene.rig.nowMs);
    scene.right.say('BARRIER-PASSED\t2', 'BARRIER-PASSED\t1', 'BARRIER-PASSED\t0');
    scene.left.passBarrier();
    expect(scene.rig.directory.killState(0, USER)).toBe('waiting-for-everyone');
  });
});

describe('a BARRIER of a neighbour', () => {
  test('is answered at once, on its connection, behind what we have done before', () => {
    const { left, right } = synced();
    left.say(`HOST-FLUSH\t${A}\t${PORT}\t1\t${HOST_2}`, 'BARRIER\t9');
    expect(left.take()).toContain('BARRIER-PASSED\t9');
    expect(right.take()).not.toContain('BARRIER-PASSED\t9');
    right.say('BARRIER\t0');
    expect(right.take()).toEqual(['BARRIER-PASSED\t0']);
  });

  test.each(['HOST-FLUSH', 'HOST-REMOVE'])(
    'is answered after %s when its users are not spoken of any more, though their sessions are still open',
    (command) => {
      const { rig, left, right } = synced();
      left.say(`USER\t${USER}\t${HOST_2}\t${START_SECS}`);
      rig.openSession(USER, HOST_2);
      left.order(command, HOST_2);
      left.say('BARRIER\t9');
      right.say('BARRIER\t5');
      rig.pass(1000);
      expect(rig.directory.isPurging).toBe(true);
      expect([barriersOf(left), barriersOf(right)]).toEqual([
        ['BARRIER\t1', 'BARRIER-PASSED\t9'],
        ['BARRIER\t1', 'BARRIER-PASSED\t5'],
      ]);
    },
  );

  test('is answered in the handshake as well', () => {
    const rig = new RingRig(OURS).start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.take();
    left.say('BARRIER\t3');
    expect(left.take()).toEqual(['BARRIER-PASSED\t3']);
  });

  test('is not asked in the middle of the hosts of a handshake', () => {
    const rig = new RingRig(OURS).start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.take();
    left.say('HOST-HAND-START\t0', 'BARRIER\t3');
    expect(left.take()).toEqual(['QUIT\tInvalid input: BARRIER']);
  });

  test.each(
    ['', '\t', '\tx', '\t-1', '\t4294967296', '\t1\t2'].flatMap((fields) => [
      `BARRIER${fields}`,
      `BARRIER-PASSED${fields}`,
    ]),
  )('%j ends the connection', (line) => {
    const { left, right } = synced();
    left.say(line);
    expect([left.isClosed, right.isClosed]).toEqual([true, false]);
  });
});

test('a neighbour that answers PING but no BARRIER does not hold the ring up for ever', () => {
  const { rig, left, right } = synced();
  rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
  right.passBarrier();
  for (let i = 0; i < 59; i++) {
    rig.pass(1000);
    rig.answerPings(left, right);
  }
  expect(left.isClosed).toBe(false);
  for (let i = 0; i < 3; i++) {
    rig.pass(1000);
    rig.answerPings(left, right);
  }
  expect([left.isClosed, right.isClosed]).toEqual([true, false]);
  expect(rig.logged('error').join()).toContain('BARRIER is not answered');
});
