import { chmod, lstat, unlink } from 'node:fs/promises';
import net from 'node:net';
import { errorCode } from '../shared/errors.ts';

/** Dovecot's mode of its LMTP socket: whoever can search the directory may bring mail. */
const SOCKET_MODE = 0o666;

/**
 * Listens on a unix socket. One that nobody listens on any more, left by a process or thread that died, is removed;
 * anything else in its place is an error.
 */
export async function listenUnix(server: net.Server, path: string, backlog: number): Promise<void> {
  try {
    await listenOnce(server, path, backlog);
  } catch (error) {
    if (errorCode(error) !== 'EADDRINUSE' || !(await isStale(path))) throw error;
    await unlink(path);
    await listenOnce(server, path, backlog);
  }
  await chmod(path, SOCKET_MODE);
}

async function listenOnce(server: net.Server, path: string, backlog: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path, backlog }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** It is a socket, and nobody is behind it. */
async function isStale(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return false;
  return await new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => resolve(errorCode(error) === 'ECONNREFUSED'));
  });
}
