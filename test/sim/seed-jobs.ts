import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { addResult, emptyResult, type RangeResult } from './seed-range.ts';

/** Seeds that a process takes at a time. */
const PART_SEEDS = 100;
const JOB_FILE = fileURLToPath(new URL('./seed-job.ts', import.meta.url));

export interface SeedJobs {
  readonly from: number;
  readonly seeds: number;
  /** Processes. */
  readonly jobs: number;
  /** Called for every part, with what it found, and with all until now. */
  readonly progress: (part: RangeResult, sum: RangeResult) => void;
}

/** Runs the seeds in several processes. */
export async function runSeeds({ from, seeds, jobs, progress }: SeedJobs): Promise<RangeResult> {
  const sum = emptyResult();
  const end = from + seeds;
  let next = from;
  const runJob = async (): Promise<void> => {
    const child = fork(JOB_FILE);
    try {
      while (next < end) {
        const count = Math.min(PART_SEEDS, end - next);
        const part = await runPart(child, next, count, () => {
          next += count;
        });
        addResult(sum, part);
        progress(part, sum);
      }
    } finally {
      child.kill();
    }
  };
  await Promise.all(Array.from({ length: jobs }, runJob));
  return sum;
}

/** Rejects when the process ends instead of answering. */
function runPart(
  child: ChildProcess,
  from: number,
  count: number,
  taken: () => void,
): Promise<RangeResult> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => {
      reject(new Error(`the process with the seeds from ${from} has ended: ${code}`));
    };
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as RangeResult);
    });
    child.send({ from, count });
    taken();
  });
}
