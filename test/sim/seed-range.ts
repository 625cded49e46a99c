import { addCounts, type FaultCounts } from './fired-faults.ts';
import { simulate } from './simulation.ts';

export interface SeedFailure {
  readonly seed: number;
  readonly text: string;
}

/** What came of a number of simulations. */
export interface RangeResult {
  seeds: number;
  calmSeeds: number;
  events: number;
  sessions: number;
  simulatedMs: number;
  readonly faults: FaultCounts;
  readonly failures: SeedFailure[];
}

export function emptyResult(): RangeResult {
  return {
    seeds: 0,
    calmSeeds: 0,
    events: 0,
    sessions: 0,
    simulatedMs: 0,
    faults: {},
    failures: [],
  };
}

/** Runs seeds one after the other. */
export function simulateRange(from: number, count: number): RangeResult {
  const sum = emptyResult();
  for (let seed = from; seed < from + count; seed++) {
    const { failure, isCalm, members, faults, events, sessions, simulatedMs } = simulate(seed);
    sum.seeds++;
    if (isCalm) sum.calmSeeds++;
    sum.events += events;
    sum.sessions += sessions;
    sum.simulatedMs += simulatedMs;
    addCounts(sum.faults, faults);
    if (failure === null) continue;
    const kind = isCalm ? 'calm ring' : 'ring';
    sum.failures.push({ seed, text: `${kind} of ${members}: ${failure}` });
  }
  return sum;
}

export function addResult(sum: RangeResult, part: RangeResult): void {
  sum.seeds += part.seeds;
  sum.calmSeeds += part.calmSeeds;
  sum.events += part.events;
  sum.sessions += part.sessions;
  sum.simulatedMs += part.simulatedMs;
  addCounts(sum.faults, part.faults);
  sum.failures.push(...part.failures);
}
