import type { CertificateFiles } from '../../test/support/certificates.ts';

/** What every proxy of a run is told. */
export interface ProxySetup {
  /** An address of its own. */
  readonly ip: string;
  /** Of its own, and searchable by every user. */
  readonly directory: string;
  /** Processes or threads that serve connections. */
  readonly workers: number;
  /** Connections at a time. */
  readonly maxSessions: number;
  /** Implicit TLS towards clients; the files are readable by every user. Null: plain. */
  readonly certificate: CertificateFiles | null;
  readonly backends: readonly string[];
  readonly backendPort: number;
}

/** A proxy that runs and has served a login. */
export interface RunningProxy {
  /** Of the process that all others of the proxy descend from. */
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** Ends it with all its processes. */
  stop(): Promise<void>;
}

/** One that the bench can start: ours, or a peer. */
export interface MailProxy {
  readonly name: string;
  /** Idle sessions that are enough to tell its memory: one with a process for each needs few. */
  readonly maxHeld: number;
  /** Debian packages, for the record of versions; none: ours. */
  readonly packages: readonly string[];
  /** Installs what is missing, or fails with why it cannot be had. */
  prepare(): Promise<void>;
  start(setup: ProxySetup): Promise<RunningProxy>;
}

/** The port of every proxy, on its own address. */
export const IMAP_PORT = 23143;
