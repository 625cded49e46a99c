import { afterAll, expect, test } from 'vitest';
import { CpuPool } from '../../src/main/cpu-pool.ts';
import { authLimits } from '../../src/shared/limits.ts';
import type { PasswordJob } from '../../src/shared/passwords/password-job.ts';

const pool = new CpuPool(1);

afterAll(async () => {
  await pool.stop();
});

const plain: PasswordJob = { kind: 'verify', scheme: 'PLAIN', stored: 'x', secret: 'x' };

test('verifies, and makes keys for SCRAM, in a thread', async () => {
  expect(await pool.run(plain)).toEqual({ kind: 'match' });
  expect(await pool.run({ ...plain, secret: 'y' })).toEqual({ kind: 'mismatch' });
  const salt = new Uint8Array(16);
  const keys = await pool.run({ kind: 'scram', password: 'x', salt, iterations: 10 });
  expect(keys).toMatchObject({ kind: 'scram' });
});

test('this thread goes on while a hash is being made', async () => {
  const slow: PasswordJob = {
    kind: 'scram',
    password: 'x',
    salt: new Uint8Array(16),
    iterations: 500_000,
  };
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  await pool.run(slow);
  clearInterval(count);
  expect(turns).toBeGreaterThan(10);
});

test('more than can wait fail at once, and the others do not', async () => {
  const jobs = Array.from({ length: authLimits.queuedPasswordJobs + 50 }, () => pool.run(plain));
  const results = await Promise.all(jobs);
  const failed = results.filter(({ kind }) => kind === 'failed');
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThanOrEqual(50);
  expect(results.filter(({ kind }) => kind === 'match')).toHaveLength(jobs.length - failed.length);
});
