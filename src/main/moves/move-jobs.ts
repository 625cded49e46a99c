import type { MoveDirectory } from './move-directory.ts';
import { MoveJob } from './move-job.ts';
import { moveLimits } from './move-limits.ts';
import type { JobProgress, MoveOrder } from './move-order.ts';
import type { RecentMoves } from './recent-moves.ts';

export interface ListedJob {
  readonly id: number;
  readonly order: MoveOrder;
  readonly progress: JobProgress;
}

/** Any long move: a MoveJob, or one that somebody else runs and wants shown. */
export interface ShownJob {
  readonly order: MoveOrder;
  progress(nowMs: number): JobProgress;
  interrupt(nowMs: number): void;
}

export type StartOutcome =
  | { readonly kind: 'started' | 'joined'; readonly id: number }
  | { readonly kind: 'unknown-host' }
  | { readonly kind: 'refused'; readonly text: string };

export interface MoveJobsOptions {
  readonly directory: MoveDirectory;
  readonly recent: RecentMoves;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets; measures turns. */
  readonly monotonicNow: () => number;
  /** Calls back after other events have had their turn; the pause before it bounds what jobs take. */
  readonly soon: (run: () => void) => void;
  /** `text` is one line. */
  readonly log: (level: 'info' | 'warn', text: string) => void;
}

/** The jobs of this director: a bounded number, each going on whether or not anybody looks. */
export class MoveJobs {
  readonly #options: MoveJobsOptions;
  readonly #active = new Map<number, MoveJob>();
  /** Run by others: see show(). */
  readonly #shown = new Map<number, ShownJob>();
  /** Oldest first. */
  readonly #ended = new Map<number, ShownJob>();
  #lastId = 0;
  /** Goes first in the next turn. */
  #firstId = 0;
  #isScheduled = false;

