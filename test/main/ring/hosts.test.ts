import { describe, expect, test } from 'vitest';
import { server } from '../directory/test-directory.ts';
import type { Neighbour } from './neighbour.ts';
import { B, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

interface HostFields {
  readonly ip?: string;
  readonly count?: number;
  readonly tag?: string;
  readonly state?: string;
  readonly name?: string;
}

/** The fields of HOST behind the origin. */
function fields({
  ip = HOST_1,
  count = 100,
  tag = '',
  state = 'U0',
  name = '',
}: HostFields): string {
  return [ip, count, tag, state, name].join('\t');
}

const ordersOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => line.startsWith('HOST'));
};
const hostAt = (rig: RingRig, ip: string) => {
  const host = rig.directory.hosts.find((other) => other.ip === ip);
  return host && { count: host.vhostCount, tag: host.tag, isDown: host.isDown };
};

describe('HOST of another director', () => {
  test('adds a host that we do not have', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    const line = left.order('HOST', fields({ ip: HOST_3, count: 50, tag: 'eu', name: 'mail3' }));
    expect(hostAt(rig, HOST_3)).toEqual({ count: 50, tag: 'eu', isDown: false });
    expect(ordersOf(right)).toEqual([line]);
    expect(rig.ring.isSynced).toBe(false);
  });

  test.each([
    ['weight', { count: 50 }],
    ['state', { state: `D${START_SECS}` }],
    ['tag', { tag: 'eu' }],
  ] as const)('changes a host: %s', (_name, change) => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    const line = left.order('HOST', fields(change));
    expect(ordersOf(right)).toEqual([line]);
    const { count = 100, tag = '' } = change as HostFields;
    expect(hostAt(rig, HOST_1)).toEqual({ count, tag, isDown: 'state' in change });
  });

  test('that changes nothing ends here, and nobody becomes unsynced', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.order('HOST', fields({ state: 'U55', name: 'other' }));
    expect(ordersOf(right)).toEqual([]);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('keeps the time of a host that is up, as one that joins needs it', () => {
    const { left, right } = RingRig.synced();
    right.take();
    left.order('HOST', fields({ ip: HOST_3, state: 'U55' }));
    expect(ordersOf(right)[0]).toContain('\tU55\t');
  });
});

describe('two directors change one host before they know of each other', () => {
  /** We have changed it to ours; then theirs comes. */
  function collide(
    ours: (rig: RingRig) => void,
    theirs: HostFields,
  ): {
    rig: RingRig;
    told: string[];
  } {
    const { rig, left, right } = RingRig.synced();
    ours(rig);
    left.take();
    right.take();
    left.order('HOST', fields(theirs));
    const told = ordersOf(right);
    expect(ordersOf(left)).toEqual(told);
    return { rig, told };
  }

  test.each([
    [50, 70],
    [70, 50],
  ])('weights %i and %i: the smaller, told as ours, to the sender too', (ours, theirs) => {
    const { rig, told } = collide(
      (made) => made.directory.setVhostCount(HOST_1, ours, made.nowMs),
      {
        count: theirs,
      },
    );
    expect(hostAt(rig, HOST_1)?.count).toBe(50);
    expect(told).toEqual(
      theirs < ours ? [`HOST\t${B}\t${PORT}\t102\t${fields({ count: 50 })}`] : told,
    );
    expect(told[0].split('\t')[1]).toBe(B);
    expect(rig.logged('warn').at(-1)).toContain(
      'is being updated before previous update had finished',
    );
  });

  test.each([
    ['later', 1, true],
    ['at the same time', 0, true],
    ['earlier', -1, false],
  ])('we up, another down %s', (_name, secs, isDown) => {
    const { rig } = collide(
      (made) => {
        made.directory.setVhostCount(HOST_1, 99, made.nowMs);
        made.directory.host(HOST_1)!.lastUpDownChangeSecs = START_SECS;
      },
      { count: 99, state: `D${START_SECS + secs}` },
    );
    expect(hostAt(rig, HOST_1)?.isDown).toBe(isDown);
  });

  test.each([
    ['later', 1, false],
    ['at the same time: down holds on both sides', 0, true],
    ['earlier', -1, true],
  ])('we down, another up %s', (_name, secs, isDown) => {
    const { rig } = collide((made) => made.directory.setDown(HOST_1, true, made.nowMs), {
      state: `U${START_SECS + secs}`,
    });
    expect(hostAt(rig, HOST_1)?.isDown).toBe(isDown);
  });

  test.each([
    ['eu', 'us'],
    ['us', 'eu'],
  ])('tags %s and %s: the first in order', (ours, theirs) => {
    const { rig, left, right } = RingRig.synced();
    left.order('HOST', fields({ tag: ours }));
    right.take();
    left.order('HOST', fields({ tag: theirs }));
    expect(hostAt(rig, HOST_1)?.tag).toBe('eu');
  });

  test('both come to the same, whoever is heard first', () => {
    const weights = [50, 70].map((count) => (rig: RingRig) => {
      rig.directory.setVhostCount(HOST_1, count, rig.nowMs);
    });
    const one = collide(weights[0], { count: 70, state: `D${START_SECS}` }).rig;
    const other = collide(
      (rig) => {
        rig.directory.setDown(HOST_1, true, rig.nowMs);
        weights[1](rig);
      },
      { count: 50 },
    ).rig;
    expect(hostAt(one, HOST_1)).toEqual(hostAt(other, HOST_1));
    expect(one.directory.hostsHash).toBe(other.directory.hostsHash);
  });

  test('after the ring is synced, what comes is simply taken', () => {
    const { rig, left, right } = RingRig.synced();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.sync(right, left);
    const line = left.order('HOST', fields({ count: 70 }));
    expect(hostAt(rig, HOST_1)?.count).toBe(70);
    expect(ordersOf(right)).toEqual([line]);
  });
});

