import { moveLimits } from './move-limits.ts';

/** At most so many users a second; what was not used is not saved up. */
export class RateLimit {
  readonly #gapMs: number;
  #nextMs = 0;

  /** @param ratePerSec null: no limit */
  constructor(ratePerSec: number | null) {
    this.#gapMs = ratePerSec === null ? 0 : 1000 / ratePerSec;
  }

  isFree(nowMs: number): boolean {
    return this.#gapMs === 0 || this.#nextMs <= nowMs;
  }

  use(nowMs: number): void {
    this.#nextMs = Math.max(this.#nextMs, nowMs - moveLimits.burstMs) + this.#gapMs;
  }
}

/**
 * Spreads users over a time: they leave one by one along a straight line that reaches nobody at its end.
 * The line is drawn anew whenever they have been counted anew.
 */
export class EvenSpread {
  readonly #endMs: number;
  #fromMs = 0;
  #countThen = 0;

  constructor(endMs: number) {
    this.#endMs = endMs;
  }

  /** @param countBefore how many were thought to be left until now */
  plan(count: number, countBefore: number, nowMs: number): void {
    // The part of a user by which the old line was ahead: else every new line would begin with one more.
    const ahead = this.#line(nowMs) - countBefore;
    this.#countThen = count + Math.min(1, Math.max(0, ahead));
    this.#fromMs = nowMs;
  }

  /** One more of those that are left is to go now. */
  isDue(countLeft: number, nowMs: number): boolean {
    return countLeft > this.#line(nowMs);
  }

  /** So many may still be there. */
  #line(nowMs: number): number {
    if (nowMs >= this.#endMs) return 0;
    return (this.#countThen * (this.#endMs - nowMs)) / (this.#endMs - this.#fromMs);
  }
}
