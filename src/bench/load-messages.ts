import type { FaultCounts } from './faults.ts';
import type { EncodedLatencies } from './latencies.ts';
import type { Checks } from './ledger.ts';
import type { BenchSettings } from './settings.ts';
import type { TlsCounts } from './target-door.ts';

/** What all threads share. */
export interface SharedLoad {
  /** For UserPlaces. */
  readonly places: SharedArrayBuffer;
  /** One Int32: the errors of all threads, by which they know when it is enough. */
  readonly errors: SharedArrayBuffer;
}

export interface LoadThreadData {
  readonly settings: BenchSettings;
  readonly thread: number;
  readonly shared: SharedLoad;
}

/** Instants of the monotonic clock, the same for all threads. */
export interface RunTimes {
  readonly beginMs: number;
  /** What begins from here on counts … */
  readonly fromMs: number;
  /** … up to here, where nothing more begins. */
  readonly toMs: number;
}

export type LoadCommand =
  | { readonly kind: 'run'; readonly times: RunTimes }
  /** Ends at once; what was measured so far is the result. */
  | { readonly kind: 'stop' };

export type LoadReport =
  /** All sessions that stay are open. */
  { readonly kind: 'ready' } | { readonly kind: 'ended'; readonly result: ThreadResult };

export interface ThreadResult {
  readonly latencies: EncodedLatencies;
  readonly faults: FaultCounts;
  readonly checks: Checks;
  readonly tls: TlsCounts;
  readonly bodyBytes: number;
  /** Ended before its time, because of a signal or of too many errors. */
  readonly isCutShort: boolean;
}
