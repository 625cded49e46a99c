import type { Random } from './random.ts';

/**
 * Draws ranks 0 … n−1 whose probability falls with (rank + 1)^−s, in constant time and memory: by
 * rejection-inversion (W. Hörmann, G. Derflinger, ACM TOMACS 6(3), 1996). s = 0 is the uniform distribution.
 */
export class Zipf {
  readonly #n: number;
  readonly #s: number;
  readonly #first: number;
  readonly #last: number;
  /** Below this distance from its rank a point is accepted without the costly test. */
  readonly #shortcut: number;

  /** @throws RangeError unless n ≥ 1 and s ≥ 0 */
  constructor(n: number, s: number) {
    if (!Number.isSafeInteger(n) || n < 1 || !(s >= 0)) throw new RangeError(`Zipf(${n}, ${s})`);
    this.#n = n;
    this.#s = s;
    this.#first = this.#integral(1.5) - 1;
    this.#last = this.#integral(n + 0.5);
    this.#shortcut = 2 - this.#inverse(this.#integral(2.5) - this.#density(2));
  }

  draw(random: Random): number {
    for (;;) {
      const u = this.#last + random() * (this.#first - this.#last);
      const x = this.#inverse(u);
      const k = Math.min(Math.max(Math.round(x), 1), this.#n);
      if (k - x <= this.#shortcut || u >= this.#integral(k + 0.5) - this.#density(k)) return k - 1;
    }
  }

  #density(x: number): number {
    return Math.exp(-this.#s * Math.log(x));
  }

  /** Of the density from 1 to x, by a formula that is exact near s = 1 too. */
  #integral(x: number): number {
    const log = Math.log(x);
    return log * expm1Over((1 - this.#s) * log);
  }

  #inverse(y: number): number {
    // Rounding may bring it below −1, where there is no logarithm.
    return Math.exp(y * log1pOver(Math.max(y * (1 - this.#s), -1)));
  }
}

/** (e^x − 1) / x */
function expm1Over(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.expm1(x) / x : 1 + x / 2;
}

/** log(1 + x) / x */
function log1pOver(x: number): number {
  return Math.abs(x) > 1e-8 ? Math.log1p(x) / x : 1 - x / 2;
}
