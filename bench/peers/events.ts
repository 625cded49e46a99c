import type { Mode } from '../wire-contract.ts';

/** What all proxies do in turn, one round each. */
export interface ContestEvent {
  readonly name: string;
  readonly mode: Mode;
  readonly concurrency: number;
}

/** In the order in which they run. */
export const EVENTS: readonly ContestEvent[] = [
  { name: 'login-50', mode: 'login', concurrency: 50 },
  { name: 'login-500', mode: 'login', concurrency: 500 },
  { name: 'echo', mode: 'echo', concurrency: 100 },
  { name: 'fetch', mode: 'fetch', concurrency: 8 },
  { name: 'hold', mode: 'hold', concurrency: 5000 },
];

/**
 * Login latency at a fixed rate, a share of the slower one's capacity in login-50: of us and one
 * peer at a time, as the rate depends on both.
 */
export const LATENCY = {
  name: 'latency',
  capacityOf: 'login-50',
  share: 0.7,
  /** Logins under way at most; more are late. */
  concurrency: 500,
} as const;

export const EVENT_NAMES: readonly string[] = [...EVENTS.map(({ name }) => name), LATENCY.name];
