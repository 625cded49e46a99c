import type { Latency } from '../wire-contract.ts';

export const HISTOGRAM_BUCKETS = 1024;

/** Log-linear: 32 steps per power of two, so a value is at most 3 % off. As in native/load.c. */
export function bucketOf(micros: number): number {
  const us = Math.max(0, Math.floor(micros));
  if (us < 32) return us;
  const top = 31 - Math.clz32(us);
  return Math.min((top - 4) * 32 + ((us >>> (top - 5)) & 31), HISTOGRAM_BUCKETS - 1);
}

/** The smallest value of a bucket. */
export function lowestOf(bucket: number): number {
  return bucket < 32 ? bucket : (32 + (bucket % 32)) * 2 ** (Math.floor(bucket / 32) - 1);
}

export function latencyOf(histogram: ArrayLike<number>): Latency {
  let total = 0;
  for (let i = 0; i < histogram.length; i++) total += histogram[i] ?? 0;
  const at = (share: number): number => {
    let seen = 0;
    for (let i = 0; i < histogram.length && total > 0; i++) {
      seen += histogram[i] ?? 0;
      if (seen >= share * total) return lowestOf(i);
    }
    return 0;
  };
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
