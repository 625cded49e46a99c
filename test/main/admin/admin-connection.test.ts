import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdminConnection } from '../../../src/main/admin/admin-connection.ts';
import { adminLimits } from '../../../src/main/admin/admin-limits.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { adminOptions } from './admin-director.ts';
import { MemoryDirectory, manyUsers } from './memory-directory.ts';

const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';

interface Outcome {
  readonly output: string;
  readonly log: readonly string[];
  readonly isDone: boolean;
  readonly longestPiece: number;
}

/** What comes out for the input, given in these chunks. Output is latin1. */
function converse(directory: MemoryDirectory, ...chunks: readonly (string | Buffer)[]): Outcome {
  const log: string[] = [];
  const connection = new AdminConnection(adminOptions(directory, log), () => {});
  let output = '';
  let longestPiece = 0;
  const drain = (): void => {
    for (let piece = connection.next(); piece !== null; piece = connection.next()) {
      output += piece;
      longestPiece = Math.max(longestPiece, piece.length);
    }
  };
  drain();
  for (const chunk of chunks) {
    if (!connection.wantsInput) break;
    connection.receive(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk);
    drain();
  }
  return { output, log, isDone: connection.isDone, longestPiece };
}

const directory = new MemoryDirectory(
  [
    { ip: '10.0.0.1', userCount: 2 },
    { ip: '10.0.0.2', vhostCount: 0, isDown: true, lastUpDownChangeSecs: 1_700_000_000 },
    { ip: '2001:db8::1', vhostCount: 1000, tag: 'far', userCount: 1 },
  ],
  [
    { hash: 5, expiresAtSecs: 1_700_000_100, ip: '10.0.0.1' },
    { hash: 4294967295, expiresAtSecs: 4294967295, ip: '10.0.0.1' },
    { hash: 7, expiresAtSecs: 0, ip: '2001:db8::1' },
  ],
);

const HOST_LIST = [
  '10.0.0.1\t100\t2\t\tU\t0\n',
  '10.0.0.2\t0\t0\t\tD\t1700000000\n',
  '2001:db8::1\t1000\t1\tfar\tU\t0\n',
  '\n',
].join('');

describe('handshake', () => {
  it('is sent at once', () => {
    expect(converse(directory)).toMatchObject({ output: HANDSHAKE, isDone: false });
  });

  it.each(['VERSION\tdirector-doveadm\t1\t0', 'VERSION\tdirector-doveadm\t1\t99'])(
    'is accepted: %j',
    (line) => {
      const { output, log } = converse(directory, `${line}\nHOST-LIST\n`);
      expect({ output, log }).toEqual({ output: HANDSHAKE + HOST_LIST, log: [] });
    },
  );

  it.each([
    '',
    'HOST-LIST',
    'VERSION\tdirector-doveadm\t2\t0',
    'VERSION\tdirector-doveadm\t1',
    'VERSION\tdirector\t1\t0',
    'version\tdirector-doveadm\t1\t0',
    'VERSION\tdirector-doveadm\t1\tx',
    'GET / HTTP/1.1',
  ])('is refused: %j', (line) => {
    const outcome = converse(directory, `${line}\nHOST-LIST\n`);
    expect(outcome).toMatchObject({ output: HANDSHAKE, isDone: true });
    expect(outcome.log).toEqual([expect.stringContaining('not compatible')]);
  });
});

