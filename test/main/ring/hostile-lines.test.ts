import { describe, expect, test } from 'vitest';
import { A, C, HOST_1, PORT, RingRig, START_MS } from './ring-rig.ts';

const LINE_BYTES = 1024;

/** One log line of ours, and what the other side is told. */
function refused(rig: RingRig, count = 1): void {
  expect(rig.logged('error')).toHaveLength(count);
}

describe('a line', () => {
  /** USER-KICK of a name of such a length that the line has so many bytes, LF included. */
  const kick = (bytes: number): string => {
    const begin = `USER-KICK\t${A}\t${PORT}\t1\t`;
    return begin + 'x'.repeat(bytes - begin.length - 1);
  };

  test.each([LINE_BYTES - 1, LINE_BYTES])('of %i bytes is read', (bytes) => {
    const { rig, left } = RingRig.synced();
    left.say(kick(bytes));
    expect(rig.fieldKicks).toHaveLength(1);
    expect(left.isClosed).toBe(false);
  });

  test('of one byte more ends the connection', () => {
    const { rig, left } = RingRig.synced();
    left.take();
    left.say(kick(LINE_BYTES + 1));
    expect(rig.fieldKicks).toEqual([]);
    expect(left.take()).toEqual(['QUIT\tToo long input line']);
    expect(left.isClosed).toBe(true);
    refused(rig);
  });

  test('without end ends the connection when it has as many bytes', () => {
    const { rig, left } = RingRig.synced();
    left.send('x'.repeat(LINE_BYTES));
    expect(left.isClosed).toBe(false);
    left.send('x');
    expect(left.isClosed).toBe(true);
    refused(rig);
  });

  test('may come in any pieces', () => {
    const { rig, left } = RingRig.synced();
    for (const byte of `USER\t7\t${HOST_1}\t${START_MS / 1000}\n`) left.send(byte);
    expect(rig.hostOf(7)).toBe(HOST_1);
  });

  test('that is too long spoils none of those before it', () => {
    const { rig, left } = RingRig.synced();
    left.send(`USER\t7\t${HOST_1}\t${START_MS / 1000}\n${'x'.repeat(2 * LINE_BYTES)}`);
    expect(rig.hostOf(7)).toBe(HOST_1);
    expect(left.isClosed).toBe(true);
  });
});

describe('what is no command', () => {
  const endpoint = `${A}\t${PORT}`;
  test.each([
    '',
    '\t',
    '\0',
    'user\t1',
    ' USER\t1\t10.0.0.1',
    'GET / HTTP/1.1',
    '\xff\xfe\xfd',
    'NO-SUCH-COMMAND',
    'DONE',
    'OPTIONS\tconsistent-hashing',
    'VERSION\tdirector\t1\t9',
    `ME\t${endpoint}\t1`,
    `U\t7\t${HOST_1}\t1`,
    'HOST-HAND-START\t0',
  ])('%j ends the connection, with one line in the log', (line) => {
    const { rig, left, right } = RingRig.synced();
    right.take();
    left.say(line, `USER\t7\t${HOST_1}\t${START_MS / 1000}`);
    expect(left.isClosed).toBe(true);
    refused(rig);
    // Nothing behind it counts.
    expect(rig.hostOf(7)).toBeNull();
    expect(right.isClosed).toBe(false);
  });
});

