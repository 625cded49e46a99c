import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { OURS, type Scene, synced } from './ours-ring.ts';
import {
  A,
  B,
  C,
  HOST_1,
  HOST_2,
  PORT,
  type RigOptions,
  type RingRig,
  START_SECS,
} from './ring-rig.ts';

const USER = 7;
const KICK_DELAY_MS = 2000;
const KILLED = `USER-KILLED\t${USER}`;
/** Brings back the SYNC of ours that the right neighbour was sent. */
function bringSync({ rig, left, right }: Scene): void {
  rig.sync(right, left);
}

const userLine = (host: string, secs = START_SECS - 60): string => {
  return `USER\t${USER}\t${host}\t${secs}`;
};
const questionsOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => line.startsWith('USER-WEAK'));
};

/** What a login of the user meets: let in, the others are asked, or neither. */
function login({ rig, left }: Scene): 'in' | 'asks' | 'waits' {
  left.take();
  rig.answers.length = 0;
  rig.login(USER);
  if (rig.takeAnswers().includes('')) return 'in';
  return questionsOf(left).length > 0 ? 'asks' : 'waits';
}

describe('news of a user of a host that is flushed', () => {
  test('is old before its sender has passed the barrier: not taken, not passed on', () => {
    const scene = synced();
    const { rig, left, right } = scene;
    rig.directory.flushHost(HOST_2, rig.nowMs);
    right.take();
    left.say(userLine(HOST_2));
    expect([rig.hostOf(USER), right.take()]).toEqual([null, []]);
    left.passBarrier();
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBe(HOST_2);
    expect(right.take()).toEqual([userLine(HOST_2)]);
  });

  test('is told apart on each connection for itself', () => {
    const { rig, left, right } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    right.passBarrier();
    left.say(`USER\t8\t${HOST_2}\t${START_SECS}`);
    right.say(`USER\t9\t${HOST_2}\t${START_SECS}`);
    expect([rig.hostOf(8), rig.hostOf(9)]).toEqual([null, HOST_2]);
  });

  test('is old behind the last flush, when the first has been passed', () => {
    const { rig, left } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.passBarrier();
    left.passBarrier();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBeNull();
  });

  test('is old also from the one that it was ordered by: it may be closing sessions still', () => {
    const { rig, left } = synced();
    left.order('HOST-FLUSH', HOST_2);
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBeNull();
    left.passBarrier();
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBe(HOST_2);
  });

  test('of another host is news', () => {
    const { rig, left } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.say(userLine(HOST_1));
    expect(rig.hostOf(USER)).toBe(HOST_1);
  });

  test('is old of a host that was removed and is back', () => {
    const { rig, left } = synced();
    rig.directory.removeHost(HOST_2, rig.nowMs);
    rig.directory.addHost(HOST_2, 100, '', rig.nowMs);
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBeNull();
    left.passBarrier();
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBe(HOST_2);
  });

  test('that comes in a new handshake is news: it begins with what its sender knows now', () => {
    const { rig, left } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.hangUp();
    const again = rig.dialledBy(A)!;
    again.greet();
    again.handOver({ isDone: 1, users: [`U\t${USER}\t${HOST_2}\t${START_SECS}`] });
    expect(rig.hostOf(USER)).toBe(HOST_2);
  });

  test('is a question: it is heard all the same, nobody relies on it', () => {
    const { rig, left } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.order('USER-WEAK', USER, HOST_2);
    expect(rig.directory.counts().weak).toBe(1);
  });

  test('of a member of Dovecot’s may be old for a time: it is taken, and not relied on', () => {
    const scene = synced({ ours: [] });
    const { rig, left } = scene;
    left.order('HOST-FLUSH', HOST_2);
    bringSync(scene);
    left.say(userLine(HOST_2));
    expect(login(scene)).toBe('asks');
    rig.pass(1000);
    left.say(`USER\t8\t${HOST_2}\t${START_SECS}`);
    expect(rig.hostOf(8)).toBe(HOST_2);
  });

  test.each([
    [[A, C], 'in'],
    // Behind our left neighbour there may be one of Dovecot's, whose old news it passes on.
    [[A], 'asks'],
  ] as const)(
    'behind the barrier is relied on if all members are ours (%j): %s',
    (ours, result) => {
      const scene = synced({ ours });
      scene.left.order('HOST-FLUSH', HOST_2);
      scene.left.passBarrier();
      scene.right.passBarrier();
      bringSync(scene);
      scene.left.say(userLine(HOST_2));
      expect(login(scene)).toBe(result);
    },
  );
});

