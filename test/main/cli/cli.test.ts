import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import { parseConfig } from '../../../src/main/config/config.ts';
import { outputOf, runProgram } from '../../support/run-program.ts';
import { adminOptions } from '../admin/admin-director.ts';
import { MemoryDirectory, manyUsers } from '../admin/memory-directory.ts';

const BIN = fileURLToPath(new URL('../../../src/main/cli/bin.ts', import.meta.url));
const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';

function postilion(...args: readonly string[]) {
  return runProgram(process.execPath, [BIN, ...args]);
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postilion-cli-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

const GOOD = `base_dir: .
services: [{ protocol: imap, listen: "127.0.0.1:1143" }]
director: { mail_servers: [10.0.0.1, mail.invalid], username_hash: "%Ln" }
`;

async function configFile(text: string): Promise<string> {
  const path = join(await temporaryFolder(), 'postilion.yaml');
  await writeFile(path, text);
  return path;
}

describe('check', () => {
  it('prints the configuration, to be loaded again', async () => {
    const path = await configFile(GOOD);
    const { code, stdout, stderr } = await postilion('check', '-c', path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(parseConfig(stdout, '/other.yaml')).toEqual(parseConfig(GOOD, path));
  });

  it('prints all problems and ends with 78', async () => {
    const path = await configFile('services: []\nworkers: many\n');
    expect(await postilion('check', '--config', path)).toEqual({
      code: 78,
      stdout: '',
      stderr: [
        `${path}:1:1: director: expected a mapping, got nothing\n`,
        `${path}:1:11: services: expected a list of 1 or more, got a list\n`,
        `${path}:2:10: workers: expected auto or a whole number from 1 to 256, got "many"\n`,
      ].join(''),
    });
  });
});

describe('serve', () => {
  it('does not start with a bad configuration', async () => {
    const { code, stderr } = await postilion('serve', '-c', await configFile('workers: many\n'));
    expect(code).toBe(78);
    expect(stderr).toMatch(/postilion\.yaml:1:10: workers: expected/);
  });

  it('does not start with a mail server that does not exist', async () => {
    const { code, stderr } = await postilion('serve', '-c', await configFile(GOOD));
    expect(code).toBe(78);
    expect(stderr).toMatch(/:3:38: director\.mail_servers\[1\]: .*"mail\.invalid"/);
  });
});

describe('serve, on a port that is taken', () => {
  it('says so without a stack trace', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const text = GOOD.replace('1143', String(port)).replace(', mail.invalid', '');
    const { code, stderr } = await postilion('serve', '-c', await configFile(text));
    expect(code).toBe(1);
    expect(stderr).toMatch(/EADDRINUSE/);
    expect(stderr).not.toMatch(/\n +at /);
  });
});

describe('the command line', () => {
  it.each([
    [['bogus'], "error: unknown command 'bogus'\n"],
    [['check', '-c', 'x', '--bogus'], "error: unknown option '--bogus'\n"],
    [['check'], "error: required option '-c, --config <file>' not specified\n"],
    [['serve', '-c'], "error: option '-c, --config <file>' argument missing\n"],
    [['demo', 'extra'], "error: too many arguments for 'demo'. Expected 0 arguments but got 1.\n"],
    [['director', 'map', '-x'], "map: invalid option -- 'x'\n"],
    [
      ['director', 'map', '-u'],
      'postilion director map [-a <director socket path>] [-f <users file>] [-h | -u] [<host>]\n',
    ],
    [['director', 'status', 'a', 'b', 'c'], 'Error: Extraneous arguments found: c\n'],
  ])('with a mistake: %j', async (args, stderr) => {
    expect(await postilion(...args)).toEqual({ code: 64, stdout: '', stderr });
  });

  it('gives help', async () => {
    const { code, stdout } = await postilion('--help');
    expect(code).toBe(0);
    for (const command of ['serve', 'check', 'demo', 'director']) expect(stdout).toContain(command);
    expect(await postilion('director', 'up', '--help')).toEqual({
      ...{ code: 0, stderr: '' },
      stdout: 'postilion director up [-a <director socket path>] <host>\n',
    });
    const help = await postilion('director', '--help');
    const mistake = await postilion('director', 'bogus');
    expect({ ...help, stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' });
    // A mistake is answered as doveadm answers it; the help has our own commands as well.
    for (const line of mistake.stderr.split('\n')) expect(help.stdout).toContain(line);
    expect(help.stdout).toContain('\n  drain ');
    expect(mistake.stderr).not.toContain('\n  drain ');
    expect(mistake.code).toBe(64);
    expect(mistake.stderr).toMatch(
      /^usage: postilion .*\n {2}add {10}\[-a <director socket path>\]/,
    );
    expect(mistake.stderr).toContain('\n  ring         add|remove|status\n');
    expect((await postilion()).code).toBe(64);
  });
});

describe('director', () => {
  it('takes socket and hash from a configuration', async () => {
    const path = await configFile(GOOD);
    const server = await AdminServer.listenUnix(
      join(path, '../director-admin'),
      adminOptions(new MemoryDirectory([{ ip: '10.0.0.77' }])),
    );
    onTestFinished(() => server.close());
    const { stdout } = await postilion('director', '-c', path, '-f', 'tab', 'status');
    expect(stdout).toContain('10.0.0.77\t');
    const hashes = await Promise.all(
      ['a@b', 'A@c'].map((user) => postilion('director', '-c', path, 'map', '-u', user)),
    );
    expect(hashes[0].stdout).toBe(hashes[1].stdout);
  });

  it('says what is wrong with a users file', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const server = await AdminServer.listenUnix(socketPath, adminOptions(new MemoryDirectory([])));
    onTestFinished(() => server.close());
    const map = ['director', 'map', '-a', socketPath, '-f', '/no/file', '-h', '5'];
    expect(await postilion(...map)).toMatchObject({
      code: 75,
      stderr: 'Fatal: users file /no/file cannot be read (ENOENT)\n',
    });
  });

  it('ends quietly when its reader has enough', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const view = new MemoryDirectory([{}], manyUsers(300_000));
    const server = await AdminServer.listenUnix(socketPath, adminOptions(view));
    onTestFinished(() => server.close());
    const script = 'set -o pipefail; "$0" "$1" director map -a "$2" | head -n 2; echo "$?"';
    const args = ['-c', script, process.execPath, BIN, socketPath];
    const { stdout, stderr } = await runProgram('bash', args);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^user .*\n<unknown> .*\n0\n$/);
  });

  it('shows times in the zone of its user', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const view = new MemoryDirectory([{ lastUpDownChangeSecs: 1_700_000_000 }]);
    const server = await AdminServer.listenUnix(socketPath, adminOptions(view));
    onTestFinished(() => server.close());
    const env = { ...process.env, TZ: 'Asia/Tokyo' };
    const args = [BIN, 'director', '-f', 'flow', 'status', '-a', socketPath];
    expect(await outputOf(process.execPath, args, { env })).toContain('=2023-11-15 07:13:20 ');
  });
});

