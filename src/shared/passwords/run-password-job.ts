import type { PasswordJob, PasswordJobResult } from './password-job.ts';
import { deriveScramKeys } from './scram-secret.ts';
import { verifyPassword } from './verify-password.ts';

/** What a thread of the CPU pool does: takes from microseconds to seconds, so never on a session thread. */
export default async function runPasswordJob(job: PasswordJob): Promise<PasswordJobResult> {
  switch (job.kind) {
    case 'verify':
      return await verifyPassword(job.scheme, job.stored, job.secret);
    case 'scram':
      return { kind: 'scram', ...deriveScramKeys(job.password, job.salt, job.iterations) };
  }
}
