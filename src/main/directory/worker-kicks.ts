import type { DirectoryCore } from './core.ts';

/** A worker that has acknowledged nothing for so long, and should have, hangs and is ended. */
export const KICK_TIMEOUT_MS = 20_000;
/** So is one that has not closed a session in this time, whatever else it has done. */
export const KICK_GIVE_UP_MS = 120_000;
/** A tick that comes late, or a clock that jumps, counts for so much: the worker has had no time to answer. */
const MAX_STEP_MS = 1000;

interface KickedUser {
  readonly tagIndex: number;
  readonly userHash: number;
}

interface Order<Kill> {
  readonly kills: readonly Kill[];
  readonly waitingFor: Set<number>;
  ageMs: number;
}

/**
 * Orders to the workers to end sessions of users, until all of them have acknowledged. Nothing but that, or the
 * end of its thread, takes a worker off the list: one that hangs is ended.
 */
export class WorkerKicks<Kill extends KickedUser> {
  readonly #core: DirectoryCore;
  readonly #closed: (kills: readonly Kill[], nowMs: number) => void;
  readonly #orders = new Map<number, Order<Kill>>();
  /** Of workers that have something to acknowledge: how long they have not done so. */
  readonly #silentMs = new Map<number, number>();
  #lastTickMs = Number.POSITIVE_INFINITY;

  /** @param closed called when no worker has a session of these users any more */
  constructor(core: DirectoryCore, closed: (kills: readonly Kill[], nowMs: number) => void) {
    this.#core = core;
    this.#closed = closed;
  }

  /** Tells all workers. The users are of one tag. */
  order(kills: readonly Kill[], exceptHostId: number, nowMs: number): void {
    const waitingFor = new Set(this.#core.sessions.workerIds());
    if (waitingFor.size === 0) {
      this.#closed(kills, nowMs);
      return;
    }
    const killId = this.#core.nextKillId();
    const userHashes = kills.map(({ userHash }) => userHash);
    this.#orders.set(killId, { kills, waitingFor, ageMs: 0 });
    for (const workerId of [...waitingFor]) {
      if (!this.#silentMs.has(workerId)) this.#silentMs.set(workerId, 0);
      this.#core.effects.kick(workerId, killId, kills[0].tagIndex, userHashes, exceptHostId);
    }
  }

  /** A worker has closed all sessions of an order. */
  acknowledge(killId: number, workerId: number, nowMs: number): void {
    const order = this.#orders.get(killId);
    if (order === undefined) return;
    this.#silentMs.set(workerId, 0);
    this.#strike(killId, order, workerId, nowMs);
  }

  /** A worker is gone, and its sockets with it: that acknowledges everything. */
  workerGone(workerId: number, nowMs: number): void {
    this.#silentMs.delete(workerId);
    for (const [killId, order] of this.#orders) this.#strike(killId, order, workerId, nowMs);
  }

  /** Forgets all orders: there are no sessions any more. */
  clear(): void {
    this.#orders.clear();
  }

  #strike(killId: number, order: Order<Kill>, workerId: number, nowMs: number): void {
    if (!order.waitingFor.delete(workerId) || order.waitingFor.size > 0) return;
    this.#orders.delete(killId);
    this.#closed(order.kills, nowMs);
  }

  tick(nowMs: number): void {
    const stepMs = Math.min(MAX_STEP_MS, Math.max(0, nowMs - this.#lastTickMs));
    this.#lastTickMs = nowMs;
    if (this.#silentMs.size === 0) return;
    const late = new Set<number>();
    const awaited = new Set<number>();
    for (const order of this.#orders.values()) {
      order.ageMs += stepMs;
      for (const workerId of order.waitingFor) {
        awaited.add(workerId);
        if (order.ageMs >= KICK_GIVE_UP_MS) late.add(workerId);
      }
    }
    for (const [workerId, silentMs] of this.#silentMs) {
      if (!awaited.has(workerId)) this.#silentMs.delete(workerId);
      else this.#silentMs.set(workerId, silentMs + stepMs);
      if (silentMs + stepMs >= KICK_TIMEOUT_MS && awaited.has(workerId)) late.add(workerId);
    }
    for (const workerId of late) this.#core.effects.workerHangs(workerId);
  }
}
