import type { Random } from './random.ts';

export interface ArrivalOptions {
  /** Of all threads together. */
  readonly ratePerSecond: number;
  readonly threads: number;
  /** From 0. */
  readonly thread: number;
  /** Null: evenly spaced, the threads taking turns. Else at random (a Poisson process). */
  readonly random: Random | null;
}

/** The instants at which one thread has to begin something, whatever became of what it began before. */
export class Arrivals {
  readonly #options: ArrivalOptions;
  readonly #startMs: number;
  #count = 0;
  #nextMs: number;

  constructor(startMs: number, options: ArrivalOptions) {
    this.#options = options;
    this.#startMs = startMs;
    this.#nextMs = startMs;
    this.#nextMs = this.#following();
  }

  /** When the next one is due. */
  get nextMs(): number {
    return this.#nextMs;
  }

  /** The next one, if it is due. */
  take(nowMs: number): number | null {
    const dueMs = this.#nextMs;
    if (dueMs > nowMs) return null;
    this.#nextMs = this.#following();
    return dueMs;
  }

  #following(): number {
    const { ratePerSecond, threads, thread, random } = this.#options;
    if (random !== null) {
      // Math.log1p: random() may be 0, never 1.
      return this.#nextMs - (Math.log1p(-random()) * 1000 * threads) / ratePerSecond;
    }
    // Multiplied, not added up: no drift.
    return this.#startMs + ((thread + threads * this.#count++) * 1000) / ratePerSecond;
  }
}
