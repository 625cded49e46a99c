import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import type { HostStatus, UserStatus } from '../../../src/main/admin/directory-view.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';
import { requireProgram } from '../../support/require-program.ts';
import { type ProgramResult, runProgram } from '../../support/run-program.ts';
import { adminOptions } from '../admin/admin-director.ts';
import { MemoryDirectory, manyUsers } from '../admin/memory-directory.ts';

/**
 * The real doveadm and our `director` command side by side on our socket: both must print the same
 * bytes and end with the same code.
 */
const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));
const hashUser = compileUserHash('%Lu');

let folder: string;
let socketPath: string;
let doveadm: string;
let closeServer: () => Promise<void>;

beforeAll(async () => {
  doveadm = await requireProgram('doveadm', ['dovecot-core']);
  folder = await mkdtemp(join(tmpdir(), 'postilion-doveadm-'));
  await writeFile(join(folder, 'dovecot.conf'), `base_dir = ${folder}\nprotocols =\nssl = no\n`);
  await writeFile(join(folder, 'users'), Buffer.from(USERS_FILE, 'latin1'));
  ({ socketPath, close: closeServer } = await serve('main', MAIN_HOSTS, MAIN_USERS));
});

afterAll(async () => {
  await closeServer();
  await rm(folder, { recursive: true });
});

async function serve(
  name: string,
  hosts: readonly Partial<HostStatus>[],
  users: readonly UserStatus[] = [],
) {
  const path = join(folder, `${name}.sock`);
  const view = new MemoryDirectory(hosts, users);
  const server = await AdminServer.listenUnix(path, adminOptions(view));
  return { socketPath: path, close: () => server.close() };
}

async function run(command: string, args: readonly string[]): Promise<ProgramResult> {
  const result = await runProgram(command, args, { cwd: folder, encoding: 'latin1' });
  // The name of the program, where it is named.
  return { ...result, stderr: result.stderr.replace(/^(usage: )?postilion /gm, '$1doveadm ') };
}

function theirs(format: string | null, args: readonly string[]): Promise<ProgramResult> {
  const formatter = format === null ? [] : ['-f', format];
  return run(doveadm, ['-c', 'dovecot.conf', ...formatter, 'director', ...args]);
}

function ours(format: string | null, args: readonly string[]): Promise<ProgramResult> {
  const formatter = format === null ? [] : ['-f', format];
  return run(process.execPath, [BIN, 'director', ...formatter, ...args]);
}

/** Gives what both printed. */
async function expectSame(format: string | null, args: readonly string[]): Promise<ProgramResult> {
  const [expected, found] = await Promise.all([theirs(format, args), ours(format, args)]);
  expect(found).toEqual(expected);
  return expected;
}

const MAIN_HOSTS: readonly Partial<HostStatus>[] = [
  { ip: '10.0.0.1', userCount: 12345 },
  { ip: '10.0.0.2', vhostCount: 0, isDown: true, lastUpDownChangeSecs: 1_700_000_000 },
  { ip: '10.0.0.100', vhostCount: 1000, tag: 'a-tag', lastUpDownChangeSecs: 86_400 },
  { ip: '2001:db8:1234:5678:9abc:def0:1234:5678', tag: 'v6', isDown: true },
];

const NAMES = [
  ...['alice', 'Alice', 'ALICE', 'bob@example.com', 'x'.repeat(70), 'with blank', 'say "x\\y"'],
  ...['gr\xc3\xbcn', 'latin1-gr\xfcn', '\xe2\x82\xac\xf0\x9f\x98\x80', 'cut\xe2\x82', '\xc3', ''],
  ...['ls\xe2\x80\xa8ps\xe2\x80\xa9', 'bell\x07esc\x1bdel\x7f', 'tab\tbed', '\xed\xa0\x80', '\xff'],
  ...['over\xc0\xaflong', '\xf4\x90\x80\x80', '\xef\xbf\xbe', '\xe0\x80\x80', '\xf5\x80\x80\x80'],
];
const USERS_FILE = `${NAMES.join('\n')}\nwindows\r\nlast-without-lf`;

const MAIN_USERS: readonly UserStatus[] = [
  ...[...NAMES, 'windows', 'last-without-lf', 'not-in-file'].map((name, i) => ({
    hash: hashUser(name),
    expiresAtSecs: 1_700_000_000 + 86_400 * i,
    ip: MAIN_HOSTS[i % 3].ip as string,
  })),
  { hash: 4294967295, expiresAtSecs: 0, ip: '2001:db8:1234:5678:9abc:def0:1234:5678' },
  { hash: 1, expiresAtSecs: 4294967295, ip: '10.0.0.1' },
];

describe.each([null, 'flow', 'tab', 'json'])('format %s', (format) => {
  it('of director status', async () => {
    const { code, stdout } = await expectSame(format, ['status', '-a', socketPath]);
    expect(code).toBe(0);
    expect(stdout).toContain('2001:db8:1234:5678:9abc:def0:1234:5678');
  });

  it.each([
    [['alice']],
    [['alice', 'a-tag']],
    [['unknown-user', 'v6']],
    [['4294967295', 'v6']],
    [['grün', 'no-such-tag']],
    [['']],
  ])('of director status %j', async (args) => {
    const { code, stdout } = await expectSame(format, ['status', '-a', socketPath, ...args]);
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
  });

  it.each([
    [[]],
    [['10.0.0.2']],
    [['2001:DB8:1234:5678:9abc:def0:1234:5678']],
    [['localhost']],
    [['167772161']],
  ])('of director map -f users %j', async (args) => {
    const { code } = await expectSame(format, ['map', '-a', socketPath, '-f', 'users', ...args]);
    expect(code).toBe(0);
  });

  it.each(['alice', String(hashUser('alice')), '5'])(
    'of director map -u and -h %s',
    async (name) => {
      await expectSame(format, ['map', '-u', name]);
      if (/^\d+$/.test(name)) {
        await expectSame(format, ['map', '-a', socketPath, '-f', 'users', '-h', name]);
      }
    },
  );
});

