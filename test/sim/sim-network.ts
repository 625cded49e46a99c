import type { EventQueue } from './event-queue.ts';
import { Fault } from './fired-faults.ts';
import type { SimRandom } from './sim-random.ts';
import { SimSocket } from './sim-socket.ts';

/** What listens on a host and has its connections. */
export interface SimProcess {
  /** The id of the new connection; null: refused. */
  accepted(remoteIp: string, socket: SimSocket): number | null;
  connected(connectionId: number): void;
  received(connectionId: number, bytes: Buffer): void;
  closed(connectionId: number, error: string): void;
  writable(connectionId: number): void;
}

/** A machine with one process, or without. */
export class SimHost {
  readonly ip: string;
  readonly name: string;
  process: SimProcess | null = null;
  /** False: whatever arrives is lost, and sent again until it is on again. */
  isPowered = true;
  readonly held: (() => void)[] = [];

  constructor(ip: string, name: string) {
    this.ip = ip;
    this.name = name;
  }
}

/** One direction between two hosts. */
export class Path {
  readonly from: SimHost;
  readonly to: SimHost;
  baseMs = 0;
  jitterMs = 0;
  /** Who blocks it: any number of faults at once. */
  blocks = 0;
  refusesUntilMs = 0;
  losesConnectsUntilMs = 0;
  readonly held: (() => void)[] = [];

  constructor(from: SimHost, to: SimHost) {
    this.from = from;
    this.to = to;
  }
}

export interface NetworkOptions {
  readonly queue: EventQueue;
  readonly random: SimRandom;
  /** Bytes that are on their way, or not read yet, before a writer has to keep more. */
  readonly windowBytes: number;
  readonly splitChance: number;
  readonly fired: (fault: Fault) => void;
  readonly trace: ((text: () => string) => void) | null;
}

/** What is held back is sent again at some time within this. */
const RESEND_MS = 1000;
const LONG_DELAY_MS = 1000;

/** Hosts and what is between them: delays, blocked directions, connections as TCP has them. */
export class SimNetwork {
  readonly queue: EventQueue;
  readonly random: SimRandom;
  readonly options: NetworkOptions;
  readonly hosts: SimHost[] = [];
  readonly paths: Path[] = [];
  /** Both ends of every connection that may still be open somewhere. */
  readonly sockets = new Set<SimSocket>();
  /** Lines written that are no PING or PONG. */
  linesWritten = 0;
  peakWaitingBytes = 0;
  /** What may be on its way on one connection. */
  windowBytes: number;
  readonly #paths = new Map<SimHost, Map<SimHost, Path>>();

  constructor(options: NetworkOptions) {
    this.options = options;
    this.windowBytes = options.windowBytes;
    this.queue = options.queue;
    this.random = options.random;
  }

  addHost(ip: string, name: string): SimHost {
    const host = new SimHost(ip, name);
    this.#paths.set(host, new Map());
    for (const other of this.hosts) {
      for (const [from, to] of [
        [host, other],
        [other, host],
      ]) {
        const path = new Path(from, to);
        this.paths.push(path);
        this.#paths.get(from)!.set(to, path);
      }
    }
    this.hosts.push(host);
    return host;
  }

  path(from: SimHost, to: SimHost): Path {
    return this.#paths.get(from)!.get(to)!;
  }

  hostOf(ip: string): SimHost | undefined {
    return this.hosts.find((host) => host.ip === ip);
  }

  delayMs(path: Path): number {
    const delayMs = path.baseMs + Math.floor(this.random.next() * path.jitterMs);
    if (delayMs > LONG_DELAY_MS) this.options.fired(Fault.delayOver1s);
    return delayMs;
  }

  // Packets

  /** Something has come to the end of a path: it is there, or held until it can be sent again. */
  arrive(path: Path, run: () => void): void {
    if (path.blocks > 0) path.held.push(() => this.arrive(path, run));
    else if (!path.to.isPowered) path.to.held.push(() => this.arrive(path, run));
    else run();
  }

  /** Sends something that nobody sends again when it is lost. */
  sendOnce(path: Path, run: () => void): void {
    this.queue.after(this.delayMs(path), () => {
      if (path.blocks === 0 && path.to.isPowered) run();
    });
  }

  send(path: Path, run: () => void): void {
    this.queue.after(this.delayMs(path), () => this.arrive(path, run));
  }

  block(path: Path): void {
    path.blocks++;
  }

  unblock(path: Path): void {
    if (--path.blocks > 0) return;
    this.#sendAgain(path.held);
  }

  powerOn(host: SimHost): void {
    host.isPowered = true;
    this.#sendAgain(host.held);
  }

  #sendAgain(held: (() => void)[]): void {
    for (const run of held.splice(0)) {
      this.queue.after(this.random.int(0, RESEND_MS), run);
    }
  }

  // Connections

  /** Opens a connection; the process hears connected() or closed(), or nothing if packets are lost. */
  connect(from: SimHost, toIp: string, connectionId: number): SimSocket {
    const process = from.process!;
    const client = new SimSocket(this, from, process);
    client.id = connectionId;
    this.sockets.add(client);
    const to = this.hostOf(toIp);
    if (to === undefined || to === from) {
      this.queue.after(1, () => client.reset('connect ECONNREFUSED'));
      return client;
    }
    const out = this.path(from, to);
    const back = this.path(to, from);
    if (out.losesConnectsUntilMs > this.queue.nowMs) {
      this.options.fired(Fault.connectTimeout);
      return client;
    }
    this.send(out, () => {
      const listener = to.process;
      if (listener === null || out.refusesUntilMs > this.queue.nowMs) {
        this.options.fired(Fault.connectRefused);
        this.sendOnce(back, () => client.reset('connect ECONNREFUSED'));
        return;
      }
      const server = new SimSocket(this, to, listener);
      this.send(back, () => {
        if (!client.isOpen) return;
        client.connectTo(server, out, back);
        this.sockets.add(server);
        client.process.connected(connectionId);
      });
    });
    return client;
  }

  wrote(text: string): void {
    if (!text.startsWith('P')) this.linesWritten++;
  }

  /** Ends every connection between two hosts with a reset that both sides see. */
  resetBetween(a: SimHost, b: SimHost): boolean {
    let hasReset = false;
    for (const socket of [...this.sockets]) {
      const ends = socket.peer === null ? [] : [socket.host, socket.peer.host];
      if (!ends.includes(a) || !ends.includes(b) || !socket.isOpen) continue;
      hasReset = true;
      socket.reset('read ECONNRESET');
    }
    return hasReset;
  }
}