describe('commands', () => {
  const hashOfFoo = compileUserHash('%Lu')('foo');

  it.each([
    ['HOST-LIST', HOST_LIST],
    ['HOST-LIST\tignored', HOST_LIST],
    ['HOST-LIST\r', HOST_LIST],
    ['HOST-LIST\0rest', HOST_LIST],
    [
      'USER-LIST',
      '5\t1700000100\t10.0.0.1\n4294967295\t4294967295\t10.0.0.1\n7\t0\t2001:db8::1\n\n',
    ],
    [
      'USER-LIST\t',
      '5\t1700000100\t10.0.0.1\n4294967295\t4294967295\t10.0.0.1\n7\t0\t2001:db8::1\n\n',
    ],
    ['USER-LIST\t2001:DB8:0::1', '7\t0\t2001:db8::1\n\n'],
    ['USER-LIST\t[2001:db8::1]', '7\t0\t2001:db8::1\n\n'],
    ['USER-LIST\t167772161', '5\t1700000100\t10.0.0.1\n4294967295\t4294967295\t10.0.0.1\n\n'],
    ['USER-LIST\t010.0.0.01', '5\t1700000100\t10.0.0.1\n4294967295\t4294967295\t10.0.0.1\n\n'],
    ['USER-LIST\t10.0.0.9', '\n'],
    ['USER-LOOKUP\t5', '10.0.0.1\t1700000100\t10.0.0.1\t10.0.0.1\n'],
    ['USER-LOOKUP\t005', '10.0.0.1\t1700000100\t10.0.0.1\t10.0.0.1\n'],
    ['USER-LOOKUP\t4294967295\t', '10.0.0.1\t4294967295\t10.0.0.1\t10.0.0.1\n'],
    ['USER-LOOKUP\t7\tfar', '2001:db8::1\t0\t2001:db8::1\t2001:db8::1\n'],
    ['USER-LOOKUP\t7', '\t0\t10.0.0.1\t10.0.0.1\n'],
    ['USER-LOOKUP\tnobody\tunknown-tag', '\t0\t\t\n'],
    ['USER-LOOKUP', '\t0\t10.0.0.1\t10.0.0.1\n'],
  ])('%j', (command, answer) => {
    const { output, log } = converse(directory, HANDSHAKE, `${command}\n`);
    expect({ output, log }).toEqual({ output: HANDSHAKE + answer, log: [] });
  });

  it.each([
    ['foo', hashOfFoo],
    ['FOO', hashOfFoo],
    ['4294967296', compileUserHash('%Lu')('4294967296')],
    ['-5', compileUserHash('%Lu')('-5')],
    ['a\x01tb\x01nc\x011d\x01x', compileUserHash('%Lu')('a\tb\nc\x01dx')],
    ['half\x01', compileUserHash('%Lu')('half')],
    ['nul\x010rest', compileUserHash('%Lu')('nul')],
    ['gr\xc3\xbcn', compileUserHash('%Lu')('gr\xc3\xbcn')],
  ])('USER-LOOKUP of %j looks for its hash', (name, hash) => {
    const own = new MemoryDirectory([{}], [{ hash, expiresAtSecs: 9, ip: '10.0.0.1' }]);
    const { output } = converse(own, HANDSHAKE, `USER-LOOKUP\t${name}\n`);
    expect(output).toBe(`${HANDSHAKE}10.0.0.1\t9\t10.0.0.1\t10.0.0.1\n`);
  });

  it('are answered in their order, however they arrive', () => {
    const input = `${HANDSHAKE}USER-LOOKUP\t5\nHOST-LIST\nUSER-LIST\t10.0.0.9\nUSER-LOOKUP\t`;
    const expected = `${HANDSHAKE}10.0.0.1\t1700000100\t10.0.0.1\t10.0.0.1\n${HOST_LIST}\n`;
    expect(converse(directory, input).output).toBe(expected);
    expect(converse(directory, ...input).output).toBe(expected);
  });

  it.each([
    ['HOST-SETX\t10.0.0.1', 'doveadm sent unknown command: HOST-SETX?10.0.0.1'],
    ['host-list', 'doveadm sent unknown command: host-list'],
    ['\x1b[31m\xff', 'doveadm sent unknown command: ?[31m?'],
    ['', 'doveadm sent empty command line'],
    ['\r', 'doveadm sent empty command line'],
    ['USER-LIST\thost', 'doveadm sent invalid USER-LIST parameters'],
    ['USER-LIST\t10.0.0', 'doveadm sent invalid USER-LIST parameters'],
  ])('that mean nothing end the connection, behind what was asked before: %j', (bad, text) => {
    const outcome = converse(directory, HANDSHAKE, `HOST-LIST\n${bad}\nHOST-LIST\n`);
    expect(outcome).toMatchObject({
      ...{ output: HANDSHAKE + HOST_LIST, log: [text], isDone: true },
    });
  });
});

