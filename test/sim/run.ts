import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { addResult, emptyResult, type RangeResult, simulateRange } from './seed-range.ts';
import { failureText, missingFaults, replayCommand, reportText } from './sim-report.ts';
import { simulate } from './simulation.ts';

const usage = `Simulates a ring of directors (docs: test/sim/README.md).

  --seed N [--trace]   one seed, with everything that happens
  --seeds N            as many seeds (500)
  --from S             the first one (1)
  --jobs N             processes (2)
`;

/** Seeds that a process takes at a time. */
const PART_SEEDS = 250;

/** Runs the seeds in several processes. Failures are shown as they come. */
async function runAll(from: number, seeds: number, jobs: number): Promise<RangeResult> {
  const sum = emptyResult();
  let next = from;
  const end = from + seeds;
  const runJob = async (): Promise<void> => {
    const child = fork(fileURLToPath(import.meta.url), ['--job']);
    while (next < end) {
      const count = Math.min(PART_SEEDS, end - next);
      child.send({ from: next, count });
      next += count;
      const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
      if (child.exitCode !== null) throw new Error(`a process has ended: ${child.exitCode}`);
      const part = message as RangeResult;
      addResult(sum, part);
      if (part.failures.length > 0) console.log(failureText(part));
      if (sum.seeds % 10_000 < PART_SEEDS) console.log(`${sum.seeds} seeds`);
    }
    child.disconnect();
  };
  await Promise.all(Array.from({ length: jobs }, runJob));
  return sum;
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    trace: { type: 'boolean', default: false },
    job: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(usage);
} else if (values.job) {
  process.on('message', (range: { from: number; count: number }) => {
    process.send!(simulateRange(range.from, range.count));
  });
} else if (values.seed !== undefined) {
  const trace = values.trace ? (line: string) => console.log(line) : null;
  const result = simulate(Number(values.seed), trace);
  console.log(result);
  if (result.failure !== null) {
    console.log(`replay: ${replayCommand(result.seed)}`);
    process.exitCode = 1;
  }
} else {
  const beginMs = performance.now();
  const result = await runAll(Number(values.from), Number(values.seeds), Number(values.jobs));
  console.log(reportText(result, (performance.now() - beginMs) / 1000));
  if (result.failures.length > 0 || missingFaults(result).length > 0) process.exitCode = 1;
}
