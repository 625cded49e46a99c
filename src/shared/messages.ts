import type { MessagePort } from 'node:worker_threads';
import type { DirectoryMemory } from './memory/directory-memory.ts';
import type { AuthSettings, PassdbSettings } from './passdb-settings.ts';
import type { PasswordJob, PasswordJobResult } from './passwords/password-job.ts';

/** Everything a worker thread is started with. */
export interface WorkerStart {
  /** Unique for the life of the process. */
  readonly workerId: number;
  readonly settings: WorkerSettings;
  readonly services: readonly ServiceAddress[];
  readonly memory: DirectoryMemory;
  readonly registry: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Failed logins by network and user, for AuthPenalties; of all workers. */
  readonly penalties: SharedArrayBuffer;
  /** Carries ToWorker and FromWorker. */
  readonly controlPort: MessagePort;
  /** Carries Publication; read by the worker when the epoch tells, never waited for. */
  readonly publicationPort: MessagePort;
}

export const ProtocolName = {
  imap: 'imap',
  pop3: 'pop3',
  lmtp: 'lmtp',
  submission: 'submission',
  managesieve: 'managesieve',
} as const;
export type ProtocolName = (typeof ProtocolName)[keyof typeof ProtocolName];

/** A listener. Port 0 is chosen by the first worker and used by all. */
export interface ServiceAddress {
  readonly protocol: ProtocolName;
  /** Of a unix socket, which only the first worker has; `host` is '' and `port` 0 then. */
  readonly path?: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  /** Every connection begins with a PROXY header. */
  readonly haproxy: boolean;
}

export type TlsMode = 'off' | 'starttls' | 'implicit';

/** Towards clients; contents of files, not their names. */
export interface ServerTls {
  /** The first is the one for clients that name no host, or one that no other is for. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly minProtocol: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's cipher list; '' = Node's. */
  readonly cipherList: string;
  /** OpenSSL's list of groups for the key exchange; '' = its own. */
  readonly curveList: string;
  /** Authorities of client certificates, PEM; '' = none is asked for. */
  readonly clientCa: string;
  /** A client without a certificate is refused. */
  readonly requiresClientCertificate: boolean;
  /** Field of the subject that is the user name: 'commonName', …; RFC 4514 or OpenSSL short names. */
  readonly certificateUserField: string;
  /** 48 bytes that session tickets are sealed with, the same on all workers. */
  readonly ticketKeys: Uint8Array;
}

/** How to reach the backends, per protocol. */
export interface BackendSettings {
  readonly port: number;
  readonly tls: TlsMode;
  /** Authorities of the backends' certificates, PEM; '' = the system's. */
  readonly ca: string;
  /** The certificate must be one of `fingerprints`, if there are any, else be signed and name the backend. */
  readonly verify: boolean;
  /** SHA-256 of whole certificates, 64 lower-case hex digits. */
  readonly fingerprints: readonly string[];
  /** The PROXY header that a connection begins with. */
  readonly haproxy: 'off' | 'v1' | 'v2';
  /** The backend trusts us: ID fields or XCLIENT are sent. */
  readonly isTrusting: boolean;
  /** Log in by AUTHENTICATE/AUTH PLAIN instead of LOGIN or USER/PASS. */
  readonly useSasl: boolean;
}