describe('limits', () => {
  const nameOf = (lineBytes: number): string => 'x'.repeat(lineBytes - 'USER-LOOKUP\t\n'.length);

  it.each([adminLimits.lineBytes - 1, adminLimits.lineBytes])('a line of %d bytes', (bytes) => {
    const { output, log } = converse(directory, HANDSHAKE, `USER-LOOKUP\t${nameOf(bytes)}\n`);
    expect({ output, log }).toEqual({ output: `${HANDSHAKE}\t0\t10.0.0.1\t10.0.0.1\n`, log: [] });
  });

  it('a line of one byte more', () => {
    const line = `USER-LOOKUP\t${nameOf(adminLimits.lineBytes + 1)}\n`;
    for (const chunks of [[line], [...line], [line.slice(0, -1)]]) {
      const outcome = converse(directory, HANDSHAKE, ...chunks);
      expect(outcome).toMatchObject({ output: HANDSHAKE, isDone: true });
      expect(outcome.log).toEqual(['doveadm sent a line of more than 1024 bytes']);
    }
  });

  it.each([-1, 0, 1])('a slice of a long list %d', (more) => {
    const users = manyUsers(adminLimits.entriesPerSlice + more);
    const outcome = converse(new MemoryDirectory([{}], users), HANDSHAKE, 'USER-LIST\n');
    const lines = outcome.output.slice(HANDSHAKE.length).split('\n');
    expect(lines).toHaveLength(users.length + 2);
    expect(outcome.longestPiece).toBeLessThan(adminLimits.entriesPerSlice * 32);
  });

  it('holds for users that are looked at and not listed', () => {
    const own = new MemoryDirectory([{}], manyUsers(10 * adminLimits.entriesPerSlice));
    const connection = new AdminConnection(adminOptions(own), () => {});
    while (connection.next() !== null);
    connection.receive(Buffer.from(`${HANDSHAKE}USER-LIST\t10.0.0.9\n`));
    expect(connection.wantsInput).toBe(false);
    for (let slice = 1; slice <= 10; slice++) {
      expect(connection.next()).toBe('');
      expect(own.usersRead).toBe(slice * adminLimits.entriesPerSlice);
    }
    expect(connection.next()).toBe('\n');
  });

  it('many hosts come in slices too', () => {
    const hosts = Array.from({ length: 2500 }, () => ({}));
    const outcome = converse(new MemoryDirectory(hosts), HANDSHAKE, 'HOST-LIST\n');
    expect(outcome.output.split('\n')).toHaveLength(1 + 2500 + 2);
    expect(outcome.longestPiece).toBeLessThan(adminLimits.entriesPerSlice * 40);
  });
});

describe('end of input', () => {
  it('is waited for with answers', () => {
    const connection = new AdminConnection(adminOptions(directory), () => {});
    while (connection.next() !== null);
    connection.receive(Buffer.from(`${HANDSHAKE}HOST-LIST\nUSER-LIST`));
    connection.endInput();
    expect(connection.isDone).toBe(false);
    expect(connection.next()).toBe(HOST_LIST);
    while (connection.next() !== null);
    expect(connection.isDone).toBe(true);
  });
});

describe('hostile input', () => {
  it('does no harm', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        HANDSHAKE,
        'HOST-LIST\n',
        'USER-LIST',
        'USER-LOOKUP',
        '\t',
        '\n',
        '\x01',
        '\0',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.nat(3000).map((length) => 'x'.repeat(length)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const outcome = converse(directory, ...pieces.map((text) => Buffer.from(text, 'utf8')));
        expect(outcome.output.startsWith(HANDSHAKE)).toBe(true);
        expect(outcome.log.length).toBeLessThanOrEqual(1);
        for (const text of outcome.log) expect(text).toMatch(/^[ -~]{1,250}$/);
      }),
      { numRuns: 500 },
    );
  });
});
