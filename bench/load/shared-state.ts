import type { BenchProtocol, Mode } from '../wire-contract.ts';
import { HISTOGRAM_BUCKETS } from './histogram.ts';

export const MAX_ERRORS = 1000;
/** Logins under way at the same time while sessions are opened for echo, fetch and hold. */
export const MAX_OPENING = 64;

/** What the generator's threads share with its main thread. Counters are only ever added to. */
export interface SharedState {
  /** 0 opening and warm-up, 1 measured, 2 over. Main writes, threads read. */
  readonly phase: Int32Array;
  /** Sessions that are open and logged in (echo, fetch, hold). */
  readonly ready: Int32Array;
  readonly counters: BigUint64Array;
  readonly loginHistogram: Uint32Array;
  readonly opHistogram: Uint32Array;
  /** User (counted from `firstUser`) to backend + 1, as first seen; 0: not seen. */
  readonly owners: Uint8Array;
}

export const OPS = 0;
export const LOGINS = 1;
export const BYTES = 2;
export const ERRORS = 3;
export const WRONG_USER = 4;
export const WRONG_BACKEND = 5;
const COUNTERS = 6;

export interface LoadSettings {
  readonly mode: Mode;
  readonly protocol: BenchProtocol;
  readonly host: string;
  readonly port: number;
  readonly concurrency: number;
  /** The number in the first user's name. */
  readonly firstUser: number;
  readonly users: number;
  readonly threads: number;
  readonly isChecked: boolean;
  /** From the first byte; whatever the certificate, and a full handshake for every connection. */
  readonly tls: boolean;
}

export interface LoadThreadData {
  readonly settings: LoadSettings;
  readonly shared: SharedState;
  readonly index: number;
}

export function createSharedState(users: number): SharedState {
  const int32 = (length: number) => new Int32Array(new SharedArrayBuffer(length * 4));
  const uint32 = (length: number) => new Uint32Array(new SharedArrayBuffer(length * 4));
  return {
    phase: int32(1),
    ready: int32(1),
    counters: new BigUint64Array(new SharedArrayBuffer(COUNTERS * 8)),
    loginHistogram: uint32(HISTOGRAM_BUCKETS),
    opHistogram: uint32(HISTOGRAM_BUCKETS),
    owners: new Uint8Array(new SharedArrayBuffer(users)),
  };
}