describe('a host with another tag is another host to its users', () => {
  const news = (rig: RingRig, ...neighbours: readonly Neighbour[]): (string | null)[] => {
    return neighbours.map((neighbour, i) => {
      neighbour.say(`USER\t${USER + i}\t${HOST_2}\t${START_SECS}`);
      return rig.hostOf(USER + i, 'tag');
    });
  };

  test('who told us of the tag speaks of the new one; the others when they have passed the barrier', () => {
    const { rig, left, right } = synced();
    left.order('HOST', `${HOST_2}\t100\ttag\tU0\t`);
    expect(news(rig, left, right)).toEqual([HOST_2, null]);
    right.passBarrier();
    expect(news(rig, left, right)).toEqual([HOST_2, HOST_2]);
  });

  test('also if it was removed in between, and is back with the other tag', () => {
    const { rig, left, right } = synced();
    left.order('HOST-REMOVE', HOST_2);
    left.order('HOST', `${HOST_2}\t100\ttag\tU0\t`);
    expect(news(rig, left, right)).toEqual([HOST_2, null]);
    right.passBarrier();
    right.passBarrier();
    expect(news(rig, left, right)).toEqual([HOST_2, HOST_2]);
  });

  test('if it is back with the tag that it had, who told us may speak of the users it had before', () => {
    const { rig, left } = synced();
    left.order('HOST-REMOVE', HOST_2);
    left.order('HOST', `${HOST_2}\t100\t\tU0\t`);
    left.say(userLine(HOST_2));
    expect(rig.hostOf(USER)).toBeNull();
  });
});

describe('a move', () => {
  const killState = ({ rig }: Scene) => rig.directory.killState(0, USER);

  /** The user is on HOST_1, without session. */
  function known(options: RigOptions = OURS): Scene {
    const scene = synced(options);
    scene.left.say(userLine(HOST_1));
    scene.left.take();
    scene.right.take();
    return scene;
  }

  function order({ rig }: Scene): void {
    rig.directory.moveUser('', USER, HOST_2, rig.nowMs);
  }

  /** The round is back, and the delay is over. */
  function end({ rig, left }: Scene): void {
    left.say(KILLED);
    rig.pass(KICK_DELAY_MS + 100);
  }

  test('that we order says USER-KILLED when both neighbours have passed its barrier', () => {
    const scene = known();
    order(scene);
    expect(scene.right.take().at(-1)).toBe('BARRIER\t1');
    scene.left.passBarrier();
    expect(scene.right.take()).toEqual([]);
    scene.right.passBarrier();
    expect(scene.right.take()).toEqual([KILLED]);
  });

  test('with sessions here says it when they are closed as well, whichever is later', () => {
    const scene = known();
    const slot = scene.rig.openSession(USER, HOST_1);
    order(scene);
    scene.left.passBarrier();
    scene.right.passBarrier();
    expect(scene.right.take()).not.toContain(KILLED);
    scene.rig.closeSession(slot);
    scene.rig.acknowledge();
    expect(scene.right.take()).toEqual([KILLED]);
  });

  test('that another orders goes on when the left has said USER-KILLED and both have passed', () => {
    const scene = known();
    scene.left.order('USER-MOVE', USER, HOST_2);
    scene.left.say(KILLED);
    expect(killState(scene)).toBe('notify-received');
    scene.left.passBarrier();
    scene.right.take();
    scene.right.passBarrier();
    expect(scene.right.take()).toEqual([KILLED]);
    expect(killState(scene)).toBe('waiting-for-everyone');
  });

  test('that another orders waits for the left when both have passed', () => {
    const scene = known();
    scene.left.order('USER-MOVE', USER, HOST_2);
    scene.left.passBarrier();
    scene.right.passBarrier();
    expect(killState(scene)).toBe('waiting-for-notify');
  });

  test('is not undone by news that was sent before its sender knew of it', () => {
    const scene = known();
    order(scene);
    scene.left.say(userLine(HOST_1, START_SECS));
    scene.left.passBarrier();
    scene.right.passBarrier();
    end(scene);
    expect(scene.rig.hostOf(USER)).toBe(HOST_2);
    expect(login(scene)).toBe('in');
  });

  test('that its sender knows of, and has the user elsewhere all the same, becomes a conflict', () => {
    const scene = known();
    const { rig, left, right } = scene;
    order(scene);
    left.passBarrier();
    right.passBarrier();
    right.take();
    left.say(userLine(HOST_1, START_SECS));
    expect(right.take()).toContain(`USER-KICK-HASH\t${B}\t${PORT}\t102\t${USER}\t${HOST_1}`);
    // Its round says nothing any more: all close sessions again, which a SYNC tells.
    end(scene);
    expect(killState(scene)).toBe('killing');
    rig.acknowledge();
    left.passBarrier();
    right.passBarrier();
    rig.pass(5000);
    bringSync(scene);
    left.take();
    rig.pass(KICK_DELAY_MS + 100);
    expect(rig.hostOf(USER)).toBe(HOST_1);
    // Whoever has joined since may have it elsewhere.
    expect(left.take().some((line) => line.startsWith(`USER\t${USER}\t${HOST_1}\t`))).toBe(true);
  });

  test('that a member who has joined since contradicts becomes a conflict', () => {
    const scene = known({ ours: [] });
    const { rig, left, right } = scene;
    order(scene);
    left.hangUp();
    right.take();
    const again = rig.dialledBy(A)!;
    again.greet();
    again.handOver({ isDone: 1, users: [`U\t${USER}\t${HOST_1}\t${START_SECS}`] });
    expect(right.take()).toContain(`USER-KICK-HASH\t${B}\t${PORT}\t102\t${USER}\t${HOST_1}`);
  });

  test('that may have crossed a flush of its target is no conflict: the user is asked about', () => {
    const scene = known();
    const { left, right } = scene;
    left.order('HOST-FLUSH', HOST_2);
    right.order('USER-MOVE', USER, HOST_2);
    left.passBarrier();
    right.passBarrier();
    left.passBarrier();
    right.passBarrier();
    right.take();
    left.say(userLine(HOST_1, START_SECS));
    expect(right.take().filter((line) => line.startsWith('USER-KICK-HASH'))).toEqual([]);
  });

  test('such news of one of Dovecot’s, which may be old, changes nothing', () => {
    const scene = known({ ours: [] });
    order(scene);
    scene.left.say(userLine(HOST_1, START_SECS));
    end(scene);
    expect(login(scene)).toBe('in');
  });
});

