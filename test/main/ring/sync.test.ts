import { describe, expect, test } from 'vitest';
import type { Neighbour } from './neighbour.ts';
import { A, B, C, HOST_1, HOST_2, HOST_3, PORT, RingRig, START_SECS } from './ring-rig.ts';

const D = '10.9.0.4';

interface SyncFields {
  readonly by?: string;
  readonly seq?: number;
  readonly secs?: number;
  readonly hash?: number;
}

/** A SYNC of A with our hosts' checksum, unless said otherwise. */
function syncLine(rig: RingRig, { by = A, seq = 1, secs = START_SECS, hash }: SyncFields): string {
  const hostsHash = hash ?? rig.directory.hostsHash;
  return `SYNC\t${by}\t${PORT}\t${seq}\t9\t${secs}\t${hostsHash}`;
}

const syncsOf = (neighbour: Neighbour): string[] => {
  return neighbour.take().filter((line) => line.startsWith('SYNC\t'));
};

describe('our SYNC', () => {
  test('is sent when both neighbours are there; synced we are when it is back', () => {
    const rig = new RingRig().start();
    const right = rig.joinRight();
    expect(syncsOf(right)).toEqual([]);
    const left = rig.joinLeft();
    const [sync] = syncsOf(right);
    expect(rig.ring.isSynced).toBe(false);
    left.say(sync);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('carries the checksum of our hosts', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const [sync] = syncsOf(right);
    expect(sync.split('\t').slice(4)).toEqual(['9', `${START_SECS}`, `${rig.directory.hostsHash}`]);
  });

  test('of an earlier change does not make synced', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    rig.directory.setVhostCount(HOST_1, 51, rig.nowMs);
    const [first, second] = syncsOf(right);
    left.say(first);
    expect(rig.ring.isSynced).toBe(false);
    left.say(second);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('of before a connection was lost does not make synced', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const [sync] = syncsOf(right);
    left.hangUp();
    const again = rig.joinLeft();
    again.say(sync);
    expect(rig.ring.isSynced).toBe(false);
  });

  test('with another checksum is sent again: hosts have changed on its way', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const [sync] = syncsOf(right);
    const wrong = sync.replace(/\d+$/, '12345');
    left.say(wrong);
    expect(rig.ring.isSynced).toBe(false);
    expect(syncsOf(right)).toEqual([sync]);
    expect(rig.logged('error')[0]).toContain('Hosts unexpectedly changed during SYNC reply');
  });

  test('of an old director, without checksum, makes synced', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const [sync] = syncsOf(right);
    left.say(sync.split('\t').slice(0, 4).join('\t'));
    expect(rig.ring.isSynced).toBe(true);
  });

  test('not back after 5 s is sent again, every 5 s', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    expect(syncsOf(right)).toHaveLength(1);
    rig.pass(4900);
    expect(syncsOf(right)).toHaveLength(0);
    rig.pass(100);
    expect(syncsOf(right)).toHaveLength(1);
    rig.pass(15_000);
    expect(syncsOf(right)).toHaveLength(3);
    expect(rig.logged('error')[0]).toContain('appears to have got lost, resending');
  });

  test('that has not left yet is not lost: on a slow link another would only make it slower', () => {
    const { rig, right } = RingRig.synced();
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    expect(syncsOf(right)).toHaveLength(1);
    rig.buffered.set(right.id, 1);
    rig.pass(15_000);
    expect(syncsOf(right)).toEqual([]);
    rig.buffered.set(right.id, 0);
    rig.pass(5000);
    expect(syncsOf(right)).toHaveLength(1);
  });

  test('of many changes in one read is one, under a number for each', () => {
    const { left, right } = RingRig.synced();
    right.take();
    left.say(
      `HOST\t${A}\t${PORT}\t1\t${HOST_3}\t50\t\tU0\t`,
      `HOST\t${A}\t${PORT}\t2\t${HOST_1}\t50\t\tU0\t`,
      `HOST-REMOVE\t${A}\t${PORT}\t3\t${HOST_2}`,
    );
    const lines = right.take();
    expect(lines.map((line) => line.split('\t')[0])).toEqual([
      'HOST',
      'HOST',
      'HOST-REMOVE',
      'SYNC',
    ]);
  });

  test('of a ring whose members changed meanwhile is repeated behind another’s SYNC', () => {
    const { rig, left, right } = RingRig.synced();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    left.say(`DIRECTOR\t${D}\t${PORT}`);
    syncsOf(right);
    rig.pass(1000);
    left.say(syncLine(rig, {}));
    expect(syncsOf(right).map((line) => line.split('\t')[1])).toEqual([A, B]);
    // Not twice in one second.
    left.say(syncLine(rig, { seq: 2 }));
    expect(syncsOf(right).map((line) => line.split('\t')[1])).toEqual([A]);
  });
});

