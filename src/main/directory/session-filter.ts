import type { Sessions } from './sessions.ts';

/** 512 kB; with 100,000 sessions one user in forty is taken for one who has a session. */
const BITS = 1 << 22;
/** What is looked up is at most so old. */
const MAX_AGE_MS = 1000;

/**
 * Who has a session, roughly and as of a moment ago, without a scan of all registries for each question:
 * a bit for each value of the low part of the user hash. Good for deciding who goes first, and for nothing
 * that the promise rests on.
 */
export class SessionFilter {
  readonly #sessions: Sessions;
  readonly #bits = new Uint32Array(BITS / 32);
  #filledMs = Number.NEGATIVE_INFINITY;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** To be called before a number of look-ups; one pass over the registries at most. */
  refresh(nowMs: number): void {
    // A clock that was set back is no reason to keep old news.
    if (nowMs >= this.#filledMs && nowMs < this.#filledMs + MAX_AGE_MS) return;
    this.#filledMs = nowMs;
    const bits = this.#bits.fill(0);
    this.#sessions.forEach((userHash) => {
      const bit = userHash & (BITS - 1);
      bits[bit >>> 5] |= 1 << (bit & 31);
    });
  }

  /** Of any tag. False alarms are possible. */
  mayHave(userHash: number): boolean {
    const bit = userHash & (BITS - 1);
    return (this.#bits[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }
}
