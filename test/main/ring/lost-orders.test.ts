import { describe, expect, test } from 'vitest';
import { Barriers } from '../../../src/main/ring/barriers.ts';
import { RingConnection } from '../../../src/main/ring/ring-connection.ts';
import type { RingState } from '../../../src/main/ring/ring-state.ts';
import type { Neighbour } from './neighbour.ts';
import { type Scene, synced } from './ours-ring.ts';
import { A, B, HOST_1, HOST_2, PORT, type RingRig, START_SECS } from './ring-rig.ts';

const USER = 7;

const ordersOf = (neighbour: Neighbour, command: string): string[] => {
  return neighbour.take().filter((line) => line.startsWith(`${command}\t`));
};

/** Gives the order; before its SYNC is back, somebody to our left tells of a member that has come back. */
function whileTheRingChanges(order: (rig: RingRig) => void): Scene {
  const scene = synced();
  const { rig, left, right } = scene;
  order(rig);
  left.passBarrier();
  right.passBarrier();
  left.say(`DIRECTOR\t${A}\t${PORT}`);
  rig.sync(right, left);
  return scene;
}

describe('a flush or removal that was under way when the ring changed', () => {
  test('HOST-FLUSH is ordered once more, with a number of its own', () => {
    const { right } = whileTheRingChanges((rig) => rig.directory.flushHost(HOST_2, rig.nowMs));
    const [again, ...more] = ordersOf(right, 'HOST-FLUSH');
    expect(again).toMatch(new RegExp(`^HOST-FLUSH\\t${B}\\t${PORT}\\t\\d+\\t${HOST_2}$`));
    expect(more).toEqual([]);
  });

  test('HOST-REMOVE is, unless the backend is back', () => {
    const gone = whileTheRingChanges((rig) => rig.directory.removeHost(HOST_2, rig.nowMs));
    expect(ordersOf(gone.right, 'HOST-REMOVE')).toHaveLength(1);
    const back = whileTheRingChanges((rig) => {
      rig.directory.removeHost(HOST_2, rig.nowMs);
      rig.directory.addHost(HOST_2, 100, '', rig.nowMs);
    });
    expect(ordersOf(back.right, 'HOST-REMOVE')).toEqual([]);
  });

  test('is not when the ring stayed as it was', () => {
    const { rig, left, right } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.passBarrier();
    right.passBarrier();
    rig.sync(right, left);
    expect(ordersOf(right, 'HOST-FLUSH')).toEqual([]);
  });

  test('ends: five times at most, however often the ring changes', () => {
    const { left, right } = whileTheRingChanges(({ directory, nowMs }) => {
      directory.flushHost(HOST_2, nowMs);
    });
    let repeats = 0;
    for (let i = 0; i < 10; i++) {
      const lines = right.take();
      repeats += lines.filter((line) => line.startsWith('HOST-FLUSH')).length;
      left.passBarrier();
      right.passBarrier();
      left.say(`DIRECTOR\t${A}\t${PORT}`);
      const sync = lines.findLast((line) => line.startsWith(`SYNC\t${B}`));
      if (sync !== undefined) left.say(sync);
    }
    expect(repeats).toBeGreaterThan(1);
    expect(repeats).toBeLessThanOrEqual(5);
  });

  test('of another director is not ours to repeat', () => {
    const { rig, left, right } = synced();
    left.order('HOST-FLUSH', HOST_2);
    left.say(`DIRECTOR\t${A}\t${PORT}`);
    left.passBarrier();
    right.passBarrier();
    rig.sync(right, left);
    expect(ordersOf(right, 'HOST-FLUSH')).toEqual([]);
  });
});

describe('what another member says of a user that is unsure while it is being killed', () => {
  test('is passed on once, and not while it may be old', () => {
    const { rig, left, right } = synced();
    left.say(`USER\t${USER}\t${HOST_2}\t${START_SECS}`);
    const slot = rig.openSession(USER, HOST_2);
    rig.directory.removeHost(HOST_2, rig.nowMs);
    right.take();
    const news = `USER\t${USER}\t${HOST_1}\t${START_SECS}`;
    left.passBarrier();
    left.say(news);
    expect(right.take()).toEqual([news]);
    left.say(news);
    expect(right.take()).toEqual([]);
    rig.closeSession(slot);
    rig.acknowledge();
  });
});

test('a barrier that is passed because the last connection ends is told, whatever is ordered next', () => {
  const connection = new RingConnection(1, { isIncoming: true, remoteIp: A }, null, 0);
  connection.hasBarriers = true;
  const ring: Pick<RingState, 'connections' | 'send' | 'nowMs' | 'options'> = {
    connections: new Set([connection]),
    send: () => {},
    nowMs: 0,
    options: { pingMaxTimeoutMs: 60_000 } as RingState['options'],
  };
  const barriers = new Barriers(ring as RingState);
  const first = barriers.begin();
  barriers.ask();
  expect([barriers.hasPassed(first), barriers.takePassed()]).toEqual([false, false]);
  ring.connections.clear();
  barriers.begin();
  expect([barriers.hasPassed(first), barriers.takePassed()]).toEqual([true, true]);
});
