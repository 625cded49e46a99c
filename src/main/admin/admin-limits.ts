/** Every limit of the director-admin protocol, in one place. */
export const adminLimits = {
  /** One line with its LF: the input buffer of Dovecot's doveadm_connection_init(). */
  lineBytes: 1024,
  clients: 64,
  /** Entries looked at in one go; bounds how long the event loop is held. */
  entriesPerSlice: 1000,
  /** Characters of a client's line that go to the log. */
  loggedChars: 160,
} as const;
