import { authLimits } from '../../shared/limits.ts';
import type { PasswordJob, PasswordJobResult } from '../../shared/passwords/password-job.ts';

/** What this worker has asked of the threads that hash passwords, which main has. */
export class PasswordJobs {
  readonly #post: (requestId: number, job: PasswordJob) => void;
  readonly #waiting = new Map<number, (result: PasswordJobResult) => void>();
  #lastId = 0;

  constructor(post: (requestId: number, job: PasswordJob) => void) {
    this.#post = post;
  }

  /** Never rejects. */
  async run(job: PasswordJob): Promise<PasswordJobResult> {
    if (this.#waiting.size >= authLimits.passwordJobs) {
      return { kind: 'failed', detail: 'too many passwords are waiting to be verified' };
    }
    const requestId = ++this.#lastId;
    return await new Promise((resolve) => {
      this.#waiting.set(requestId, resolve);
      this.#post(requestId, job);
    });
  }

  answered(requestId: number, result: PasswordJobResult): void {
    const resolve = this.#waiting.get(requestId);
    this.#waiting.delete(requestId);
    resolve?.(result);
  }

  get size(): number {
    return this.#waiting.size;
  }
}
