import type { RingConnection } from './ring-connection.ts';
import type { RingState } from './ring-state.ts';

/** What a director that knows BARRIER says behind its VERSION and its SYNC; Dovecot's do not read so far. */
export const KNOWS_BARRIERS = 'barriers';

/**
 * BARRIER goes to the neighbours behind an order and is answered when the other side has done what came
 * before it: what it says from then on was said in the knowledge of the order. Without that, old
 * news of a user could not be told from new: USER has no number, and may take the long way around. Not part of
 * Dovecot's protocol; only for connections whose other side is one of ours.
 */
export class Barriers {
  readonly #ring: RingState;
  #last = 0;
  #toldPassed = Number.POSITIVE_INFINITY;

  constructor(ring: RingState) {
    this.#ring = ring;
  }

  /** The number of the last one; on every connection there is, it is ahead or has passed. */
  get last(): number {
    return this.#last;
  }

  /** A new one. It is sent by ask(), behind the order. */
  begin(): number {
    this.#last++;
    // Not above what was told: a connection may have ended that nobody has heard of yet.
    this.#toldPassed = Math.min(this.#toldPassed, this.#lowestPassed());
    return this.#last;
  }

  /** One at a time is under way on a connection; it stands for all numbers up to its own. */
  ask(): void {
    for (const connection of this.#ring.connections) this.askOn(connection);
  }

  askOn(connection: RingConnection): void {
    if (!isAsked(connection) || connection.barrierSent > connection.barrierPassed) return;
    if (connection.barrierPassed >= this.#last) return;
    connection.barrierSent = this.#last;
    connection.barrierDeadlineMs = this.#ring.nowMs + this.#ring.options.pingMaxTimeoutMs;
    this.#ring.send(connection, `BARRIER\t${this.#last}\n`);
  }

  /** Ours has been answered. */
  passed(connection: RingConnection, barrier: number): void {
    if (barrier > connection.barrierSent) return;
    connection.barrierPassed = Math.max(connection.barrierPassed, barrier);
    if (connection.barrierPassed >= connection.barrierSent) {
      connection.barrierDeadlineMs = Number.POSITIVE_INFINITY;
    }
    this.askOn(connection);
  }

  /** All neighbours know what was ordered before this one was begun. */
  hasPassed(barrier: number): boolean {
    return barrier <= this.#lowestPassed();
  }

  /** @returns true when more have passed since the last call */
  takePassed(): boolean {
    const passed = this.#lowestPassed();
    if (passed === this.#toldPassed) return false;
    const isMore = passed > this.#toldPassed;
    this.#toldPassed = passed;
    return isMore;
  }

  #lowestPassed(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const connection of this.#ring.connections) {
      if (isAsked(connection)) lowest = Math.min(lowest, connection.barrierPassed);
    }
    return lowest < this.#last ? lowest : Number.POSITIVE_INFINITY;
  }

  /** The other side asks; it is told when the users of hosts that are gone are no longer spoken of. */
  asked(connection: RingConnection, barrier: number): void {
    connection.barrierAsked = barrier;
    this.answer(connection);
  }

  answerAll(): void {
    for (const connection of this.#ring.connections) this.answer(connection);
  }

  answer(connection: RingConnection): void {
    const { barrierAsked } = connection;
    if (barrierAsked === null || this.#ring.directory.isSearching) return;
    connection.barrierAsked = null;
    this.#ring.send(connection, `BARRIER-PASSED\t${barrierAsked}\n`);
  }
}

/** Nothing is read any more from one that is closing. */
function isAsked({ hasBarriers, isDropped, closing }: RingConnection): boolean {
  return hasBarriers && !isDropped && closing === null;
}