describe('the SYNC of another director', () => {
  test('goes on to the right as it came', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(syncLine(rig, {}));
    expect(right.take()).toEqual([syncLine(rig, {})]);
    expect(left.take()).toEqual([]);
  });

  test('goes on four times more if it is the same, so that none runs for ever', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    for (let i = 0; i < 10; i++) left.say(syncLine(rig, {}));
    expect(right.take()).toHaveLength(4);
  });

  test('with a newer time counts as new', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    for (let i = 0; i < 10; i++) left.say(syncLine(rig, { secs: START_SECS + i }));
    expect(right.take()).toHaveLength(10);
  });

  test.each([
    [119, 0],
    [120, 1],
  ])('with a lower number, %i s newer: is passed on %i times', (secs, times) => {
    const { rig, left, right } = RingRig.synced();
    left.say(syncLine(rig, { seq: 10 }));
    right.take();
    left.say(syncLine(rig, { seq: 9, secs: START_SECS + secs }));
    expect(right.take()).toHaveLength(times);
    const warnings = rig.logged('warn').filter((text) => text.includes('appears to be stale'));
    expect(warnings).toHaveLength(times);
  });

  test('of a director that we do not know ends here', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(syncLine(rig, { by: '10.9.0.77' }));
    expect(right.take()).toEqual([]);
  });

  test('with other hosts is early the first time; the second time all our hosts are told', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.take();
    left.say(syncLine(rig, { hash: 12_345 }));
    expect([left.take(), right.take()]).toEqual([[], []]);
    left.say(syncLine(rig, { hash: 12_345, secs: START_SECS + 5 }));
    const told = [HOST_1, HOST_2].map((ip, i) => {
      return `HOST\t${B}\t${PORT}\t${101 + i}\t${ip}\t100\t\tU0\t`;
    });
    expect([left.take(), right.take()]).toEqual([told, told]);
    expect(rig.logged('error')[0]).toContain("SYNC request hosts don't match us - resending hosts");
  });

  test('with a host that we lack is answered by a SYNC of ours, else it would never come back', () => {
    // The other one knows all the hosts that we tell, and nobody tells us the one that we do not know.
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(syncLine(rig, { hash: 12_345 }));
    rig.pass(5000);
    left.say(syncLine(rig, { hash: 12_345, secs: START_SECS + 5 }));
    const [ours, ...more] = syncsOf(right);
    expect(ours.split('\t').slice(1, 3)).toEqual([B, `${PORT}`]);
    expect(ours.split('\t')[6]).toBe(`${rig.directory.hostsHash}`);
    expect(more).toEqual([]);
    expect(rig.ring.isSynced).toBe(true);
    // Two that never agree do not answer each other faster than they repeat their own.
    left.say(syncLine(rig, { hash: 12_345, secs: START_SECS + 6 }));
    expect(syncsOf(right)).toEqual([]);
    rig.pass(5000);
    left.say(syncLine(rig, { hash: 12_345, secs: START_SECS + 10 }));
    expect(syncsOf(right)).toHaveLength(1);
    left.order('HOST', `${HOST_3}\t100\t\tU0\t`);
    const [mended] = syncsOf(right);
    expect(rig.ring.isSynced).toBe(false);
    left.say(mended);
    expect(rig.ring.isSynced).toBe(true);
  });

  test('with the right hosts in between starts that anew', () => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(syncLine(rig, { seq: 1, hash: 12_345 }));
    left.say(syncLine(rig, { seq: 2 }));
    right.take();
    left.say(syncLine(rig, { seq: 3, hash: 12_345 }));
    expect(right.take()).toEqual([]);
  });

  test('waits while we have no right, and goes on when there is one', () => {
    const rig = new RingRig().start();
    const left = rig.joinLeft();
    left.say(syncLine(rig, { seq: 1 }), syncLine(rig, { seq: 2 }));
    const right = rig.joinRight();
    expect(syncsOf(right).filter((line) => line.includes(A))).toEqual([syncLine(rig, { seq: 2 })]);
  });

  test('of the one that dials us anew counts from the beginning', () => {
    const { rig, left, right } = RingRig.synced();
    left.say(syncLine(rig, { seq: 50 }));
    left.hangUp();
    const again = rig.joinLeft();
    right.take();
    again.say(syncLine(rig, { seq: 1 }));
    expect(right.take()).toEqual([syncLine(rig, { seq: 1 })]);
  });
});

