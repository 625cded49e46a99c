/** Everything that can grow in an embedded backend, in one place. */
export const EMBEDDED_LIMITS = {
  /** As a Dovecot 2.3 backend after login; before login Dovecot takes 8192. */
  maxLineBytes: 65_536,
  /** Literals that are kept (user names, passwords, mailbox names); APPEND streams instead. */
  maxLiteralBytes: 65_536,
  maxLiteralsPerCommand: 16,
  maxAppendBytes: 1_073_741_824,
  maxFetchMessages: 1_000,
  maxBadCommands: 10,
  /** Connections one backend takes; further ones are closed at once and counted. */
  maxConnections: 20_000,
  /** Users whose mailbox has grown; further ones keep the default count. */
  maxMailboxes: 100_000,
  /** Details kept; the counters go on. */
  maxRememberedAppends: 1_000,
  maxRememberedViolations: 100,
  /** Room a generated message needs for its header and last line. */
  minBodyBytes: 512,
} as const;
