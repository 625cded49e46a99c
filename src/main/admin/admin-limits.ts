/** Every limit of the director-admin protocol, in one place. */
export const adminLimits = {
  /** One line with its LF: the input buffer of Dovecot's doveadm_connection_init(). */
  lineBytes: 1024,
  /** Of one listener. */
  clients: 64,
  /** Entries looked at in one go; bounds how long the event loop is held. */
  entriesPerSlice: 1000,
  /** Characters of a client's line that go to the log. */
  loggedChars: 160,
  /** Weight of a backend: MAX_VALID_VHOST_COUNT. */
  vhostCount: 1000,
  /** A command waits so long for the ring to be synced: DOVEADM_CONNECTION_RING_SYNC_TIMEOUT_MSECS. */
  ringSyncMs: 30_000,
  /** How long a command may be told to wait for the end of a move or kick, and how long it does unless told. */
  waitSecs: 600,
  defaultWaitSecs: 60,
  /** HOST-RESET-USERS under way or waiting for their turn; more are refused. */
  resets: 1000,
  /** How often a HOST-RESET-USERS that goes on says so in the log. */
  resetProgressMs: 10_000,
} as const;
