import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adminLimits } from '../../../src/main/admin/admin-limits.ts';
import { AdminServer } from '../../../src/main/admin/admin-server.ts';
import type { DirectoryView } from '../../../src/main/admin/directory-view.ts';
import { noRing } from '../../../src/main/ring/running-ring.ts';
import { eventually, withDeadline } from '../../support/deadline.ts';
import { runProgram } from '../../support/run-program.ts';
import { adminOptions } from './admin-director.ts';
import { MemoryDirectory, manyUsers } from './memory-directory.ts';

const HANDSHAKE = 'VERSION\tdirector-doveadm\t1\t0\n';
const empty = new MemoryDirectory([{}]);

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postilion-admin-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function startServer(view: DirectoryView = empty) {
  const socketPath = join(await temporaryFolder(), 'base', 'director-admin');
  const log: string[] = [];
  const server = await AdminServer.listenUnix(socketPath, adminOptions(view, log));
  onTestFinished(() => server.close());
  return { server, socketPath, log };
}

function open(socketPath: string): Socket {
  const socket = connect(socketPath);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** All that comes until the other side closes. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  await withDeadline(once(socket, 'close'), 20_000, 'end of the connection');
  return text;
}

describe('the director-admin socket', () => {
  it('is for its owner only, and goes away at the end', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const before = process.umask();
    const server = await AdminServer.listenUnix(socketPath, adminOptions(empty));
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(before);
    await server.close();
    expect(existsSync(socketPath)).toBe(false);
  });

  it('answers, and closes when the client does', async () => {
    const { socketPath, server } = await startServer();
    const socket = open(socketPath);
    socket.end(`${HANDSHAKE}HOST-LIST\nUSER-LOOKUP\tfoo\nHOST-`);
    expect(await readAll(socket)).toBe(
      `${HANDSHAKE}10.0.0.1\t100\t0\t\tU\t0\n\n\t0\t10.0.0.1\t10.0.0.1\n`,
    );
    await eventually('no client left', 5000, () => server.clientCount === 0);
  });

  it('closes on a client that it does not understand, even when that one does not', async () => {
    const { socketPath, log } = await startServer();
    const socket = open(socketPath);
    socket.write(`${HANDSHAKE}RING-STATUS\n`);
    expect(await readAll(socket)).toBe(HANDSHAKE);
    expect(log).toEqual(['admin(unix socket): doveadm sent unknown command: RING-STATUS']);
  });

  it('sends a long list whole, at the pace of a client that reads late', async () => {
    const count = 200_000;
    const view = new MemoryDirectory([{}], manyUsers(count));
    const { socketPath } = await startServer(view);
    const socket = open(socketPath).pause();
    socket.write(`${HANDSHAKE}USER-LIST\nHOST-LIST\n`);
    // The socket's buffers fill, then it stands still. Others are served meanwhile.
    await eventually('the first slices', 5000, () => view.usersRead > 0);
    const other = open(socketPath);
    other.end(`${HANDSHAKE}HOST-LIST\n`);
    expect(await readAll(other)).toContain('10.0.0.1\t100');
    const readBefore = view.usersRead;
    expect(readBefore).toBeLessThan(count / 2);
    let text = '';
    for await (const chunk of socket) {
      text += (chunk as Buffer).toString('latin1');
      if (text.endsWith('U\t0\n\n')) break;
    }
    expect(text.split('\n').filter((line) => line.endsWith('\t10.0.0.1'))).toHaveLength(count);
    expect(view.usersRead).toBe(count);
  });

  it('survives a client that vanishes in the middle of a list', async () => {
    const view = new MemoryDirectory([{}], manyUsers(200_000));
    const { socketPath, server } = await startServer(view);
    const socket = open(socketPath);
    socket.write(`${HANDSHAKE}USER-LIST\n`);
    await once(socket, 'data');
    socket.destroy();
    await eventually('no client left', 5000, () => server.clientCount === 0);
    const next = open(socketPath);
    next.end(`${HANDSHAKE}USER-LOOKUP\t1\n`);
    expect(await readAll(next)).toContain('10.0.0.1\t1700000000');
  });

  it('loses a client and nothing else by a fault of ours', async () => {
    const broken = new MemoryDirectory([{}]);
    broken.currentHost = () => {
      throw new Error('broken');
    };
    const { socketPath, log } = await startServer(broken);
    const socket = open(socketPath);
    socket.write(`${HANDSHAKE}HOST-LIST-REMOVED\nUSER-LOOKUP\t5\nHOST-LIST\n`);
    expect(await readAll(socket)).toBe(`${HANDSHAKE}\n`);
    expect(log).toEqual([
      expect.stringMatching(/^admin\(unix socket\): fault of a command: Error: broken\n/),
    ]);
    const other = open(socketPath);
    other.end(`${HANDSHAKE}HOST-LIST-REMOVED\n`);
    expect(await readAll(other)).toBe(`${HANDSHAKE}\n`);
  });

  it('has a limit of clients', async () => {
    const { socketPath, server, log } = await startServer();
    const clients = Array.from({ length: adminLimits.clients }, () => open(socketPath));
    await Promise.all(clients.map((client) => once(client, 'data')));
    expect(server.clientCount).toBe(adminLimits.clients);
    expect(await readAll(open(socketPath))).toBe('');
    expect(log).toEqual([`more than ${adminLimits.clients} director-admin clients`]);
    clients[0].destroy();
    await eventually('room again', 5000, () => server.clientCount < adminLimits.clients);
    const late = open(socketPath);
    late.end();
    expect(await readAll(late)).toBe(HANDSHAKE);
  });
});

