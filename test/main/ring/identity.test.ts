import { describe, expect, test } from 'vitest';
import { A, B, C, HOST_1, PORT, RingRig, START_SECS } from './ring-rig.ts';

const STRANGER = '10.9.9.9';
const VERSION = 'VERSION\tdirector\t1\t9';

const meOf = (ip: string, port = PORT): string => `ME\t${ip}\t${port}\t${START_SECS}`;

describe('who may connect', () => {
  test('an address of no member is refused, without a word', () => {
    const rig = new RingRig().start();
    expect(rig.dialledBy(STRANGER)).toBeNull();
    expect(rig.logged('warn')).toEqual([
      `Connection from ${STRANGER}: Server not listed in director_servers, dropping`,
    ]);
  });

  test('a member that was taken out is refused, until it is added again', () => {
    const { rig } = RingRig.synced();
    rig.ring.removeMember(A, PORT, rig.nowMs);
    expect(rig.dialledBy(A)).toBeNull();
    rig.ring.addMember(A, PORT, rig.nowMs);
    expect(rig.dialledBy(A)).not.toBeNull();
  });

  test('another port of a known address is another member', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(VERSION, meOf(A, PORT + 1));
    expect(left.isClosed).toBe(false);
    expect(rig.ring.memberStatus().map(({ ip, port }) => `${ip}:${port}`)).toContain(
      `${A}:${PORT + 1}`,
    );
  });
});

describe('ME', () => {
  test('of another address than the connection comes from is refused', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.take();
    left.say(VERSION, meOf(C));
    expect(left.take()).toEqual(['QUIT\tInvalid input: ME']);
    expect(left.isClosed).toBe(true);
    expect(rig.logged('error')).toHaveLength(1);
  });

  test('of ourselves is refused, and our numbers go on', () => {
    const { rig, left } = RingRig.synced();
    const loop = rig.dialledBy(B)!;
    loop.say(VERSION, meOf(B));
    expect(loop.isClosed).toBe(true);
    left.take();
    rig.directory.setVhostCount(HOST_1, 50, rig.nowMs);
    expect(left.take()[0]).toBe(`HOST\t${B}\t${PORT}\t101\t${HOST_1}\t50\t\tU0\t`);
  });

  test.each([
    ['another member', meOf(A)],
    ['another port', meOf(C, PORT + 1)],
    ['ourselves', meOf(B)],
  ])('of whom we dial must name it: not %s', (_name, line) => {
    const rig = new RingRig().start();
    const right = rig.reached(C);
    right.say(VERSION, line);
    expect(right.isClosed).toBe(true);
    expect(rig.logged('error')[0]).toContain("Remote director thinks it's someone else");
    // Dovecot dials the same one again at once, and again.
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([A]);
  });

  test.each([
    ['without address', 'ME'],
    ['without port', `ME\t${A}`],
    ['with port 0', `ME\t${A}\t0\t1`],
    ['with a time that is none', `ME\t${A}\t${PORT}\tsoon`],
  ])('%s is refused', (_name, line) => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(VERSION, line);
    expect(left.isClosed).toBe(true);
  });

  test('without time is taken', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(VERSION, `ME\t${A}\t${PORT}`);
    expect(left.isClosed).toBe(false);
  });

  test('twice ends the connection', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(VERSION, meOf(A), meOf(A));
    expect(left.isClosed).toBe(true);
  });

  test('must be sent within 10 s, whatever else is sent', () => {
    const rig = new RingRig().start();
    const left = rig.dialledBy(A)!;
    left.say(VERSION);
    for (let secs = 1; secs < 10; secs++) {
      rig.pass(1000);
      left.send('M');
    }
    expect(left.isClosed).toBe(false);
    rig.pass(1000);
    expect(left.isClosed).toBe(true);
  });
});

describe('before ME', () => {
  test.each([
    `USER\t7\t${HOST_1}\t${START_SECS}`,
    `HOST\t${A}\t${PORT}\t1\t10.0.0.9\t100\t\tU0\t`,
    `HOST-REMOVE\t${A}\t${PORT}\t1\t${HOST_1}`,
    `USER-MOVE\t${A}\t${PORT}\t1\t7\t${HOST_1}`,
    `DIRECTOR\t10.9.0.9\t${PORT}`,
    `SYNC\t${A}\t${PORT}\t1\t9\t1\t1`,
    'HOST-HAND-START\t1',
    'OPTIONS\tconsistent-hashing',
    'DONE',
    'PING\t1\t0',
    'QUIT\tbye',
  ])('nothing is done: %j', (line) => {
    const { rig } = RingRig.synced();
    const before = rig.directory.hostsHash;
    for (const greeting of [[], [VERSION]]) {
      const somebody = rig.dialledBy(A)!;
      somebody.say(...greeting, line);
      expect(somebody.isClosed).toBe(true);
    }
    expect(rig.directory.hostsHash).toBe(before);
    expect(rig.directory.counts()).toMatchObject({ users: 0, kills: 0 });
    expect(rig.ring.memberStatus()).toHaveLength(3);
    expect(rig.ring.isSynced).toBe(true);
  });
});

describe('a member that has sent something invalid', () => {
  test('is not talked to for 60 s, however often it tries', () => {
    const { rig, left } = RingRig.synced();
    left.say('NONSENSE');
    for (let secs = 1; secs < 60; secs++) {
      rig.pass(1000);
      const again = rig.dialledBy(A)!;
      again.greet();
      expect(again.isClosed).toBe(true);
    }
    rig.pass(1000);
    const again = rig.dialledBy(A)!;
    again.greet();
    expect(again.isClosed).toBe(false);
  });

  test('is not dialled for 60 s', () => {
    const { rig, right } = RingRig.synced();
    right.say('NONSENSE');
    // In its place the next one around.
    const other = rig.reached(A);
    other.greet();
    other.say('DONE');
    rig.pass(59_000);
    expect(rig.isDialling(C)).toBe(false);
    other.say('QUIT\tbye');
    // A is not to blame for anything, so it is dialled, and not C.
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([A]);
    rig.pass(2000);
    rig.refused(A);
    expect(rig.dialled.map(({ ip }) => ip)).toEqual([C]);
  });
});
