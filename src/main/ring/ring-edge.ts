import net from 'node:net';
import { plainAddress } from '../../shared/ip-address.ts';
import type { Directory } from '../directory/directory.ts';
import { Ring, type RingOptions } from './ring.ts';

/** Input that is taken in one turn of the event loop. */
const PIECE_BYTES = 16 * 1024;
/** An honest neighbour reads what we leave it with in this time. */
const CLOSE_GRACE_MS = 2000;
/** Keeps a neighbour's dead machine from looking alive to the kernel. */
const KEEPALIVE_MS = 30_000;

export interface RingEdgeOptions {
  readonly ring: RingOptions;
  readonly directory: Directory;
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

/** A socket of the ring, with what waits to be written in this turn of the event loop. */
interface Link {
  readonly socket: net.Socket;
  pending: string;
}

/** The sockets of the ring engine. All decisions are the engine's; nothing here blocks. */
export class RingEdge {
  readonly #options: RingEdgeOptions;
  readonly #links = new Map<number, Link>();
  readonly #unflushed = new Set<number>();
  readonly #server: net.Server;
  readonly ring: Ring;

  constructor(options: RingEdgeOptions) {
    this.#options = options;
    this.ring = new Ring(options.ring, options.directory, {
      connect: (id, ip, port) => this.#connect(id, ip, port),
      write: (id, text) => this.#write(id, text),
      close: (id) => this.#close(id),
      bufferedBytes: (id) => this.#bufferedBytes(id),
      log: options.log,
    });
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens at our own address, then connects to the others. Rejects when the address is not to be had. */
  async start(): Promise<void> {
    const { ip, port } = this.#options.ring.self;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: ip, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => {
          this.#options.log('error', `ring listener: ${error.message}`);
        });
        resolve();
      });
    });
    this.ring.start(this.#options.now());
  }

  tick(nowMs: number): void {
    this.ring.tick(nowMs);
  }

  async stop(): Promise<void> {
    this.ring.stop(this.#options.now());
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: net.Socket): void {
    const remoteIp = plainAddress(socket.remoteAddress ?? '');
    const id = this.ring.accepted(remoteIp, this.#options.now(), (connectionId) => {
      this.#links.set(connectionId, { socket, pending: '' });
    });
    if (id === null) {
      socket.destroy();
      return;
    }
    this.#own(id, socket);
  }

  #connect(id: number, ip: string, port: number): void {
    const { self } = this.#options.ring;
    const socket = net.connect({ host: ip, port, localAddress: self.ip, noDelay: true });
    this.#links.set(id, { socket, pending: '' });
    socket.once('connect', () => {
      if (this.#links.has(id)) this.ring.connected(id, this.#options.now());
    });
    this.#own(id, socket);
  }

  #own(id: number, socket: net.Socket): void {
    let error = '';
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on('data', (chunk) => this.#feed(id, socket, chunk));
    socket.on('drain', () => this.#sendMore(id));
    socket.on('error', (failure) => {
      error = failure.message;
    });
    socket.once('close', () => {
      if (!this.#links.delete(id)) return;
      this.ring.closed(id, error, this.#options.now());
    });
  }

  /**
   * A large chunk is taken in pieces, one in each turn of the event loop, and nothing is read meanwhile: a
   * handshake's users come as fast as they can be sent, and libuv would read 2 MiB of them in one turn.
   */
  #feed(id: number, socket: net.Socket, chunk: Buffer): void {
    if (!this.#links.has(id)) return;
    this.ring.received(id, chunk.subarray(0, PIECE_BYTES), this.#options.now());
    if (chunk.length < PIECE_BYTES) return;
    const rest = chunk.subarray(PIECE_BYTES);
    socket.pause();
    setImmediate(() => {
      if (rest.length > 0) this.#feed(id, socket, rest);
      if (rest.length < PIECE_BYTES) socket.resume();
    });
  }

  #write(id: number, text: string): number {
    const link = this.#links.get(id);
    if (link === undefined) return 0;
    if (this.#unflushed.size === 0) setImmediate(() => this.#flush());
    this.#unflushed.add(id);
    link.pending += text;
    return link.socket.writableLength + link.pending.length;
  }

  #flush(): void {
    const ids = [...this.#unflushed];
    this.#unflushed.clear();
    for (const id of ids) {
      const link = this.#links.get(id);
      if (link === undefined) continue;
      flushLink(link);
      this.#sendMore(id);
    }
  }

  /** The engine has more users for a new neighbour: a part of them in each turn of the event loop. */
  #sendMore(id: number): void {
    if (!this.#links.has(id) || !this.ring.hasMore(id)) return;
    setImmediate(() => {
      const link = this.#links.get(id);
      if (link === undefined || link.socket.writableNeedDrain) return;
      this.ring.writable(id, this.#options.now());
      if (link.pending === '') this.#sendMore(id);
    });
  }

  #bufferedBytes(id: number): number {
    const link = this.#links.get(id);
    return link === undefined ? 0 : link.socket.writableLength + link.pending.length;
  }

  #close(id: number): void {
    const link = this.#links.get(id);
    if (link === undefined) return;
    this.#links.delete(id);
    flushLink(link);
    const { socket } = link;
    socket.end();
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS);
    socket.once('close', () => clearTimeout(timer));
  }
}

function flushLink(link: Link): void {
  if (link.pending === '') return;
  const { pending } = link;
  link.pending = '';
  if (!link.socket.destroyed) link.socket.write(pending, 'latin1');
}
