import { Piscina } from 'piscina';
import { authLimits } from '../shared/limits.ts';
import type { PasswordJob, PasswordJobResult } from '../shared/passwords/password-job.ts';
import type { QueuedPasswordJob } from './password-thread.ts';

const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const THREAD_FILE = `./password-thread.${EXTENSION}`;
/** Threads without work end after this; the first login that needs one pays for its start. */
const IDLE_MS = 60_000;

/** Threads that hash passwords for all workers, so that no session waits for another one's bcrypt. */
export class CpuPool {
  readonly #pool: Piscina;

  constructor(threads: number) {
    this.#pool = new Piscina({
      filename: new URL(THREAD_FILE, import.meta.url).href,
      // None until a database of ours has a password to verify.
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      maxQueue: authLimits.queuedPasswordJobs,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
    });
    // Threads end by errors that the task's promise reports as well.
    this.#pool.on('error', () => {});
  }

  /** Never rejects. */
  async run(job: PasswordJob): Promise<PasswordJobResult> {
    const queued: QueuedPasswordJob = { job, untilMs: Date.now() + authLimits.passwordWaitMs };
    try {
      return (await this.#pool.run(queued)) as PasswordJobResult;
    } catch (error) {
      // Its text cannot hold what was to be verified: it is Piscina's, or of a library that was given bytes.
      return { kind: 'failed', detail: `password threads: ${(error as Error).message}` };
    }
  }

  async stop(): Promise<void> {
    await this.#pool.destroy();
  }
}
