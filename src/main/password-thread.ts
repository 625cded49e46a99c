import type { PasswordJob, PasswordJobResult } from '../shared/passwords/password-job.ts';
import runPasswordJob from '../shared/passwords/run-password-job.ts';

export interface QueuedPasswordJob {
  readonly job: PasswordJob;
  /** Unix milliseconds; who has waited longer has gone, or tries again. */
  readonly untilMs: number;
}

/** The task of one thread of the CPU pool. */
export default async function runQueuedJob(queued: QueuedPasswordJob): Promise<PasswordJobResult> {
  if (Date.now() > queued.untilMs) {
    return { kind: 'failed', detail: 'the threads that verify passwords are too busy' };
  }
  return await runPasswordJob(queued.job);
}