describe('a user that is being forgotten here, with its host flushed', () => {
  /** It has a session here that is being closed. */
  function forgetting(): Scene & { readonly slot: number } {
    const scene = synced();
    scene.left.say(userLine(HOST_2));
    const slot = scene.rig.openSession(USER, HOST_2);
    scene.left.order('HOST-FLUSH', HOST_2);
    return { ...scene, slot };
  }

  function end({ rig, slot }: Scene & { readonly slot: number }): void {
    rig.closeSession(slot);
    rig.acknowledge();
    rig.pass(KICK_DELAY_MS + 1000);
  }

  test('and is known there to one who knows of the flush: others are asked at its next login', () => {
    const scene = forgetting();
    scene.left.passBarrier();
    scene.right.passBarrier();
    scene.left.say(userLine(HOST_2, START_SECS));
    end(scene);
    bringSync(scene);
    expect(login(scene)).toBe('asks');
  });

  test('and was known there before the flush: it is placed anew', () => {
    const scene = forgetting();
    scene.left.say(userLine(HOST_2, START_SECS));
    scene.left.passBarrier();
    scene.right.passBarrier();
    end(scene);
    bringSync(scene);
    expect(login(scene)).toBe('in');
  });
});

describe('a SYNC that comes before our neighbours have passed a barrier', () => {
  const syncOf = (rig: RingRig, seq: number): string => {
    const { hostsHash, fullHostsHash } = rig.directory;
    return `SYNC\t${A}\t${PORT}\t${seq}\t9\t${START_SECS}\t${hostsHash}\tbarriers\t${fullHostsHash}`;
  };
  const passedOn = (neighbour: Neighbour): string[] => {
    return neighbour.take().filter((line) => line.startsWith(`SYNC\t${A}`));
  };

  test('if it is ours: we are synced when they have', () => {
    const scene = synced();
    const { rig, left, right } = scene;
    rig.directory.flushHost(HOST_2, rig.nowMs);
    bringSync(scene);
    expect(rig.ring.isSynced).toBe(false);
    right.passBarrier();
    expect(rig.ring.isSynced).toBe(false);
    left.passBarrier();
    expect(rig.ring.isSynced).toBe(true);
  });

  test('if it is another’s: it goes on when they have', () => {
    const { rig, left, right } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.say(syncOf(rig, 1));
    right.passBarrier();
    expect(passedOn(right)).toEqual([]);
    left.passBarrier();
    expect(passedOn(right)).toEqual([syncOf(rig, 1)]);
  });

  test('is not held by barriers that are begun when it is here', () => {
    const { rig, left, right } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.say(syncOf(rig, 1));
    rig.directory.flushHost(HOST_1, rig.nowMs);
    right.passBarrier();
    left.passBarrier();
    expect(passedOn(right)).toEqual([syncOf(rig, 1)]);
  });

  test('goes on when the neighbour that it waits for is gone', () => {
    const { rig, left, right } = synced();
    rig.directory.flushHost(HOST_2, rig.nowMs);
    left.say(syncOf(rig, 1));
    right.passBarrier();
    left.hangUp();
    expect(passedOn(right)).toEqual([syncOf(rig, 1)]);
  });

  test('of a move whose round says nothing is held as well', () => {
    const scene = synced();
    const { rig, left, right } = scene;
    left.say(`USER\t${USER}\t${HOST_2}\t${START_SECS}`, `USER\t${USER}\t${HOST_1}\t${START_SECS}`);
    expect(right.take()).toContain(`USER-KICK-HASH\t${B}\t${PORT}\t101\t${USER}\t${HOST_1}`);
    rig.acknowledge();
    rig.pass(100);
    bringSync(scene);
    expect(rig.ring.isSynced).toBe(false);
    left.passBarrier();
    right.passBarrier();
    expect(rig.ring.isSynced).toBe(true);
  });
});