  constructor(options: MoveJobsOptions) {
    this.#options = options;
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** One that asks for what is going on already joins it. */
  start(order: MoveOrder): StartOutcome {
    const { directory, now, log } = this.#options;
    const id = this.#sameAs(order);
    if (id !== null) return { kind: 'joined', id };
    const refusal = this.refusal(order);
    if (refusal !== null) return refusal;
    const newId = ++this.#lastId;
    this.#active.set(newId, new MoveJob(order, directory, now()));
    log('info', `job ${newId}: ${describe(order)}`);
    this.#runSoon();
    return { kind: 'started', id: newId };
  }

  /** Lists a job that is run elsewhere. To be called when it ends: what this gives. */
  show(job: ShownJob): () => void {
    const id = ++this.#lastId;
    this.#shown.set(id, job);
    return () => {
      this.#shown.delete(id);
      this.#remember(id, job);
    };
  }

  #sameAs(order: MoveOrder): number | null {
    for (const [id, job] of this.#active) {
      const { state } = job.progress(this.#options.now());
      if (isSame(job.order, order) && state !== 'stopping') return id;
    }
    return null;
  }

  /** Why a new job cannot be begun; null: it can. */
  refusal(order: MoveOrder): Exclude<StartOutcome, { kind: 'started' | 'joined' }> | null {
    const { directory } = this.#options;
    const host = order.ip === null ? undefined : directory.host(order.ip);
    if (order.ip !== null && host === undefined) return { kind: 'unknown-host' };
    for (const [id, job] of this.#active) {
      if (!overlap(job.order, order)) continue;
      return { kind: 'refused', text: `${describe(job.order)} is going on: job ${id}` };
    }
    if (this.#active.size >= moveLimits.activeJobs) {
      const text = `more than ${moveLimits.activeJobs} jobs - try again later`;
      return { kind: 'refused', text };
    }
    if (order.kind !== 'drain' || host === undefined) return null;
    const hasOther = directory.hosts.some((other) => {
      const isUsable = !other.isDown && other.vhostCount > 0;
      return other !== host && other.tag === host.tag && isUsable;
    });
    return hasOther ? null : { kind: 'refused', text: 'there is no other backend for its users' };
  }

  /** Null: no such job. False: it has ended, or is about to. */
  interrupt(id: number, by: string): boolean | null {
    const job = this.#active.get(id) ?? this.#shown.get(id);
    if (job === undefined) return this.#ended.has(id) ? false : null;
    const { state } = job.progress(this.#options.now());
    if (state === 'stopping' || state === 'finishing') return false;
    this.#options.log('info', `job ${id}: interrupted by ${by}`);
    job.interrupt(this.#options.now());
    this.#runSoon();
    return true;
  }

  /** Null: no such job, or nobody remembers it. */
  get(id: number): ListedJob | null {
    const job = this.#active.get(id) ?? this.#shown.get(id) ?? this.#ended.get(id);
    return job === undefined ? null : this.#listed(id, job);
  }

  /** In the order in which they were begun; those that have ended lately first. */
  list(): ListedJob[] {
    return [...this.#ended, ...this.#shown, ...this.#active]
      .sort(([a], [b]) => a - b)
      .map(([id, job]) => this.#listed(id, job));
  }

  #listed(id: number, job: ShownJob): ListedJob {
    return { id, order: job.order, progress: job.progress(this.#options.now()) };
  }

  /** Works for one turn of the event loop. To be called at every tick; in between it calls itself. */
  run(): void {
    if (this.#active.size === 0) return;
    const { monotonicNow } = this.#options;
    const endMs = monotonicNow() + moveLimits.turnMs;
    const isTurnOver = (): boolean => monotonicNow() >= endMs;
    let hasMore = false;
    for (const [i, [id, job]] of this.#inTurn().entries()) {
      // The first one always has a part. Whoever has none begins the next turn.
      if (i > 0 && isTurnOver()) {
        this.#firstId = id;
        hasMore = true;
        break;
      }
      if (this.#step(id, job, isTurnOver) === 'more') hasMore = true;
    }
    if (hasMore) this.#runSoon();
  }

  #inTurn(): [number, MoveJob][] {
    const jobs = [...this.#active];
    const first = Math.max(
      0,
      jobs.findIndex(([id]) => id === this.#firstId),
    );
    return [...jobs.slice(first), ...jobs.slice(0, first)];
  }

  #step(id: number, job: MoveJob, isTurnOver: () => boolean): 'more' | 'blocked' | 'ended' {
    const { recent, now } = this.#options;
    const who = `${job.order.kind} by ${job.order.by}`;
    const outcome = recent.orderedBy(who, () => job.step(now(), isTurnOver));
    if (outcome === 'ended') this.#end(id, job);
    return outcome;
  }

  #end(id: number, job: MoveJob): void {
    this.#active.delete(id);
    this.#remember(id, job);
    const { state, movedCount, startedMs, endedMs, note } = job.progress(this.#options.now());
    const secs = ((endedMs - startedMs) / 1000).toFixed(3);
    const text = `job ${id}: ${describe(job.order)}: ${state}, moved ${movedCount} users in ${secs} secs`;
    this.#options.log(
      state === 'failed' ? 'warn' : 'info',
      note === '' ? text : `${text}: ${note}`,
    );
  }

  #remember(id: number, job: ShownJob): void {
    this.#ended.set(id, job);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > moveLimits.endedJobs) this.#ended.delete(oldest);
  }

  #runSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.soon(() => {
      this.#isScheduled = false;
      this.run();
    });
  }
}

function overlap(a: MoveOrder, b: MoveOrder): boolean {
  return a.ip === null || b.ip === null || a.ip === b.ip;
}

function isSame(a: MoveOrder, b: MoveOrder): boolean {
  return (
    a.kind === b.kind &&
    a.ip === b.ip &&
    a.maxMoving === b.maxMoving &&
    a.ratePerSec === b.ratePerSec &&
    a.withinMs === b.withinMs
  );
}

/** `drain of 10.0.0.1 (max parallel 100, within 1800 s) by admin(unix socket)`: for people. */
export function describe({ kind, ip, maxMoving, ratePerSec, withinMs, by }: MoveOrder): string {
  const limits = [`max parallel ${maxMoving}`];
  if (ratePerSec !== null) limits.push(`${ratePerSec} users/s`);
  if (withinMs !== null) limits.push(`within ${withinMs / 1000} s`);
  return `${kind} of ${ip ?? 'all backends'} (${limits.join(', ')}) by ${by}`;
}
