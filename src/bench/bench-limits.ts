/** Numbers of the load generator, in one place. */
export const BENCH_LIMITS = {
  threads: 64,
  connections: 50_000,
  ratePerSecond: 1_000_000,
  seconds: 86_400,
  targets: 16,
  users: 4_294_967_295,
  /** Users whose backend is remembered, 8 bytes each; of more users, only the most frequent ones. */
  trackedUsers: 4_194_304,
  /** Held sessions that are being opened at the same time, of all threads. */
  openingConnections: 128,
  /** Arrivals of one thread that wait for a connection; further ones fail. */
  waitingArrivals: 100_000,
  /** Arrivals that one turn of the event loop starts, so that answers are read in between. */
  arrivalsPerTurn: 256,
  /** One line of an answer. */
  lineBytes: 8192,
  /** How much of a body is searched for X-Backend. */
  bodyHeadBytes: 1024,
  messageBytes: 64 * 1024 * 1024,
  /** Errors end the run at this number, unless the user says another one. */
  errors: 1000,
  /** Texts kept of each kind of error, and their length. */
  shownErrors: 3,
  errorChars: 160,
  /** A connection that failed is not opened again before this. */
  pauseAfterErrorMs: 100,
  /** How often connections are looked at for their deadline. */
  sweepMs: 200,
  /** How long the end of a run waits for answers that are still due. */
  drainMs: 10_000,
  /** How long it then waits for goodbyes. */
  logoutMs: 5_000,
  /** Latencies in microseconds: three digits, up to an hour. */
  significantDigits: 3,
  highestMicros: 3_600_000_000,
} as const;
