import { Fault } from './fired-faults.ts';
import type { Path, SimHost, SimNetwork, SimProcess } from './sim-network.ts';
import { SimStream } from './sim-stream.ts';

/** As the edge of the ring does it. */
const CLOSE_GRACE_MS = 2000;

/** One end of a connection. */
export class SimSocket {
  readonly network: SimNetwork;
  readonly host: SimHost;
  readonly process: SimProcess;
  /** The process' number for it; of a server's end: when it has been accepted. */
  id = 0;
  /** The process has it, and has not been told of its end. */
  isOpen = true;
  peer: SimSocket | null = null;
  out: SimStream | null = null;
  /** Nothing is read before this time. */
  stalledUntilMs = Number.NEGATIVE_INFINITY;
  /** Until then a closed end reads what still comes. */
  graceUntilMs = 0;
  #isEnded = false;

  constructor(network: SimNetwork, host: SimHost, process: SimProcess) {
    this.network = network;
    this.host = host;
    this.process = process;
  }

  /** The client's side of a new connection; the server's process hears of it with the first packet. */
  connectTo(server: SimSocket, out: Path, back: Path): void {
    this.peer = server;
    server.peer = this;
    this.out = new SimStream(this.network, out, server);
    server.out = new SimStream(this.network, back, this);
    this.out.accept();
  }

  /** The last packet of the connect has come. */
  accept(): void {
    // The process that was listening may be gone.
    if (this.host.process !== this.process) {
      this.isOpen = false;
      this.refuse();
      return;
    }
    const id = this.process.accepted(this.peer!.host.ip, this);
    if (id === null) this.close();
  }

  get waitingBytes(): number {
    return this.out?.waitingBytes ?? 0;
  }

  write(text: string): number {
    this.network.wrote(text);
    this.out?.write(text);
    const { waitingBytes } = this;
    if (waitingBytes > this.network.peakWaitingBytes) this.network.peakWaitingBytes = waitingBytes;
    return waitingBytes;
  }

  /** By the process: what was written is sent first, and what comes is read for a moment more. */
  close(): void {
    this.isOpen = false;
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.graceUntilMs = this.network.queue.nowMs + CLOSE_GRACE_MS;
    this.out?.end();
    this.#forget();
    if (this.waitingBytes === 0) return;
    this.network.queue.after(CLOSE_GRACE_MS, () => {
      if (this.waitingBytes > 0) this.diesWithReset();
    });
  }

  received(text: string): void {
    this.process.received(this.id, Buffer.from(text, 'latin1'));
  }

  /** The other side has closed. */
  ended(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.process.closed(this.id, '');
    this.close();
  }

  /** The connection is gone. */
  reset(error: string): void {
    this.out?.discard();
    this.#forget();
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#isEnded = true;
    this.process.closed(this.id, error);
  }

  /** Something came for a connection that is no more: the other side is told, once, if that gets through. */
  refuse(): void {
    const { peer } = this;
    if (peer === null) return;
    const path = this.network.path(this.host, peer.host);
    this.network.sendOnce(path, () => peer.reset('read ECONNRESET'));
  }

  // The process dies

  /** Kernel closes: what it took over is sent, what the process still had is lost. */
  diesWithEnd(): void {
    this.isOpen = false;
    this.#isEnded = true;
    this.out?.discardWaiting();
    this.out?.end();
    this.#forget();
  }

  diesWithReset(): void {
    this.isOpen = false;
    this.#isEnded = true;
    this.out?.discard();
    this.#forget();
    this.refuse();
  }

  /** Nobody is told anything. */
  diesSilently(): void {
    this.isOpen = false;
    this.#isEnded = true;
    this.out?.discard();
    this.#forget();
  }

  // Slow readers

  stall(untilMs: number): void {
    this.stalledUntilMs = Math.max(this.stalledUntilMs, untilMs);
    this.network.options.fired(Fault.slowReader);
  }

  #forget(): void {
    this.network.sockets.delete(this);
  }
}
