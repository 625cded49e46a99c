import { once } from 'node:events';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, PostilionError } from '../../shared/errors.ts';
import { plainAddress } from '../../shared/ip-address.ts';
import { AdminConnection } from './admin-connection.ts';
import type { AdminDirector } from './admin-director.ts';
import { adminLimits } from './admin-limits.ts';
import type { AdminWork } from './admin-work.ts';
import type { AdminLog } from './command.ts';

export { ADMIN_SOCKET_NAME } from './admin-protocol.ts';

/** Read and write for the owner only: nobody else may look at users or move them. */
const SOCKET_UMASK = 0o177;
/** Keeps a dead machine from holding one of the connections for ever. */
const KEEPALIVE_MS = 60_000;

export interface AdminServerOptions {
  readonly director: AdminDirector;
  readonly work: AdminWork;
  /** Changes and who ordered them; clients that misbehave; being full. */
  readonly log: AdminLog;
}

/** A listener cannot be had; the text says why. */
export class AdminSocketError extends PostilionError {
  constructor(message: string, options?: ErrorOptions) {
    super('ADMIN_SOCKET', message, options);
  }
}

/** Serves the director-admin protocol on one listener. */
export class AdminServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, { director, work, log }: AdminServerOptions) {
    this.#server = server;
    server.maxConnections = adminLimits.clients;
    server.on('drop', () => log('warn', `more than ${adminLimits.clients} director-admin clients`));
    server.on('error', (error) => log('warn', `director-admin socket: ${error.message}`));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      const who = nameOf(socket);
      const clientLog: AdminLog = (level, text) => log(level, `admin(${who}): ${text}`);
      serveClient(
        socket,
        (wake) => new AdminConnection({ director, work, log: clientLog, who }, wake),
        (fault) => clientLog('error', `fault of a command: ${fault}`),
      );
    });
  }

  /** On a unix socket; creates its folder if need be. Throws AdminSocketError. */
  static async listenUnix(socketPath: string, options: AdminServerOptions): Promise<AdminServer> {
    const server = createServer({ allowHalfOpen: true });
    try {
      await mkdir(dirname(socketPath), { recursive: true, mode: 0o755 });
      await removeStaleSocket(socketPath);
      const isListening = once(server, 'listening');
      // bind() happens inside listen(): the socket never exists with another mode.
      const umask = process.umask(SOCKET_UMASK);
      try {
        server.listen(socketPath);
      } finally {
        process.umask(umask);
      }
      await isListening;
    } catch (error) {
      throw cannotListen(socketPath, error);
    }
    return new AdminServer(server, options);
  }

  /** On a TCP port: whoever can reach it may do everything. Throws AdminSocketError. */
  static async listenTcp(
    { ip, port }: { readonly ip: string; readonly port: number },
    options: AdminServerOptions,
  ): Promise<AdminServer> {
    const server = createServer({
      ...{ allowHalfOpen: true, noDelay: true },
      ...{ keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS },
    });
    try {
      const isListening = once(server, 'listening');
      server.listen({ host: ip, port });
      await isListening;
    } catch (error) {
      throw cannotListen(`${ip}:${port}`, error);
    }
    return new AdminServer(server, options);
  }

  get clientCount(): number {
    return this.#sockets.size;
  }

  /** 0 for a unix socket. */
  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? 0 : address.port;
  }

  /** Ends all clients and removes the socket. */
  async close(): Promise<void> {
    const isClosed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await isClosed;
  }
}

function cannotListen(where: string, error: unknown): AdminSocketError {
  if (error instanceof AdminSocketError) return error;
  const text = `cannot listen on ${where} (${errorCode(error) || String(error)})`;
  return new AdminSocketError(text, { cause: error });
}

/** Who a client is, for the log. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined) return 'unix socket';
  const ip = plainAddress(remoteAddress);
  return `${ip.includes(':') ? `[${ip}]` : ip}:${remotePort}`;
}

/** A socket that a dead process has left is removed; anything else that is there is not ours. */
async function removeStaleSocket(path: string): Promise<void> {
  try {
    const found = await lstat(path);
    if (!found.isSocket()) throw new AdminSocketError(`${path} exists and is no socket`);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    if (errorCode(error) !== 'ECONNREFUSED') throw error;
    await unlink(path);
    return;
  } finally {
    socket.destroy();
  }
  throw new AdminSocketError(`${path} is in use: another process answers there`);
}

/** Moves bytes between a socket and the engine; reads only when the engine has nothing to say. */
function serveClient(
  socket: Socket,
  create: (wake: () => void) => AdminConnection,
  onFault: (text: string) => void,
): void {
  let isScheduled = false;
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      pump();
    });
  };
  const connection = create(schedule);
  /** A fault of ours costs its client the connection, and nobody else anything. */
  const nextPiece = (): string | null => {
    try {
      return connection.next();
    } catch (error) {
      onFault(error instanceof Error ? (error.stack ?? error.message) : String(error));
      socket.destroy();
      return null;
    }
  };
  /** One piece at a time, so that other clients and the directory get their turn in between. */
  const pump = (): void => {
    if (socket.destroyed) return;
    const piece = nextPiece();
    if (socket.destroyed) return;
    if (piece === null) {
      // Closed as soon as all is written, whether or not the client closes too.
      if (connection.isDone) socket.destroySoon();
      else if (connection.wantsInput) socket.resume();
      return;
    }
    socket.pause();
    if (piece === '' || socket.write(piece, 'latin1')) schedule();
    else socket.once('drain', schedule);
  };
  socket.on('data', (chunk: Buffer) => {
    connection.receive(chunk);
    socket.pause();
    schedule();
  });
  socket.once('end', () => {
    connection.endInput();
    schedule();
  });
  // A client that is gone is no trouble of ours; 'close' follows.
  socket.on('error', () => socket.destroy());
  pump();
}
