/**
 * The system's monotonic clock in milliseconds, the same in all threads (performance.now() counts from
 * the start of its thread).
 */
export function monotonicMs(): number {
  return performance.now() + OFFSET_MS;
}

const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Time, as the load's edge needs it. Milliseconds of one monotonic clock. */
export interface Clock {
  now(): number;
  /** Starts `what` about `ms` from now; gives what takes that back. */
  later(ms: number, what: () => void): () => void;
  /** Starts `what` when the input that is there now has been read. */
  soon(what: () => void): void;
}

export const systemClock: Clock = {
  now: monotonicMs,
  later: (ms, what) => {
    const timer = setTimeout(what, ms);
    return () => clearTimeout(timer);
  },
  soon: (what) => {
    setImmediate(what);
  },
};
