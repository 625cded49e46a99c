import { expect, test } from 'vitest';
import { authLimits } from '../../../src/shared/limits.ts';
import type { PasswordJob, PasswordJobResult } from '../../../src/shared/passwords/password-job.ts';
import { PasswordChecker } from '../../../src/workers/auth/password-checker.ts';
import { PasswordJobs } from '../../../src/workers/auth/password-jobs.ts';

function checker(result: PasswordJobResult): { jobs: PasswordJob[]; passwords: PasswordChecker } {
  const jobs: PasswordJob[] = [];
  const run = async (job: PasswordJob): Promise<PasswordJobResult> => {
    jobs.push(job);
    return result;
  };
  return { jobs, passwords: new PasswordChecker(run, () => new Uint8Array(16)) };
}

const stored = (text: string, database = 'db') => ({ database, text, defaultScheme: 'CRYPT' });

test('who is not there takes as long as who was there last', async () => {
  const { jobs, passwords } = checker({ kind: 'mismatch' });
  await passwords.verifyNobody('db', 'secret');
  expect(jobs[0]).toMatchObject({ kind: 'verify', scheme: 'SHA512-CRYPT', secret: 'secret' });
  await passwords.verify(stored('{ARGON2ID}x'), 'other');
  await passwords.verifyNobody('db', 'secret');
  expect(jobs[2]).toEqual({ kind: 'verify', scheme: 'ARGON2ID', stored: 'x', secret: 'secret' });
  // Each database has its own.
  await passwords.verifyNobody('elsewhere', 'secret');
  expect(jobs[3]).toMatchObject({ scheme: 'SHA512-CRYPT' });
});

test('the same for keys of SCRAM', async () => {
  const { jobs, passwords } = checker({ kind: 'mismatch' });
  await passwords.scramNobody('db', 'nobody');
  expect(jobs).toEqual([]);
  await passwords.scramSecret(stored('{PLAIN}pass'), 'alice');
  await passwords.scramNobody('db', 'nobody');
  expect(jobs.map(({ kind }) => kind)).toEqual(['scram', 'scram']);
});

test.each([
  [{ kind: 'match' }, { kind: 'match' }],
  [{ kind: 'mismatch' }, { kind: 'mismatch' }],
  [
    { kind: 'invalid', detail: 'x' },
    { kind: 'failed', detail: 'x' },
  ],
  [
    { kind: 'failed', detail: 'y' },
    { kind: 'failed', detail: 'y' },
  ],
] as [PasswordJobResult, object][])('%j is %j', async (result, expected) => {
  expect(await checker(result).passwords.verify(stored('$6$x'), 'secret')).toEqual(expected);
});

test('an empty password field fits nothing, and is not hashed', async () => {
  const { jobs, passwords } = checker({ kind: 'match' });
  expect(await passwords.verify(stored('{PLAIN}'), '')).toEqual({ kind: 'mismatch' });
  expect(jobs).toEqual([]);
});

test('jobs: one less than the limit, as many, one more', async () => {
  const posted: number[] = [];
  const jobs = new PasswordJobs((requestId) => posted.push(requestId));
  const job: PasswordJob = { kind: 'verify', scheme: 'PLAIN', stored: 'x', secret: 'x' };
  const results = Array.from({ length: authLimits.passwordJobs }, () => jobs.run(job));
  expect(posted).toHaveLength(authLimits.passwordJobs);
  expect(await jobs.run(job)).toMatchObject({ kind: 'failed' });
  jobs.answered(posted[0]!, { kind: 'match' });
  expect(await results[0]).toEqual({ kind: 'match' });
  void jobs.run(job);
  expect(posted).toHaveLength(authLimits.passwordJobs + 1);
  // An answer that nobody waits for.
  jobs.answered(posted[0]!, { kind: 'match' });
  expect(jobs.size).toBe(authLimits.passwordJobs);
});
