import { Wait } from './answer.ts';

/** Work that goes on whether or not the client who ordered it is still there. */
export interface Job {
  /** Does a part of it, short enough for the event loop. `blocked`: something must change first. */
  step(nowMs: number): 'more' | 'blocked' | 'done';
}

interface Condition {
  readonly isTrue: () => boolean;
  readonly deadlineMs: number;
  readonly wait: Wait;
}

/**
 * What admin commands wait for, and the long work that they have ordered; shared by all clients. To be
 * run when something may have changed, and every now and then for the time limits.
 */
export class AdminWork {
  readonly #conditions = new Set<Condition>();
  /** In the order in which they were ordered; the first one works. */
  readonly #jobs: Job[] = [];
  readonly #now: () => number;
  readonly #soon: (run: () => void) => void;
  #isScheduled = false;

  /** @param soon calls back after other events have had their turn */
  constructor(now: () => number, soon: (run: () => void) => void) {
    this.#now = now;
    this.#soon = soon;
  }

  get waitCount(): number {
    return this.#conditions.size;
  }

  get jobCount(): number {
    return this.#jobs.length;
  }

  /** Over at once if it is true already. */
  until(isTrue: () => boolean, limitMs = Number.POSITIVE_INFINITY): Wait {
    const wait = new Wait();
    if (isTrue()) wait.end('fulfilled');
    else this.#conditions.add({ isTrue, deadlineMs: this.#now() + limitMs, wait });
    return wait;
  }

  /** The end of the job can be waited for. */
  start(job: Job): Wait {
    let isDone = false;
    this.#jobs.push({
      step: (nowMs) => {
        const outcome = job.step(nowMs);
        isDone = outcome === 'done';
        return outcome;
      },
    });
    this.run();
    return this.until(() => isDone);
  }

  /** Looks at everything once. */
  run(): void {
    const nowMs = this.#now();
    this.#work(nowMs);
    for (const condition of [...this.#conditions]) {
      const isFulfilled = condition.isTrue();
      if (!isFulfilled && condition.deadlineMs > nowMs) continue;
      this.#conditions.delete(condition);
      condition.wait.end(isFulfilled ? 'fulfilled' : 'timed-out');
    }
  }

  #work(nowMs: number): void {
    if (this.#jobs.length === 0) return;
    const outcome = this.#jobs[0].step(nowMs);
    if (outcome === 'done') this.#jobs.shift();
    if (outcome !== 'blocked' && this.#jobs.length > 0) this.runSoon();
  }

  /** As run(), but when whoever calls is through. */
  runSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#soon(() => {
      this.#isScheduled = false;
      this.run();
    });
  }
}
