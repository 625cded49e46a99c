/**
 * Counters of one worker, each in a word of its own: only that worker adds, anybody reads. They
 * wrap at 2^32, as counters of 32 bits do.
 */
export const Counter = {
  /** Connections accepted. */
  accepted: 0,
  /** Logins that reached a backend and were accepted. */
  loginsOk: 1,
  /** Logins refused by a backend or by us as wrong credentials. */
  loginsRefused: 2,
  /** Logins that failed because of a backend, the directory, or ourselves. */
  loginsFailed: 3,
  /** Connections closed because of what the client sent. */
  badInput: 4,
  /** Sessions ended by a kick. */
  kicked: 5,
  /** Connections or logins refused because a limit was reached. */
  limited: 6,
  /** Connections closed because no login came in time. */
  timedOut: 7,
  /** Recipients that a backend has taken a message for. */
  delivered: 8,
  /** Recipients that a backend, or we ourselves, will not take mail for. */
  deliveriesRefused: 9,
  /** Recipients whose mail has to be brought again: a backend, the directory, a move, or ourselves. */
  deliveriesFailed: 10,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];

export const COUNTERS = Object.keys(Counter).length;

export class Counters {
  readonly #words: Uint32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Uint32Array(buffer);
  }

  static createBuffer(): SharedArrayBuffer {
    return new SharedArrayBuffer(COUNTERS * 4);
  }

  add(counter: Counter): void {
    Atomics.add(this.#words, counter, 1);
  }

  get(counter: Counter): number {
    return Atomics.load(this.#words, counter);
  }
}
