import { seededRandom } from '../support/seeded-random.ts';

/** The choices of one part of a simulation. Each part has its own, so that one does not shift the others'. */
export class SimRandom {
  /** In [0, 1). */
  readonly next: () => number;

  constructor(seed: number, part: number) {
    this.next = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(part + 1, 0x85ebca6b));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.next() * from.length)];
  }

  /** An index, in proportion to the weights. */
  weighted(weights: readonly number[]): number {
    let rest = this.next() * weights.reduce((sum, weight) => sum + weight, 0);
    for (const [index, weight] of weights.entries()) {
      rest -= weight;
      if (rest < 0) return index;
    }
    return weights.length - 1;
  }

  /** Time to the next of events that come by chance. */
  interval(meanMs: number): number {
    return -Math.log(1 - this.next()) * meanMs;
  }
}
