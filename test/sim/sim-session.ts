import type { HostWaiter } from '../../src/workers/directory-client.ts';
import { Fault } from './fired-faults.ts';
import type { SimUser } from './sim-user.ts';
import type { SimWorker } from './sim-worker.ts';

/** A slower acknowledgement of a kick than this counts as slow. */
const SLOW_KICK_MS = 3000;

/** One login and the session it becomes. */
export class SimSession implements HostWaiter {
  readonly worker: SimWorker;
  readonly user: SimUser;
  readonly createdMs: number;
  readonly #lengthMs: number;
  slot = -1;
  /** The backend, '' before it is known. */
  ip = '';
  isClosed = false;
  #isAbandoned = false;

  constructor(worker: SimWorker, user: SimUser, lengthMs: number) {
    this.worker = worker;
    this.user = user;
    this.#lengthMs = lengthMs;
    this.createdMs = worker.world.queue.nowMs;
  }

  get isWaiting(): boolean {
    return this.slot < 0 && !this.isClosed;
  }

  hostAssigned(slot: number, hostId: number): void {
    this.slot = slot;
    this.ip = this.worker.ip(hostId);
    const { world } = this.worker;
    world.loginEnded(this);
    if (this.#isAbandoned) {
      this.close();
      return;
    }
    world.promise.started(this);
    world.queue.after(this.#lengthMs, () => this.close());
  }

  hostFailed(slot: number, reason: string): void {
    this.slot = slot;
    const { world } = this.worker;
    world.loginEnded(this);
    world.traceOf(this.worker.member, () => `login of ${this.user.name} failed: ${reason}`);
    if (reason.startsWith('Timeout')) world.fired(Fault.loginTimeout);
    this.close();
  }

  /** The client goes while the login still waits: the session is closed when its answer has come. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  kick(): void {
    const { world } = this.worker;
    const delayMs = world.kickDelayMs();
    if (delayMs > SLOW_KICK_MS) world.fired(Fault.slowKick);
    world.queue.after(delayMs, () => this.close());
  }

  /** Closes the socket towards the backend. */
  close(): void {
    if (this.isClosed || this.slot < 0) return;
    this.isClosed = true;
    this.worker.world.promise.ended(this);
    this.worker.left(this);
  }

  /** The worker died: the kernel closed the socket. */
  vanish(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.worker.world.promise.ended(this);
  }
}
