/** Numbers of the demo, in one place. */
export const DEMO_LIMITS = {
  users: 50,
  maxSessionsPerUser: 3,
  /** A sample client gives up a login or logout after this. */
  answerDeadlineMs: 30_000,
  /** Bytes of an answer that a sample client keeps while it waits for the rest. */
  maxAnswerBytes: 65_536,
  /** Pause of one sample session between two changes of its state. */
  minPauseMs: 300,
  maxPauseMs: 3_000,
  /** How often all sessions of `--once` end and begin again. */
  onceRounds: 3,
  redrawMs: 500,
  /** Without a terminal: one table in this time. */
  printMs: 5_000,
  /** A stop signal within this time of the first is taken for the same one. */
  repeatedSignalMs: 1_000,
  /** Texts of failed logins that are shown. */
  shownFailures: 3,
} as const;