/** The part of the configuration that workers use. */
export interface WorkerSettings {
  readonly greeting: string;
  readonly imapCapability: string;
  readonly imapLiteralMinus: boolean;
  readonly imapIdRetain: boolean;
  readonly hostname: string;
  readonly submissionCapabilities: readonly string[];
  readonly submissionMaxMailSize: number;
  readonly sieveImplementation: string;
  readonly sieveExtensions: string;
  readonly sieveNotify: string;
  /** Characters that each end the user's part of a recipient; '' = none does. LMTP. */
  readonly recipientDelimiter: string;
  /** What all LMTP backends have; only DSN is of interest. */
  readonly lmtpCapabilities: readonly string[];
  /** Bytes, announced as SIZE; 0 = no limit. */
  readonly lmtpMaxMailSize: number;
  /** How long a backend may take over a message. */
  readonly lmtpProxyTimeoutMs: number;
  /** Absolute path of a directory of ours; see Spool. */
  readonly lmtpSpoolDirectory: string;
  readonly disablePlaintextAuth: boolean;
  readonly trustedNetworks: readonly string[];
  readonly haproxyNetworks: readonly string[];
  readonly haproxyTimeoutMs: number;
  /** Null: there is no TLS towards clients. Reloads bring a new one. */
  readonly tls: ServerTls | null;
  readonly usernameChars: string;
  readonly usernameFormat: '%Lu' | '%u' | '';
  readonly defaultRealm: string;
  readonly usernameHash: string;
  /** A user that was not seen for so long is put to main at its next login. */
  readonly userUsableSecs: number;
  readonly proxyTimeoutMs: number;
  readonly proxyMaxReconnects: number;
  readonly tcpKeepaliveMs: number;
  readonly maxPreloginPerAddress: number;
  readonly maxSessions: number;
  readonly backends: Readonly<Record<ProtocolName, BackendSettings>>;
  /** In the order in which they are asked. */
  readonly passdbs: readonly PassdbSettings[];
  readonly auth: AuthSettings;
  /** Host names of backends that the configuration gave by name, by address. */
  readonly backendNames: Readonly<Record<string, string>>;
  readonly logLevel: string;
  /** File descriptor number or path of the log. */
  readonly logDestination: number | string;
}

/** A session that is logged in or is being so, as it was when it was asked for. */
export interface ListedSession {
  /** A latin1 string: one character per byte. */
  readonly user: string;
  readonly protocol: ProtocolName;
  /** Address of the client, as a trusted proxy in front of us has given it. */
  readonly client: string;
  readonly clientPort: number;
  /** Address; '' while the directory is asked. */
  readonly backend: string;
  readonly sessionId: string;
  readonly state: 'waiting' | 'connecting' | 'open';
  /** When it was logged in; before that, when its login began. */
  readonly sinceMs: number;
  /** With the login dialogue. */
  readonly bytesFromClient: number;
  readonly bytesFromBackend: number;
}

/** Which sessions are listed: those that fit everything that is not null. */
export interface SessionFilter {
  /** As the user would give it at a login (latin1 string). */
  readonly user: string | null;
  readonly userHash: number | null;
  /** Canonical address. */
  readonly backend: string | null;
  /** Of the client: an address, or an address and a length. */
  readonly network: string | null;
}

export type ToWorker =
  | { readonly kind: 'answer'; readonly requestId: number; readonly error: string | null }
  | {
      readonly kind: 'kick';
      readonly killId: number;
      readonly tagIndex: number;
      readonly userHashes: readonly number[];
      /** Sessions on this host stay; 0 = none does. */
      readonly exceptHostId: number;
    }
  /** Ends all sessions whose field (`user`, or an alternative user name of the passdb) has the value. */
  | {
      readonly kind: 'kick-field';
      readonly killId: number;
      readonly field: string;
      readonly value: string;
    }
  /** Asks for a part of the worker's sessions; answered by `sessions`. */
  | {
      readonly kind: 'list-sessions';
      readonly requestId: number;
      readonly filter: SessionFilter;
      /** 0, then what the last answer said. */
      readonly from: number;
    }
  /** Answers `check-password`. */
  | {
      readonly kind: 'password-checked';
      readonly requestId: number;
      readonly result: PasswordJobResult;
    }
  /** What is remembered of logins and databases is not to be used any more. */
  | { readonly kind: 'forget-logins' }
  /** Takes the place of WorkerSettings.tls for handshakes to come. */
  | { readonly kind: 'tls'; readonly tls: ServerTls | null }
  | { readonly kind: 'stop' };

export type FromWorker =
  | { readonly kind: 'started'; readonly threadId: number }
  | { readonly kind: 'listening'; readonly services: readonly ServiceAddress[] }
  | {
      readonly kind: 'login';
      readonly requestId: number;
      readonly tagIndex: number;
      readonly userHash: number;
      /**
       * The answer came too late to be used, and the login waits since then, Unix seconds: its time limit
       * does not begin anew.
       */
      readonly sinceSecs?: number;
    }
  | { readonly kind: 'kicked'; readonly killId: number }
  /** Work for the threads that hash passwords. */
  | { readonly kind: 'check-password'; readonly requestId: number; readonly job: PasswordJob }
  | {
      readonly kind: 'sessions';
      readonly requestId: number;
      readonly sessions: readonly ListedSession[];
      /** -1: these were the last. */
      readonly next: number;
    };