describe('director on TCP', () => {
  it('talks to another node', async () => {
    const view = new MemoryDirectory([{ ip: '10.0.0.77' }]);
    const server = await AdminServer.listenTcp({ ip: '127.0.0.1', port: 0 }, adminOptions(view));
    onTestFinished(() => server.close());
    const target = `127.0.0.1:${server.port}`;
    const { code, stdout } = await postilion('director', '-f', 'tab', 'status', '-a', target);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(stdout).toContain('10.0.0.77\t');
    await server.close();
    expect(await postilion('director', 'status', '-a', target)).toEqual({
      ...{ code: 75, stdout: '' },
      stderr: `Fatal: connect(${target}) failed: Connection refused\n`,
    });
  });

  it.each([
    ['nowhere', 'Fatal: Port not known for nowhere. Use nowhere:port\n'],
    [
      'no-host.invalid:5',
      'Fatal: Lookup of host no-host.invalid failed: Name or service not known\n',
    ],
    ['/no/socket', 'Fatal: net_connect_unix(/no/socket) failed: No such file or directory\n'],
    [BIN, `Fatal: net_connect_unix(${BIN}) failed: Connection refused\n`],
  ])('cannot reach %s', async (target, stderr) => {
    const result = await postilion('director', 'status', '-a', target);
    expect(result).toEqual({ code: 75, stdout: '', stderr });
  });
});

describe('director, when the other side is no director', () => {
  async function answering(onClient: (socket: Socket) => void): Promise<string> {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const server = createServer((socket) => {
      socket.on('error', () => {});
      onClient(socket);
    });
    server.listen(socketPath);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    return socketPath;
  }

  it.each<[string, number, RegExp, (socket: Socket) => void]>([
    ['hangs up', 75, /disconnected/, (socket) => socket.end()],
    ['says nothing', 75, /timed out/, () => {}],
    ['is of another kind', 76, /not a compatible/, (socket) => socket.write('* OK IMAP\r\n')],
    [
      'is too new',
      76,
      /not a compatible/,
      (socket) => socket.write(HANDSHAKE.replace('\t1', '\t2')),
    ],
    ['never ends its line', 76, /without end/, (socket) => socket.write('x'.repeat(70_000))],
    ['hangs up later', 75, /unexpectedly/, (socket) => socket.end(HANDSHAKE)],
    ['answers nonsense', 76, /Invalid reply/, (socket) => socket.write(`${HANDSHAKE}nonsense\n`)],
  ])('%s', async (_name, code, message, onClient) => {
    const socketPath = await answering(onClient);
    const result = await postilion('director', 'status', '-a', socketPath, 'alice');
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('prints what came before the end', async () => {
    const line = '10.0.0.1\t100\t0\t\tU\t0\n';
    const socketPath = await answering((socket) => socket.end(HANDSHAKE + line));
    const result = await postilion('director', '-f', 'flow', 'status', '-a', socketPath);
    expect(result.code).toBe(75);
    expect(result.stdout).toMatch(/^mail server ip=10\.0\.0\.1 .*\n$/);
  });
});