describe('a TCP listener', () => {
  it('serves, and knows who orders what', async () => {
    const log: string[] = [];
    const server = await AdminServer.listenTcp(
      { ip: '127.0.0.1', port: 0 },
      adminOptions(empty, log),
    );
    onTestFinished(() => server.close());
    const socket = connect(server.port, '127.0.0.1');
    socket.end(`${HANDSHAKE}HOST-LIST\nUSER-KICK\tfoo\nbogus\n`);
    expect(await readAll(socket)).toBe(`${HANDSHAKE}10.0.0.1\t100\t0\t\tU\t0\n\nOK\n`);
    expect(log).toEqual([
      expect.stringMatching(/^admin\(127\.0\.0\.1:\d+\): USER-KICK foo$/),
      expect.stringMatching(/^admin\(127\.0\.0\.1:\d+\): doveadm sent unknown command: bogus$/),
    ]);
  });

  it('may be impossible', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const server = AdminServer.listenTcp({ ip: '127.0.0.1', port }, adminOptions(empty));
    await expect(server).rejects.toMatchObject({
      code: 'ADMIN_SOCKET',
      message: `cannot listen on 127.0.0.1:${port} (EADDRINUSE)`,
    });
  });
});

describe('a client that has to wait', () => {
  it('is told when it is over, and others are served meanwhile', async () => {
    const options = adminOptions(empty);
    let isSynced = false;
    const ring = { ...noRing, isSynced: false };
    Object.defineProperty(ring, 'isSynced', { get: () => isSynced });
    const server = await AdminServer.listenTcp(
      { ip: '127.0.0.1', port: 0 },
      { ...options, director: { ...options.director, ring } },
    );
    onTestFinished(() => server.close());
    const socket = connect(server.port, '127.0.0.1');
    socket.end(`${HANDSHAKE}HOST-UP\t10.0.0.9\nHOST-LIST-REMOVED\n`);
    await once(socket, 'readable');
    await eventually('a wait', 5000, () => options.work.waitCount === 1);
    const other = connect(server.port, '127.0.0.1');
    other.end(`${HANDSHAKE}HOST-LIST-REMOVED\n`);
    expect(await readAll(other)).toBe(`${HANDSHAKE}\n`);
    const gone = connect(server.port, '127.0.0.1');
    gone.write(`${HANDSHAKE}HOST-UP\t10.0.0.9\nHOST-LIST\n`);
    await eventually('another wait', 5000, () => options.work.waitCount === 2);
    gone.resetAndDestroy();
    isSynced = true;
    options.work.run();
    expect(await readAll(socket)).toBe(`${HANDSHAKE}NOTFOUND\n\n`);
    await eventually('no client left', 5000, () => server.clientCount === 0);
  });
});

describe('what is at the path of the socket already', () => {
  it('is replaced when it is a socket that nobody answers on', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    // A process that is killed leaves its socket behind.
    const program = `import os,socket,sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])`;
    await runProgram('python3', ['-c', program, socketPath]);
    expect(existsSync(socketPath)).toBe(true);
    const server = await AdminServer.listenUnix(socketPath, adminOptions(empty));
    onTestFinished(() => server.close());
    const socket = open(socketPath);
    socket.end();
    expect(await readAll(socket)).toBe(HANDSHAKE);
  });

  it('is left alone when somebody answers', async () => {
    const { socketPath } = await startServer();
    const second = AdminServer.listenUnix(socketPath, adminOptions(empty));
    await expect(second).rejects.toMatchObject({
      code: 'ADMIN_SOCKET',
      message: `${socketPath} is in use: another process answers there`,
    });
    const socket = open(socketPath);
    socket.end();
    expect(await readAll(socket)).toBe(HANDSHAKE);
  });

  it('is left alone when somebody who has no time for clients listens there', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    const other = createServer(() => {}).listen(socketPath);
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const second = AdminServer.listenUnix(socketPath, adminOptions(empty));
    await expect(second).rejects.toThrow('is in use');
  });

  it('is left alone when it is a file', async () => {
    const socketPath = join(await temporaryFolder(), 'director-admin');
    await writeFile(socketPath, 'precious');
    const server = AdminServer.listenUnix(socketPath, adminOptions(empty));
    await expect(server).rejects.toThrow(`${socketPath} exists and is no socket`);
  });

  it('may be impossible', async () => {
    const server = AdminServer.listenUnix('/dev/null/x', adminOptions(empty));
    await expect(server).rejects.toThrow(/^cannot listen on \/dev\/null\/x \(/);
  });
});
