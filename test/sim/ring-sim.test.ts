import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const SEEDS = 2000;
const DEADLINE_MS = 600_000;

/**
 * The ring on a simulated network: no user on two backends, and agreement after the faults have stopped.
 * A seed that fails is printed with the command that replays it; so is a fault that never fired.
 */
test(
  `${SEEDS} seeds (npx node test/sim/run.ts --seeds ${SEEDS} --from 1)`,
  async () => {
    const run = promisify(execFile);
    const args = ['test/sim/run.ts', '--seeds', `${SEEDS}`, '--from', '1', '--jobs', '2'];
    const stdout = await run(process.execPath, args, { timeout: DEADLINE_MS }).then(
      (done) => done.stdout,
      (error: Error & { stdout?: string }) => error.stdout ?? '',
    );
    const failed = [...stdout.matchAll(/^seed (\d+):/gm)].map(([, seed]) => Number(seed));
    expect(failed, stdout.slice(-8000)).toEqual([]);
    expect(stdout).not.toContain('never fired');
    expect(stdout).toMatch(new RegExp(`^${SEEDS} seeds `, 'm'));
  },
  DEADLINE_MS + 10_000,
);
