/** Every limit of the HTTP API, in one place. */
export const httpLimits = {
  connections: 256,
  /** Request line and headers together. */
  headerBytes: 16 * 1024,
  /** Of /doveadm/v1: the names of users may be in it. */
  doveadmBodyBytes: 1024 * 1024,
  restBodyBytes: 64 * 1024,
  /** Commands in one request to /doveadm/v1. */
  doveadmCommands: 100,
  /** Time in which a request must have come. */
  requestMs: 30_000,
  /** A connection without a request is closed then. */
  keepAliveMs: 60_000,
  /** A reader that takes nothing of a long answer for so long is cut off. */
  stalledReaderMs: 60_000,
  /** Of the key file. */
  keyFileBytes: 64 * 1024,
  keys: 100,
  keyChars: { min: 8, max: 512 },
  keyNameChars: 64,
  /** Of a user name in a path, percent-encoded. */
  pathPartChars: 1536,
  /** Rows of a list made in one go; bounds how long the event loop is held. */
  rowsPerSlice: 1000,
  /** Times whose text is kept while a list of users is made. */
  rememberedTimes: 4096,
  /** An answer shorter than this is sent whole, with its length. */
  wholeAnswerChars: 64 * 1024,
  /** Names of a usersFile hashed in one go. */
  namesPerSlice: 1000,
  /** Refused requests that are logged, in a second. */
  loggedRefusals: 10,
  /** Of one user, as they are remembered. */
  shownMoves: 10,
  /** How long the end of a flush, move or kick may be waited for. */
  waitSecs: 600,
} as const;
