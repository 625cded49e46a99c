import fc from 'fast-check';

/**
 * Checks a property with a fresh seed, FUZZ_RUNS times (or `numRuns`); a failure shows the one
 * command that replays it. The fuzzers of test/fuzz all go through here.
 */
export function assertAlways<Ts>(file: string, property: fc.IProperty<Ts>, numRuns: number): void {
  const { FUZZ_RUNS, FUZZ_SEED, FUZZ_PATH } = process.env;
  const result = fc.check(property, {
    numRuns: FUZZ_RUNS === undefined ? numRuns : Number(FUZZ_RUNS),
    ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
    ...(FUZZ_PATH === undefined ? {} : { path: FUZZ_PATH }),
  });
  if (!result.failed) return;
  const replay = `FUZZ_SEED=${result.seed} FUZZ_PATH=${result.counterexamplePath} npx vitest run ${file}`;
  throw new Error(`replay: ${replay}\n${fc.defaultReportMessage(result)}`, {
    cause: result.errorInstance,
  });
}
