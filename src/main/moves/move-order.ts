export const JobKind = {
  /** Users of a backend, or of all, go where their hash says now; idle ones first or not is all one. */
  flush: 'flush',
  /** The backend gets no new users, and those it has are moved away. */
  drain: 'drain',
  /** Users of all backends go where their hash says now. */
  rebalance: 'rebalance',
} as const;
export type JobKind = (typeof JobKind)[keyof typeof JobKind];

/** What somebody wants moved. */
export interface MoveOrder {
  readonly kind: JobKind;
  /** Of the one backend; null: all. */
  readonly ip: string | null;
  /** Users on the way at a time, whoever moves them. */
  readonly maxMoving: number;
  /** Users a second; null: no limit. */
  readonly ratePerSec: number | null;
  /** Users with sessions are spread over this time; null: as fast as may be. */
  readonly withinMs: number | null;
  /** Who ordered it, as the log names it. */
  readonly by: string;
}

export const JobState = {
  /** The ring is not synced: nobody is moved meanwhile. */
  waiting: 'waiting',
  counting: 'counting',
  moving: 'moving',
  /** Nobody is left to be told; the last ones are on their way. */
  finishing: 'finishing',
  /** Interrupted, and the last ones are on their way. */
  stopping: 'stopping',
  done: 'done',
  interrupted: 'interrupted',
  failed: 'failed',
} as const;
export type JobState = (typeof JobState)[keyof typeof JobState];

/** How far a job is. */
export interface JobProgress {
  readonly state: JobState;
  /** Users that have arrived: they may log in. */
  readonly movedCount: number;
  /** All that are to be moved, as far as is known. */
  readonly totalCount: number;
  /** Users on the way. */
  readonly movingCount: number;
  /** Of those that are left, users with sessions. */
  readonly busyCount: number;
  /** Users a second, since the first one. */
  readonly ratePerSec: number;
  readonly startedMs: number;
  /** 0 = not yet. */
  readonly endedMs: number;
  /** Null: nobody knows. */
  readonly leftSecs: number | null;
  /** Why it ended, or what there is to say; '' = nothing. */
  readonly note: string;
}
