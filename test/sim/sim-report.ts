import { allFaults } from './fired-faults.ts';
import type { RangeResult } from './seed-range.ts';

/** Fewer simulations than this need not have had every fault. */
const SEEDS_FOR_ALL_FAULTS = 500;
const SHOWN_FAILURES = 20;

/** Faults that should have fired and did not. */
export function missingFaults({ seeds, faults }: RangeResult): string[] {
  if (seeds < SEEDS_FOR_ALL_FAULTS) return [];
  return allFaults.filter((fault) => (faults[fault] ?? 0) === 0);
}

export function replayCommand(seed: number): string {
  return `npx node test/sim/run.ts --seed ${seed} --trace`;
}

/** The failures, each with the command that replays it. */
export function failureText({ failures }: RangeResult): string {
  const shown = failures.slice(0, SHOWN_FAILURES).map(({ seed, text }) => {
    return `seed ${seed}: ${text}\n    replay: ${replayCommand(seed)}`;
  });
  const more = failures.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('\n');
}

export function reportText(result: RangeResult, secs: number): string {
  const { seeds, calmSeeds, events, sessions, simulatedMs, faults, failures } = result;
  const lines = allFaults.map((fault) => `${String(faults[fault] ?? 0).padStart(10)}  ${fault}`);
  const missing = missingFaults(result);
  return [
    'Faults that fired:',
    ...lines,
    `${seeds} seeds (${calmSeeds} without faults of network or member) in ${secs.toFixed(1)} s, ` +
      `${(seeds / secs).toFixed(1)} a second; ${(simulatedMs / 3_600_000).toFixed(0)} simulated hours, ` +
      `${sessions} sessions, ${events} events`,
    ...(missing.length > 0 ? [`never fired: ${missing.join(', ')}`] : []),
    `${failures.length} seeds failed`,
  ].join('\n');
}
