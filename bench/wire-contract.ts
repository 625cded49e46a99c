/**
 * What load generator and fake backend agree on. Both exist twice, in C (bench/native) and in
 * TypeScript (bench/load, bench/backend), with the same options and the same JSON lines, so that
 * bench/run.ts can use either.
 */

/** A body is this line over and over, cut at its size, its last two bytes replaced by CRLF. */
export const BODY_LINE =
  '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdefghijkl\r\n';
export const BODY_LINE_BYTES = 78;

export const MODES = ['login', 'echo', 'fetch', 'hold'] as const;
export type Mode = (typeof MODES)[number];
export type BenchProtocol = 'imap' | 'pop3';

/** First line of a backend process. */
export interface BackendReady {
  readonly ready: true;
  readonly imapPort: number;
  readonly pop3Port: number;
}

/** A backend process answers each line on its stdin, and the end of it, with this line. */
export interface BackendReport {
  /** Logins while the same user had an open session on another backend. */
  readonly violations: number;
  readonly badLogins: number;
  readonly badCommands: number;
  readonly backends: readonly { host: string; logins: number; sessions: number }[];
}

/** Lines of a load generator before its result. */
export interface LoadEvent {
  readonly event: 'start' | 'end' | 'held';
  readonly sessions: number;
}

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Last line of a load generator. */
export interface LoadResult {
  /** Whole connections (login), round trips (echo) or bodies (fetch) within the window. */
  readonly ops: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly bytes: number;
  /** All logins, outside of the window too. */
  readonly logins: number;
  /** Connect to accepted login, microseconds. */
  readonly loginMicros: Latency;
  /** One operation, microseconds. */
  readonly opMicros: Latency;
  /** Open loop: logins that were due but never begun, as all connections were in use. */
  readonly late?: number;
  readonly errors: number;
  /** Accepted logins whose reply named another user. */
  readonly wrongUser: number;
  /** Logins of a user on another backend than before. */
  readonly wrongBackend: number;
  readonly firstError: string;
}