describe('our own changes', () => {
  test('of weight, state, and a new host are told to all', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.directory.setDown(HOST_2, true, rig.nowMs);
    rig.directory.addHost(HOST_3, 70, 'eu', rig.nowMs);
    const told = [
      fields({ count: 50 }),
      fields({ ip: HOST_2, state: `D${START_SECS}` }),
      fields({ ip: HOST_3, count: 70, tag: 'eu' }),
    ].map((text, i) => `HOST\t${B}\t${PORT}\t${101 + i}\t${text}`);
    expect([ordersOf(left), ordersOf(right)]).toEqual([told, told]);
  });

  test('up and down within one second: each is newer than the one before', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    for (const isDown of [true, false, true]) rig.directory.setDown(HOST_1, isDown, rig.nowMs);
    const times = ordersOf(right).map((line) => line.split('\t')[7]);
    expect(times).toEqual([`D${START_SECS}`, `U${START_SECS + 1}`, `D${START_SECS + 2}`]);
  });

  test('removal and flush are told to all', () => {
    const { rig, left, right } = RingRig.synced();
    left.take();
    right.take();
    rig.directory.flushHost(HOST_1, rig.nowMs);
    rig.directory.removeHost(HOST_2, rig.nowMs);
    const told = [
      `HOST-FLUSH\t${B}\t${PORT}\t101\t${HOST_1}`,
      `HOST-REMOVE\t${B}\t${PORT}\t102\t${HOST_2}`,
    ];
    expect([ordersOf(left), ordersOf(right)]).toEqual([told, told]);
  });
});

describe('users of a host', () => {
  test.each(['HOST-REMOVE', 'HOST-FLUSH'])('%s: those without session are forgotten', (command) => {
    const { rig, left } = RingRig.synced();
    left.say(`USER\t7\t${HOST_2}\t${START_SECS - 10}`, `USER\t8\t${HOST_1}\t${START_SECS - 10}`);
    left.order(command, HOST_2);
    expect([rig.hostOf(7), rig.hostOf(8)]).toEqual([null, HOST_1]);
  });

  test('with another tag: they are forgotten, it is another host to them', () => {
    const { rig, left } = RingRig.synced();
    left.say(`USER\t7\t${HOST_2}\t${START_SECS - 10}`);
    left.order('HOST', fields({ ip: HOST_2, tag: 'eu' }));
    expect([rig.hostOf(7), rig.hostOf(7, 'eu')]).toEqual([null, null]);
  });

  test('down or without weight: they stay, new ones go elsewhere', () => {
    const { rig, left, right } = RingRig.synced({ mailServers: [server(HOST_1), server(HOST_2)] });
    left.say(`USER\t7\t${HOST_2}\t${START_SECS - 10}`);
    left.order('HOST', fields({ ip: HOST_2, state: `D${START_SECS}` }));
    rig.sync(right, left);
    rig.login(7);
    for (let hash = 100; hash < 120; hash++) rig.login(hash * 0x0100_0001);
    expect(rig.takeAnswers()).toHaveLength(21);
    expect(rig.hostOf(7)).toBe(HOST_2);
    expect(rig.directory.status.hosts().map(({ userCount }) => userCount)).toEqual([20, 1]);
  });

  test('of an unknown host: nothing; a removal is passed on, for it may have been given again', () => {
    const { left, right } = RingRig.synced();
    right.take();
    left.order('HOST-REMOVE', HOST_3);
    left.order('HOST-FLUSH', HOST_3);
    expect(right.take()).toEqual([expect.stringMatching(`^HOST-REMOVE\\t.*\\t${HOST_3}$`)]);
  });
});