describe('hosts that are removed or flushed here with sessions of their users', () => {
  function withSession(): { rig: RingRig; left: Neighbour; right: Neighbour; slot: number } {
    const made = RingRig.synced();
    made.left.say(`USER\t7\t${HOST_2}\t${START_SECS}`);
    const slot = made.rig.openSession(7, HOST_2);
    made.right.take();
    return { ...made, slot };
  }

  test.each(['HOST-REMOVE', 'HOST-FLUSH'])(
    '%s: no SYNC passes before they are closed, so nobody places the users anew',
    (command) => {
      const { rig, left, right, slot } = withSession();
      left.order(command, HOST_2);
      const lines = right.take();
      expect(lines[0]).toMatch(command);
      left.say(syncLine(rig, { seq: 3 }));
      rig.pass(1000);
      expect(syncsOf(right).filter((line) => line.includes(A))).toEqual([]);
      rig.closeSession(slot);
      rig.acknowledge();
      rig.pass(3000);
      expect(syncsOf(right).filter((line) => line.includes(A))).toEqual([
        syncLine(rig, { seq: 3 }),
      ]);
    },
  );

  test('only the last SYNC of each director is kept for that time', () => {
    const { rig, left, right, slot } = withSession();
    left.order('HOST-FLUSH', HOST_2);
    left.say(syncLine(rig, { seq: 3 }), syncLine(rig, { seq: 4 }));
    left.say(syncLine(rig, { by: C, seq: 8 }));
    right.take();
    rig.closeSession(slot);
    rig.acknowledge();
    rig.pass(3000);
    const passed = syncsOf(right).filter((line) => !line.includes(`\t${B}\t`));
    expect(passed).toEqual([syncLine(rig, { seq: 4 }), syncLine(rig, { by: C, seq: 8 })]);
  });

  test('a user of such a host is forgotten when they are closed, and not before', () => {
    const { rig, left, slot } = withSession();
    left.order('HOST-FLUSH', HOST_2);
    rig.login(7);
    expect(rig.takeAnswers()).toEqual([]);
    rig.closeSession(slot);
    rig.acknowledge();
    rig.pass(3000);
    expect(rig.hostOf(7)).toBeNull();
  });
});

describe('SYNC between ours', () => {
  const OURS = { ours: [A, C] };
  /** Equal to Dovecot's checksum. */
  const looksEqual = { down: [1, true], up: [0, false] } as const;

  /** A SYNC of A that has met ours only. */
  function fullSync(rig: RingRig, seq: number, fullHash = rig.directory.fullHostsHash): string {
    return `${syncLine(rig, { seq, secs: START_SECS + seq })}\tbarriers\t${fullHash}`;
  }

  test('carries behind Dovecot’s fields the word and the other checksum, never to Dovecot’s', () => {
    for (const [ours, fields] of [
      [
        [A, C],
        ['barriers', expect.stringMatching(/^[1-9]\d*$/)],
      ],
      [[A], []],
    ] as const) {
      const { rig, left, right } = RingRig.synced({ ours });
      right.take();
      rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
      const [own] = syncsOf(right);
      expect(own.split('\t').slice(7)).toEqual(fields);
      left.say(fullSync(rig, 1));
      expect(syncsOf(right)[0].split('\t').slice(7)).toEqual(fields);
    }
  });

  test('that has met one of Dovecot’s goes on without them', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    right.take();
    left.say(syncLine(rig, {}));
    expect(syncsOf(right)).toEqual([syncLine(rig, {})]);
  });

  test('shows hosts that differ where Dovecot’s checksum does not', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    const set = ([vhostCount, isDown]: (typeof looksEqual)['down' | 'up']): void => {
      rig.directory.changeHost(HOST_1, { vhostCount, isDown }, rig.nowMs);
    };
    set(looksEqual.up);
    const theirs = fullSync(rig, 1);
    const { hostsHash } = rig.directory;
    set(looksEqual.down);
    expect(rig.directory.hostsHash).toBe(hostsHash);
    right.take();
    left.say(theirs);
    left.say(theirs.replace(`\t${START_SECS + 1}\t`, `\t${START_SECS + 6}\t`));
    const lines = right.take();
    expect(lines.filter((line) => line.startsWith(`SYNC\t${A}`))).toEqual([]);
    expect(lines.some((line) => line.includes(`\t${HOST_1}\t1\t\tD`))).toBe(true);
  });

  test('of hosts that differ from ours again otherwise is early once more', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    right.take();
    left.say(fullSync(rig, 1, 12_345));
    left.say(fullSync(rig, 2, 12_346));
    expect(right.take()).toEqual([]);
    left.say(fullSync(rig, 3, 12_346));
    expect(right.take().length).toBeGreaterThan(0);
  });

  test('of ours that is back with another of the new checksums is sent again', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    right.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    const [sync] = syncsOf(right);
    left.say(sync.replace(/\d+$/, '12345'));
    expect([rig.ring.isSynced, syncsOf(right)]).toEqual([false, [sync]]);
  });

  test.each(['', 'x', '-1', '4294967296'])('with the checksum %j ends the connection', (hash) => {
    const { rig, left } = RingRig.synced(OURS);
    left.say(`${syncLine(rig, {})}\tbarriers\t${hash}`);
    expect(left.isClosed).toBe(true);
  });

  test('with another word than ours is one of Dovecot’s', () => {
    const { rig, left, right } = RingRig.synced(OURS);
    right.take();
    left.say(`${syncLine(rig, {})}\tmore`);
    expect(syncsOf(right)).toEqual([syncLine(rig, {})]);
  });
});
