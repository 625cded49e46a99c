import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { seededRandom } from '../support/seeded-random.ts';

const DEADLINE_MS = 10_000;
/** Random bytes are cut out of this at random places: cheap, and no slip stays unseen. */
const POOL_BYTES = 1024 * 1024;
const MAX_CHUNK_BYTES = 200_000;

/**
 * A backend that logs everybody in and then leaves the connection to the test. Half-open
 * connections stay as they are.
 */
export class RelayBackend {
  readonly #server: Server;
  readonly #relayed: Socket[] = [];
  readonly #waiting: ((socket: Socket) => void)[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      socket.write('* OK [CAPABILITY IMAP4rev1] relay backend\r\n');
      this.#logIn(socket);
    });
  }

  static async start(host: string): Promise<RelayBackend> {
    const backend = new RelayBackend();
    backend.#server.listen({ host, port: 0 });
    await once(backend.#server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  /** The next connection that is logged in; nothing reads it. */
  async next(): Promise<Socket> {
    const socket = this.#relayed.shift();
    return socket ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #logIn(socket: Socket): void {
    let input = '';
    const listener = (chunk: Buffer): void => {
      input += chunk.toString('latin1');
      for (let end = input.indexOf('\r\n'); end >= 0; end = input.indexOf('\r\n')) {
        const [tag, command] = input.slice(0, end).split(' ');
        input = input.slice(end + 2);
        socket.write(`${tag} OK [CAPABILITY IMAP4rev1] done\r\n`);
        if (command.toUpperCase() !== 'LOGIN') continue;
        socket.off('data', listener);
        socket.pause();
        const waiting = this.#waiting.shift();
        if (waiting === undefined) this.#relayed.push(socket);
        else waiting(socket);
        return;
      }
    };
    socket.on('data', listener);
  }
}

/** A client that is logged in; its connection is paused, and nothing more has arrived. */
export async function logIn(port: number, user: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  socket.on('error', () => {});
  let input = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no login: ${input}`)), DEADLINE_MS);
    const listener = (chunk: Buffer): void => {
      const hadGreeting = input !== '';
      input += chunk.toString('latin1');
      if (!hadGreeting) socket.write(`a LOGIN ${user} pass\r\n`);
      if (!/^a OK .*\r\n/m.test(input)) return;
      clearTimeout(timer);
      socket.off('data', listener);
      socket.pause();
      resolve();
    };
    socket.on('data', listener);
  });
  return socket;
}

/** Sends a stream of random bytes, as fast as the socket takes them or with pauses. */
export class RandomSender {
  readonly #socket: Socket;
  readonly #bytes: number;
  readonly #random: () => number;
  readonly #pool: Buffer;
  readonly #hash: Hash = createHash('sha256');
  readonly #hasPauses: boolean;
  /** Bytes that the socket has taken; with no more than one chunk of them still in its queue. */
  sent = 0;

  constructor(socket: Socket, bytes: number, seed: number, hasPauses: boolean) {
    this.#socket = socket;
    this.#bytes = bytes;
    this.#random = seededRandom(seed);
    this.#hasPauses = hasPauses;
    this.#pool = Buffer.alloc(POOL_BYTES);
    for (let i = 0; i < POOL_BYTES; i++) this.#pool[i] = Math.floor(this.#random() * 256);
  }

  /** Resolves to the SHA-256 of everything when all is written. */
  async run(): Promise<string> {
    while (this.sent < this.#bytes) {
      const chunk = this.#nextChunk();
      this.#hash.update(chunk);
      const isTaken = this.#socket.write(chunk);
      this.sent += chunk.length;
      if (!isTaken) await once(this.#socket, 'drain');
      if (this.#hasPauses && this.#random() < 0.1) {
        await new Promise((resolve) => setTimeout(resolve, this.#random() * 5));
      }
    }
    return this.#hash.digest('hex');
  }

  #nextChunk(): Buffer {
    // Small ones as often as large ones.
    const most = Math.min(2 ** (this.#random() * 18), MAX_CHUNK_BYTES, this.#bytes - this.sent);
    const length = Math.max(1, Math.floor(most));
    const start = Math.floor(this.#random() * (POOL_BYTES - length));
    return this.#pool.subarray(start, start + length);
  }
}

/** Reads everything to the end, or so many bytes, now and then with a pause. */
export async function receive(
  socket: Socket,
  bytes = Number.POSITIVE_INFINITY,
  pauses: (() => number) | null = null,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    const listener = (chunk: Buffer): void => {
      hash.update(chunk);
      received += chunk.length;
      if (received >= bytes) done();
      else if (pauses !== null && pauses() < 0.05) {
        socket.pause();
        setTimeout(() => socket.resume(), pauses() * 5);
      }
    };
    const done = (): void => {
      socket.off('data', listener);
      socket.pause();
      resolve();
    };
    socket.on('data', listener);
    socket.once('end', done);
    socket.once('close', () => reject(new Error(`closed after ${received} bytes`)));
    socket.resume();
  });
  return { bytes: received, sha256: hash.digest('hex') };
}
