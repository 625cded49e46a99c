/** Every limit of long moves, in one place. */
export const moveLimits = {
  /** Jobs under way; more are refused. */
  activeJobs: 16,
  /** Jobs that have ended and are still shown. */
  endedJobs: 32,
  /** Users that one job may have on the way at a time, whatever it is told. */
  maxMoving: 10_000,
  /** Users a second, at most. */
  maxRate: 100_000,
  /** The longest time over which a drain may be spread: a week. */
  withinMs: 7 * 24 * 3600 * 1000,
  /**
   * Time in one turn of the event loop after which no further part is begun. With 1,000,000
   * users and 100,000 sessions a look at a part takes 0.3 ms, moves of users (which look through the
   * sessions once) 1 to 2: bench/moves/turns.ts.
   */
  turnMs: 1,
  /** Users told to go with one look through the sessions. */
  movesAtOnce: 25,
  /** Between two turns: so long has the rest of the thread. */
  pauseMs: 3,
  /** Users with sessions that a job remembers between two rounds. */
  heldUsers: 1000,
  /** While users are waited for, the next look for those who have left in the meantime. */
  roundMs: 10_000,
  /** A round that found only users who cannot be moved yet is followed by another one so much later. */
  retryMs: 500,
  /** What a rate allows and nobody used is forgotten after this. */
  burstMs: 200,
  /** Moves of users that are remembered. */
  recentMoves: 10_000,
} as const;

/** Users a second that a rebalance moves unless told otherwise: nobody is in a hurry. */
export const DEFAULT_REBALANCE_RATE = 50;
