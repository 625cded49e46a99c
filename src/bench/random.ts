/** Numbers in [0, 1). */
export type Random = () => number;

/** Reproducible, with 53 bits each: two draws of mulberry32, whose 32 bits are too few for a million users. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const draw = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return () => ((draw() >>> 5) * 67_108_864 + (draw() >>> 6)) / 9_007_199_254_740_992;
}

/** A seed for each thread, far from those of the others. */
export function threadSeed(seed: number, thread: number): number {
  const mixed = Math.imul(seed ^ (thread + 1), 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
