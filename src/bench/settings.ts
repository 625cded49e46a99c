import type { Target } from './target.ts';

export const BENCH_MODES = ['login', 'echo', 'fetch', 'hold', 'deliver', 'mixed'] as const;
export type BenchMode = (typeof BENCH_MODES)[number];

export const ACTIVITIES = ['login', 'idle', 'fetch', 'deliver'] as const;
/** What one visit of the mixed mode is for. */
export type Activity = (typeof ACTIVITIES)[number];
/** Weights: their sum may be anything. */
export type Mix = Readonly<Partial<Record<Activity, number>>>;

/** All that a run depends on, besides the servers. Threads get it as it is. */
export interface BenchSettings {
  readonly mode: BenchMode;
  readonly targets: readonly Target[];
  readonly threads: number;
  /** Closed loop: all are always busy. Open loop: at most so many at a time. */
  readonly connections: number;
  /** Arrivals per second; null: closed loop. */
  readonly ratePerSecond: number | null;
  readonly arrivals: 'even' | 'poisson';
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly holdSeconds: number;
  /** Mean of the mixed mode's idle sessions. */
  readonly idleSeconds: number;
  readonly mix: Mix;
  readonly users: number;
  readonly zipf: number;
  /** With %06d or the like in it. */
  readonly userFormat: string;
  readonly password: string;
  readonly resumesTls: boolean;
  readonly messageBytes: number;
  readonly bodyBytes: number | null;
  /** Lower-case hexadecimal; empty: not known. */
  readonly bodySha256: readonly string[];
  readonly isHashed: boolean;
  readonly timeoutSeconds: number;
  readonly maxErrors: number;
  /** The last millisecond before an arrival is waited for busily. */
  readonly spins: boolean;
  readonly seed: number;
}

/** Sessions stay open, and operations go over them. */
export function holdsSessions(mode: BenchMode): boolean {
  return mode === 'echo' || mode === 'fetch' || mode === 'hold';
}
