/**
 * Limits and times of the ring, those of Dovecot 2.3.19.1 where it has them (its name behind the value,
 * from director/director-connection.c and director.c). docs/ring-protocol.md says what each is for.
 */
export const ringLimits = {
  /** A line with its LF: MAX_INBUF_SIZE. */
  lineBytes: 1024,
  /** Users are sent in a handshake while less than this is waiting: OUTBUF_FLUSH_THRESHOLD. */
  handshakeBufferBytes: 128 * 1024,
  /** Users sent in a handshake before the thread turns to something else. */
  handshakeUsersPerTurn: 2000,
  /** DIRECTOR_CONNECTION_CONNECT_TIMEOUT_MSECS */
  connectMs: 10_000,
  /** DIRECTOR_CONNECTION_ME_TIMEOUT_MSECS */
  meMs: 10_000,
  /** DIRECTOR_CONNECTION_SEND_USERS_TIMEOUT_MSECS */
  sendUsersMs: 30_000,
  /** DIRECTOR_CONNECTION_DONE_TIMEOUT_MSECS */
  doneMs: 40_000,
  /** DIRECTOR_CONNECTION_PING_INTERVAL_MSECS */
  pingMs: 15_000,
  /** DIRECTOR_CONNECTION_PING_SYNC_INTERVAL_MSECS */
  pingUnsyncedMs: 1000,
  /** DIRECTOR_CONNECTION_PINGPONG_WARN_MSECS */
  pongWarnMs: 5000,
  /** DIRECTOR_SUCCESS_MIN_CONNECT_SECS: a connection that ends sooner counts as a network failure. */
  successMs: 40_000,
  /** DIRECTOR_RECONNECT_AFTER_WRONG_CONNECT_MSECS */
  wrongConnectMs: 1000,
  /** DIRECTOR_WAIT_DISCONNECT_SECS: after we have sent CONNECT. */
  waitDisconnectMs: 10_000,
  /** DIRECTOR_MAX_SYNC_SEQ_DUPLICATES */
  syncDuplicates: 4,
  /** DIRECTOR_SYNC_STALE_TIMESTAMP_RESET_SECS */
  syncStaleSecs: 120,
  /** DIRECTOR_MAX_CLOCK_DIFF_WARN_SECS */
  clockDiffSecs: 1,
  /** DIRECTOR_RECONNECT_RETRY_SECS */
  networkRetryMs: 60_000,
  /** DIRECTOR_PROTOCOL_FAILURE_RETRY_SECS */
  protocolRetryMs: 60_000,
  /** DIRECTOR_RECONNECT_TIMEOUT_MSECS: how often the preferred right neighbour is tried. */
  preferredMs: 30_000,
  /** DIRECTOR_QUICK_RECONNECT_TIMEOUT_MSECS */
  quickReconnectMs: 1000,
  /** DIRECTOR_RING_MIN_WAIT_SECS: nobody takes himself for the only one sooner. */
  aloneMs: 20_000,
  /** DIRECTOR_SYNC_TIMEOUT_MSECS */
  syncMs: 5000,
  /** DIRECTOR_DELAYED_DIR_REMOVE_MSECS */
  removeMemberMs: 30_000,
  /** RING_NOCONN_WARNING_DELAY_MSECS */
  delayedWarningMs: 2000,
  /** SYNC numbers above this (2001) begin with the time when a director was started; Dovecot's begin with 0. */
  minTimeSeq: 1_000_000_000,
  /** Directors that were started within this were started together. */
  sameStartSecs: 5,
  /** Members of a ring, removed ones included. */
  members: 256,
  /** Incoming connections of one address that have not finished their handshake. */
  unfinishedConnections: 8,
  /** USER-WEAKs of one member whose second passing is remembered. */
  weakPassings: 4096,
} as const;

/** Protocol version 1.9 and what each minor version brought (director/director.h of 2.3.19.1). */
export const PROTOCOL_NAME = 'director';
export const PROTOCOL_MAJOR = 1;
export const PROTOCOL_MINOR = 9;
export const Minor = {
  weakUsers: 1,
  ringRemove: 2,
  quit: 3,
  userKick: 4,
  options: 5,
  upDown: 6,
  tags: 7,
  userKickAlt: 8,
  handshakeU: 9,
  userTimestamp: 9,
} as const;
export const CONSISTENT_HASHING = 'consistent-hashing';