describe('what is shown', () => {
  it('is a table unless asked otherwise, but for one user', async () => {
    await expectSame('table', ['status', '-a', socketPath]);
    await expectSame('table', ['status', '-a', socketPath, 'alice']);
    await expectSame('table', ['map', '-a', socketPath, '-f', 'users', '10.9.9.9']);
  });

  it('without users file is <unknown> for doveadm with an empty one', async () => {
    const expected = await theirs(null, ['map', '-a', socketPath, '-f', '/dev/null']);
    expect(await ours(null, ['map', '-a', socketPath])).toEqual(expected);
    expect(expected.stdout.split('\n')[1]).toMatch(/^<unknown> /);
  });

  it('by the arguments of doveadm, in any order', async () => {
    await expectSame('tab', ['status', 'alice', '-a', socketPath, 'a-tag']);
    await expectSame('tab', ['map', '--users-file=users', '--socket-path', socketPath, '10.0.0.1']);
    await expectSame('tab', ['map', '-fusers', `-a${socketPath}`]);
    await expectSame('flow', ['map', '-hu', 'bob']);
  });

  const edgeCases: [string, readonly Partial<HostStatus>[], readonly UserStatus[]][] = [
    ['no hosts and no users', [], []],
    ['99 hosts', hostsOfAnyLength(99), manyUsers(99)],
    ['100 hosts', hostsOfAnyLength(100), manyUsers(100)],
    ['101 hosts', hostsOfAnyLength(101), manyUsers(101)],
    ['thousands', hostsOfAnyLength(3000), manyUsers(20_000)],
    ['tags that are too wide', [{ tag: 't'.repeat(60) }, { tag: 'u'.repeat(64) }, {}], []],
    ['tags that just fit', [{ tag: 't'.repeat(21) }], []],
    ['tags that just do not fit', [{ tag: 't'.repeat(22) }, {}], []],
    ['tags that shrink others', [{ tag: 't'.repeat(40) }, { tag: 'x' }], []],
    ['numbers of all lengths', [{ userCount: 4294967295, vhostCount: 0 }, { ip: '::' }], []],
  ];
  it.each(edgeCases)('with %s', async (name, hosts, users) => {
    const own = await serve(name.replaceAll(' ', '-'), hosts, users);
    onTestFinished(own.close);
    await expectSame(null, ['status', '-a', own.socketPath]);
    await expectSame(null, ['map', '-f', 'users', '-a', own.socketPath]);
    await expectSame('json', ['map', '-f', 'users', '-a', own.socketPath]);
  });

  it.each([1, 29, 60, 88, 250])('on a terminal with %d columns', async (columns) => {
    for (const args of [['status'], ['map', '-f', 'users'], ['map', '-u', 'alice']]) {
      const onSocket = args.includes('-u') ? [] : ['-a', socketPath];
      const director = ['director', ...args, ...onSocket];
      const [expected, found] = await Promise.all([
        onTerminal(columns, [doveadm, '-c', 'dovecot.conf', ...director]),
        onTerminal(columns, [process.execPath, BIN, ...director]),
      ]);
      expect(found).toBe(expected);
      expect(expected).not.toBe('');
    }
  });
});

describe('exit codes', () => {
  it.each([
    [64, ['bogus']],
    [64, []],
    [64, ['status', '-x']],
    [64, ['status', 'a', 'b', 'c']],
    [64, ['map', '-u']],
    [64, ['map', '-a']],
    [75, ['status', '-a', '/nowhere/at/all']],
    [75, ['map', '-f', 'users', '-a', '/nowhere/at/all']],
  ])('%d for %j', async (code, args) => {
    expect(await expectSame(null, args)).toMatchObject({ code, stdout: '' });
  });

  it.each([
    [64, ['map', '-h']],
    [75, ['map', '-f', 'users', '-h', 'not-a-hash']],
    [75, ['map', '-f', 'users', '-h', '4294967296']],
    [75, ['map', '-f', 'users', 'no-such-host.invalid']],
  ])('%d for %j on the socket', async (code, args) => {
    const onSocket = [...args.slice(0, 1), '-a', socketPath, ...args.slice(1)];
    expect(await expectSame(null, onSocket)).toMatchObject({ code, stdout: '' });
  });
});

/** Addresses that get longer and longer, so that the first 100 are not the widest. */
function hostsOfAnyLength(count: number): Partial<HostStatus>[] {
  return Array.from({ length: count }, (_, i) => ({
    ip: i < 90 ? `10.0.0.${i}` : `2001:db8:1111:2222:3333:4444:5555:${i.toString(16)}`,
    tag: 'x'.repeat(i % 7),
    userCount: i * i,
  }));
}

/** What a program prints on a terminal of that width. */
async function onTerminal(columns: number, command: readonly string[]): Promise<string> {
  const program = `import fcntl,os,pty,struct,subprocess,sys,termios
master,slave=pty.openpty()
fcntl.ioctl(slave,termios.TIOCSWINSZ,struct.pack('HHHH',24,int(sys.argv[1]),0,0))
child=subprocess.Popen(sys.argv[2:],stdout=slave)
os.close(slave)
try:
  while True:
    data=os.read(master,65536)
    if not data: break
    sys.stdout.buffer.write(data)
except OSError: pass
sys.exit(child.wait())`;
  const args = ['-c', program, String(columns), ...command];
  const { code, stdout } = await runProgram('python3', args, { cwd: folder, encoding: 'latin1' });
  expect(code).toBe(0);
  return stdout;
}
