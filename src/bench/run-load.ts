import { monotonicMs } from './clock.ts';
import { addFaults, type FaultCounts, totalFaults } from './faults.ts';
import { Latencies } from './latencies.ts';
import type { Checks } from './ledger.ts';
import type { ThreadResult } from './load-messages.ts';
import { LoadThreads } from './load-threads.ts';
import type { BenchSettings } from './settings.ts';
import type { TlsCounts } from './target-door.ts';

/** Time for the threads to get the word before the first arrival. */
const START_DELAY_MS = 20;

/** All threads' results in one. */
export interface LoadOutcome {
  readonly latencies: Latencies;
  readonly faults: FaultCounts;
  readonly checks: Checks;
  readonly tls: TlsCounts;
  readonly bodyBytes: number;
  /** Length of the window, by which rates are divided. */
  readonly seconds: number;
  readonly isCutShort: boolean;
}

/** Runs the load until its time is over, `signal` is aborted, or there are too many errors. */
export async function runLoad(
  settings: BenchSettings,
  signal: AbortSignal,
  said: (event: 'opened') => void = () => {},
): Promise<LoadOutcome> {
  const threads = new LoadThreads(settings);
  const stop = (): void => threads.stop();
  signal.addEventListener('abort', stop);
  try {
    if (signal.aborted) stop();
    await threads.ready();
    said('opened');
    const beginMs = monotonicMs() + START_DELAY_MS;
    const waitSeconds = settings.mode === 'hold' ? settings.holdSeconds : settings.warmupSeconds;
    const fromMs = beginMs + waitSeconds * 1000;
    const toMs = fromMs + settings.seconds * 1000;
    threads.run({ beginMs, fromMs, toMs });
    const results = await threads.results();
    const endMs = monotonicMs();
    return mergeResults(results, Math.max(Math.min(endMs, toMs) - fromMs, 0) / 1000);
  } finally {
    signal.removeEventListener('abort', stop);
    await threads.terminate();
  }
}

export function mergeResults(results: readonly ThreadResult[], seconds: number): LoadOutcome {
  const latencies = new Latencies();
  const faults: FaultCounts = {};
  const checks: Checks = { named: 0, wrongUser: 0, wrongBackend: 0, movedUser: 0, bodies: 0 };
  const tls: TlsCounts = { handshakes: 0, resumed: 0 };
  let bodyBytes = 0;
  for (const result of results) {
    latencies.add(result.latencies);
    addFaults(faults, result.faults);
    checks.named += result.checks.named;
    checks.wrongUser += result.checks.wrongUser;
    checks.wrongBackend += result.checks.wrongBackend;
    checks.movedUser += result.checks.movedUser;
    checks.bodies += result.checks.bodies;
    tls.handshakes += result.tls.handshakes;
    tls.resumed += result.tls.resumed;
    bodyBytes += result.bodyBytes;
  }
  const isCutShort = results.some((result) => result.isCutShort);
  return { latencies, faults, checks, tls, bodyBytes, seconds, isCutShort };
}

/** What fails the run. */
export function failureCount({ faults, checks }: LoadOutcome): number {
  const { wrongUser, wrongBackend, movedUser } = checks;
  return totalFaults(faults) + wrongUser + wrongBackend + movedUser;
}
