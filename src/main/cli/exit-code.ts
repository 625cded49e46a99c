/** Exit codes: those of sysexits.h, which doveadm uses too. */
export const ExitCode = {
  Ok: 0,
  /** Anything without a better code, as an old Node. */
  Failure: 1,
  /** EX_USAGE: wrong command line. */
  Usage: 64,
  /** DOVEADM_EX_NOTFOUND: the director does not know the host, user or director. */
  NotFound: 68,
  /** EX_TEMPFAIL: the director cannot be reached, or went away. */
  TempFail: 75,
  /** EX_PROTOCOL: it says something that we do not understand. */
  Protocol: 76,
  /** EX_CONFIG */
  Config: 78,
  /** As a shell counts SIGINT: the user has interrupted it. */
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
