import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, C, HOST_1, PORT, RingRig, START_SECS } from './ring-rig.ts';

const pings = (neighbour: Neighbour): number => {
  return neighbour.takeAll().filter((line) => line.startsWith('PING\t')).length;
};

describe('PING', () => {
  test('is answered at once, with what waits to be sent', () => {
    const { rig, left } = RingRig.synced();
    rig.buffered.set(left.id, 77);
    left.takeAll();
    left.say('PING\t1\t2');
    expect(left.takeAll()).toEqual([`PONG\t${START_SECS}\t77`]);
  });

  test('is answered in the handshake too', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    left.takeAll();
    left.say('PING\t1\t2');
    expect(left.takeAll()).toEqual([`PONG\t${START_SECS}\t0`]);
  });

  test('is sent after 15 s of silence', () => {
    const { rig, left, right } = RingRig.synced();
    pings(left);
    pings(right);
    rig.pass(14_900);
    expect([pings(left), pings(right)]).toEqual([0, 0]);
    rig.pass(100);
    expect([pings(left), pings(right)]).toEqual([1, 1]);
  });

  test('is sent after 1 s of silence while unsynced', () => {
    const rig = new RingRig().start();
    const right = rig.joinRight();
    pings(right);
    rig.pass(900);
    expect(pings(right)).toBe(0);
    rig.pass(100);
    expect(pings(right)).toBe(1);
  });

  test('is put off by any input', () => {
    const { rig, left } = RingRig.synced();
    pings(left);
    for (let i = 0; i < 3; i++) {
      rig.pass(14_000);
      left.say(`DIRECTOR\t${C}\t${PORT}`);
    }
    expect(pings(left)).toBe(0);
  });

  test('goes with every SYNC, to both sides, but one at a time', () => {
    const { rig, left, right } = RingRig.synced();
    left.hangs = true;
    pings(left);
    pings(right);
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.answerPings(right);
    rig.directory.setVhostCount(HOST_1, 51, rig.nowMs);
    expect([pings(left), pings(right)]).toEqual([1, 2]);
  });
});

describe('a neighbour that does not answer', () => {
  test('is dropped after ping_idle_timeout without any input', () => {
    const { rig, left } = RingRig.synced();
    left.hangs = true;
    left.take();
    rig.pass(15_000 + 29_900);
    expect(left.isClosed).toBe(false);
    rig.pass(100);
    expect(left.isClosed).toBe(true);
    expect(left.take()).toEqual(['QUIT\tPing timeout']);
  });

  test('is dropped after ping_max_timeout when other input comes', () => {
    const { rig, left } = RingRig.synced();
    left.hangs = true;
    left.take();
    rig.pass(15_000);
    for (let secs = 0; secs < 59; secs++) {
      left.say(`DIRECTOR\t${C}\t${PORT}`);
      rig.pass(1000);
    }
    expect(left.isClosed).toBe(false);
    rig.pass(1000);
    expect(left.isClosed).toBe(true);
    expect(left.take()).toEqual(['QUIT\tPong timeout']);
  });

  test('is waited for no longer, however it hangs: both limits can be set', () => {
    const ring = { pingIdleTimeoutMs: 1000, pingMaxTimeoutMs: 2000 };
    const { rig, left } = RingRig.synced({ ring });
    left.hangs = true;
    rig.pass(15_900);
    expect(left.isClosed).toBe(false);
    rig.pass(200);
    expect(left.isClosed).toBe(true);
  });

  test('does not take the other one with it, nor its users', () => {
    const { rig, left, right } = RingRig.synced();
    rig.login(7);
    left.hangs = true;
    rig.pass(50_000);
    expect([left.isClosed, right.isClosed]).toEqual([true, false]);
    expect(rig.hostOf(7)).not.toBeNull();
    // Known users go on, new ones wait until the ring is whole.
    rig.login(7);
    rig.login(8, 8);
    expect(rig.takeAnswers()).toEqual(['', '']);
  });

  test('a late PONG is warned about, a PONG that nobody asked for is nothing', () => {
    const { rig, left } = RingRig.synced();
    left.hangs = true;
    rig.pass(15_000 + 5100);
    left.hangs = false;
    left.answerPing();
    expect(rig.logged('warn').filter((text) => text.includes('PONG response took'))).toHaveLength(
      1,
    );
    left.say('PONG\t1\t0', 'PONG');
    expect(left.isClosed).toBe(false);
  });
});

describe('a handshake that does not go on', () => {
  test('dialling is given up after 10 s', () => {
    const rig = new RingRig().start();
    rig.pass(9900);
    expect(rig.isDialling(A)).toBe(false);
    rig.pass(100);
    expect(rig.isDialling(A)).toBe(true);
  });

  test('whom we dial has 10 s to say who it is', () => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    rig.pass(9900);
    expect(right.isClosed).toBe(false);
    rig.pass(100);
    expect(right.isClosed).toBe(true);
  });

  test('whom we dial has 30 s of silence for its DONE', () => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    right.greet();
    rig.pass(29_900);
    expect(right.isClosed).toBe(false);
    rig.pass(100);
    expect(right.isClosed).toBe(true);
    expect(right.take().at(-1)).toBe('QUIT\tHandshake timeout');
  });

  test('who dials us has 40 s of silence', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.greet();
    rig.pass(39_900);
    left.say(`DIRECTOR\t${C}\t${PORT}`);
    rig.pass(39_900);
    expect(left.isClosed).toBe(false);
    rig.pass(100);
    expect(left.isClosed).toBe(true);
  });
});

describe('the output buffer', () => {
  const outputBufferBytes = 1000;

  test.each([
    [999, false],
    [1000, false],
    [1001, true],
  ])('of 1000 bytes with %i in it ends the connection: %s', (bytes, isClosed) => {
    const { rig, left, right } = RingRig.synced({ ring: { outputBufferBytes } });
    rig.buffered.set(left.id, bytes);
    rig.login(7);
    rig.pass(100);
    expect([left.isClosed, right.isClosed]).toEqual([isClosed, false]);
    const errors = rig.logged('error').filter((text) => text.includes('Output buffer full'));
    expect(errors).toHaveLength(isClosed ? 1 : 0);
  });

  test('full: nothing more is written', () => {
    const { rig, left } = RingRig.synced({ ring: { outputBufferBytes } });
    rig.buffered.set(left.id, outputBufferBytes + 1);
    rig.login(7);
    left.takeAll();
    rig.login(8);
    expect(left.takeAll()).toEqual([]);
    rig.pass(100);
    expect(left.isClosed).toBe(true);
  });

  test('of the right: it is dialled anew', () => {
    const { rig, right } = RingRig.synced({ ring: { outputBufferBytes } });
    rig.buffered.set(right.id, outputBufferBytes + 1);
    rig.login(7);
    rig.pass(100);
    expect(right.isClosed).toBe(true);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
  });
});

describe('going', () => {
  test('we say good-bye to all', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    rig.ring.stop(rig.nowMs);
    for (const neighbour of [left, right]) {
      expect(neighbour.take()).toEqual(['QUIT\tShutting down']);
      expect(neighbour.isClosed).toBe(true);
    }
  });

  test('who says good-bye to us is not blamed', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    right.say('QUIT\tShutting down for a while');
    expect(right.take()).toEqual(['QUIT\tInvalid input: QUIT']);
    expect(rig.logged('warn').at(-1)).toBe(
      `Director ${C}:${PORT}/right disconnected us with reason: Shutting down for a while`,
    );
    expect(rig.logged('error')).toEqual([]);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
  });
});