describe('bad fields end the connection, and change nothing', () => {
  const origin = `${A}\t${PORT}\t1`;
  const lines = [
    // Numbers: decimal, without sign, 32 bits.
    ...['', '-1', '+1', '1.0', '0x10', '1e3', ' 1', '4294967296', '99999999999999999999'].flatMap(
      (number) => [
        `USER\t${number}\t${HOST_1}\t1`,
        `USER\t7\t${HOST_1}\t${number}`,
        `HOST\t${A}\t${PORT}\t${number}\t10.0.0.9\t100\t\tU0\t`,
        `HOST\t${origin}\t10.0.0.9\t${number}\t\tU0\t`,
        `HOST\t${origin}\t10.0.0.9\t100\t\tU${number}\t`,
        `USER-KILLED\t${number}`,
        `USER-MOVE\t${origin}\t${number}\t${HOST_1}`,
        `USER-WEAK\t${origin}\t${number}\t${HOST_1}`,
        `USER-KICK-HASH\t${origin}\t${number}\t${HOST_1}`,
        `USER-KILLED-EVERYWHERE\t${origin}\t${number}`,
        `SYNC\t${A}\t${PORT}\t${number}\t9\t1\t1`,
        `SYNC\t${A}\t${PORT}\t1\t${number}\t1\t1`,
        `SYNC\t${A}\t${PORT}\t1\t9\t${number}\t1`,
        `SYNC\t${A}\t${PORT}\t1\t9\t1\t${number}`,
      ],
    ),
    // Addresses.
    ...['', '10.0.0', '10.0.0.256', '010.0.0.1', 'localhost', '10.0.0.1/8', '::g', '1:2'].flatMap(
      (ip) => [
        `USER\t7\t${ip}\t1`,
        `HOST\t${origin}\t${ip}\t100\t\tU0\t`,
        `HOST\t${ip}\t${PORT}\t1\t10.0.0.9\t100\t\tU0\t`,
        `HOST-REMOVE\t${origin}\t${ip}`,
        `HOST-FLUSH\t${origin}\t${ip}`,
        `USER-MOVE\t${origin}\t7\t${ip}`,
        `USER-WEAK\t${origin}\t7\t${ip}`,
        `USER-KICK-HASH\t${origin}\t7\t${ip}`,
        `DIRECTOR\t${ip}\t${PORT}`,
        `DIRECTOR-REMOVE\t${ip}\t${PORT}`,
        `CONNECT\t${ip}\t${PORT}`,
        `SYNC\t${ip}\t${PORT}\t1\t9\t1\t1`,
      ],
    ),
    // Ports.
    ...['', '0', '65536', '-1', 'x'].flatMap((port) => [
      `DIRECTOR\t10.9.0.9\t${port}`,
      `DIRECTOR-REMOVE\t${C}\t${port}`,
      `CONNECT\t${C}\t${port}`,
      `HOST\t${A}\t${port}\t1\t10.0.0.9\t100\t\tU0\t`,
      `SYNC\t${A}\t${port}\t1\t9\t1\t1`,
    ]),
    // Up and down.
    ...['', 'X0', 'u0', '0', 'D'].map((state) => `HOST\t${origin}\t10.0.0.9\t100\t\t${state}\t`),
    // Weights that would take memory and time without end.
    ...[1001, 4_294_967_295].map((count) => `HOST\t${origin}\t10.0.0.9\t${count}\t\tU0\t`),
    // Fields that are missing, or too many.
    'USER',
    'USER\t7',
    'USER-WEAK',
    `USER-WEAK\t${origin}\t7`,
    `USER-WEAK\t${origin}\t7\t${HOST_1}\tw`,
    `USER-MOVE\t${origin}\t7`,
    `USER-MOVE\t${origin}\t7\t${HOST_1}\t1`,
    `USER-KICK\t${origin}`,
    `USER-KICK\t${origin}\tname\tname`,
    `USER-KICK-ALT\t${origin}\tfield`,
    `USER-KICK-ALT\t${origin}\tfield\tvalue\tmore`,
    `USER-KICK-HASH\t${origin}\t7`,
    `USER-KICK-HASH\t${origin}\t7\t${HOST_1}\t1`,
    'USER-KILLED',
    'USER-KILLED\t7\t7',
    'USER-KILLED-EVERYWHERE\t7',
    `USER-KILLED-EVERYWHERE\t${origin}`,
    `USER-KILLED-EVERYWHERE\t${origin}\t7\t7`,
    `HOST\t${origin}\t10.0.0.9`,
    `HOST-REMOVE\t${origin}`,
    `HOST-REMOVE\t${origin}\t${HOST_1}\t1`,
    `HOST-FLUSH\t${HOST_1}`,
    `HOST-FLUSH\t${origin}\t${HOST_1}\t1`,
    'DIRECTOR',
    `DIRECTOR\t${C}`,
    'DIRECTOR-REMOVE',
    'CONNECT',
    `CONNECT\t${C}`,
    `CONNECT\t${C}\t${PORT}\t1`,
    'SYNC',
    `SYNC\t${A}\t${PORT}`,
  ];

  test.each(lines)('%j', (line) => {
    const { rig, left, right } = RingRig.synced();
    const before = { hosts: rig.directory.hostsHash, users: rig.directory.counts().users };
    right.take();
    left.say(line);
    expect(left.isClosed).toBe(true);
    refused(rig);
    expect({ hosts: rig.directory.hostsHash, users: rig.directory.counts().users }).toEqual(before);
    expect(right.take().filter((sent) => !sent.startsWith('SYNC'))).toEqual([]);
  });

  test.each([
    'PING',
    'PONG',
    'PING\tx\ty\tz',
    `USER\t7\t${HOST_1}`,
    `USER\t7\t${HOST_1}\t1\tmore`,
    `SYNC\t${A}\t${PORT}\t1`,
    `SYNC\t${A}\t${PORT}\t1\t9\t1\t1\tmore`,
    `DIRECTOR\t${C}\t${PORT}\tmore`,
    `HOST\t${origin}\t10.0.0.9\t100`,
    `HOST\t${origin}\t10.0.0.9\t100\ttag`,
    `HOST\t${origin}\t10.0.0.9\t0\t\tD1\tname\tmore`,
    `HOST\t${origin}\t2001:db8::1\t1000\t\tU0\t`,
  ])('but not %j, which Dovecot takes', (line) => {
    const { left } = RingRig.synced();
    left.say(line);
    expect(left.isClosed).toBe(false);
  });
});

test('nobody has the hash 0: what is said of such a user is passed over', () => {
  const { rig, left, right } = RingRig.synced();
  right.take();
  left.say(`USER\t0\t${HOST_1}\t${START_MS / 1000}`);
  left.order('USER-WEAK', 0, HOST_1);
  left.order('USER-MOVE', 0, HOST_1);
  left.say('USER-KILLED\t0');
  left.order('USER-KILLED-EVERYWHERE', 0);
  left.order('USER-KICK-HASH', 0, HOST_1);
  expect(left.isClosed).toBe(false);
  expect(rig.directory.counts()).toMatchObject({ users: 0, kills: 0, weak: 0 });
  expect(right.take()).toEqual([]);
});
