import { parseArgs } from 'node:util';
import { runSeeds } from './seed-jobs.ts';
import { failureText, missingFaults, replayCommand, reportText } from './sim-report.ts';
import { simulate } from './simulation.ts';

const usage = `Simulates rings of directors; see docs/promise.md, "What the simulator allows".

  --seed N [--trace]   one seed; with everything that happens
  --seeds N            so many seeds (500)
  --from S             the first one (1)
  --jobs N             in so many processes (2)
`;
const SHOW_PROGRESS_SEEDS = 5000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    trace: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(usage);
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
  let nextShown = SHOW_PROGRESS_SEEDS;
  const result = await runSeeds({
    from: Number(values.from),
    seeds: Number(values.seeds),
    jobs: Number(values.jobs),
    progress: (part, sum) => {
      if (part.failures.length > 0) console.log(failureText(part));
      if (sum.seeds < nextShown) return;
      nextShown += SHOW_PROGRESS_SEEDS;
      console.log(`${sum.seeds} seeds, ${sum.failures.length} failed`);
    },
  });
  console.log(reportText(result, (performance.now() - beginMs) / 1000));
  if (result.failures.length > 0 || missingFaults(result).length > 0) process.exitCode = 1;
}
