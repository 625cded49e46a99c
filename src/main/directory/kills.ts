/**
 * Sessions being killed: main has marked the users, told the workers, and waits until every worker
 * has closed the users' sockets; then user_kick_delay passes, and only then the users may log in.
 */
export interface KillBatch {
  readonly killId: number;
  readonly tagIndex: number;
  readonly userHashes: readonly number[];
  /** Where the users go afterwards; 0 = nowhere in particular, the ring decides. */
  readonly targetHostId: number;
  /** Workers that have not acknowledged. */
  readonly waitingFor: Set<number>;
  /** When user_kick_delay is over; Infinity until all workers have acknowledged. */
  readyMs: number;
}

export class Kills {
  readonly #batches = new Map<number, KillBatch>();
  #lastId = 0;

  get size(): number {
    return this.#batches.size;
  }

  start(
    tagIndex: number,
    userHashes: readonly number[],
    targetHostId: number,
    workers: Iterable<number>,
  ): KillBatch {
    const batch: KillBatch = {
      killId: ++this.#lastId,
      tagIndex,
      userHashes,
      targetHostId,
      waitingFor: new Set(workers),
      readyMs: Number.POSITIVE_INFINITY,
    };
    this.#batches.set(batch.killId, batch);
    return batch;
  }

  /** A worker has closed all sessions of the batch. */
  acknowledge(killId: number, workerId: number, readyMs: number): void {
    const batch = this.#batches.get(killId);
    if (batch !== undefined) this.#strike(batch, workerId, readyMs);
  }

  /** A worker is gone, and its sockets with it: that acknowledges everything. */
  workerGone(workerId: number, readyMs: number): void {
    for (const batch of this.#batches.values()) this.#strike(batch, workerId, readyMs);
  }

  /** Takes out the batches whose delay is over. */
  takeReady(nowMs: number): KillBatch[] {
    const ready: KillBatch[] = [];
    for (const batch of this.#batches.values()) {
      if (batch.readyMs > nowMs) continue;
      ready.push(batch);
      this.#batches.delete(batch.killId);
    }
    return ready;
  }

  #strike(batch: KillBatch, workerId: number, readyMs: number): void {
    if (batch.waitingFor.delete(workerId) && batch.waitingFor.size === 0) batch.readyMs = readyMs;
  }
}
