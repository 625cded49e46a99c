import type { StoredScramKeys } from '../../shared/passwords/scram-secret.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { EndReason } from './end-reason.ts';

/**
 * The contract between a session (sockets, timers, directory) and the sans-IO protocol engines.
 * Every protocol folder has the same files: `client.ts` (we are the server), `backend.ts` (we are
 * the client) and `replies.ts` (texts and codes). Engines hold no socket, clock or randomness.
 *
 * Wire text travels as "latin1 strings": one UTF-16 unit per byte. Chunks are Buffers, and may be
 * one reused read buffer: no engine refers to a chunk after the call that brought it.
 */

/** What is known of a client connection when its engine starts. */
export interface ConnectionFacts {
  /** Unique, up to 64 characters of [A-Za-z0-9+/], as Dovecot's session ids. */
  readonly sessionId: string;
  readonly remoteIp: string;
  readonly remotePort: number;
  readonly localIp: string;
  readonly localPort: number;
  /** Is in login_trusted_networks: may use ID x-* and XCLIENT. */
  readonly isTrusted: boolean;
  /** Plaintext mechanisms are allowed (TLS, trusted, or disable_plaintext_auth off). */
  readonly allowsPlaintext: boolean;
  /** Encrypted: by TLS with us, or with the balancer in front of us (PROXY header). */
  readonly isTls: boolean;
  /** 'TLSv1.3', …; '' = no TLS, or the balancer has not told. */
  readonly tlsVersion: string;
  /** STARTTLS is to be had: configured, and there is no TLS yet. */
  readonly offersStartTls: boolean;
  /** Host name that the client wanted (SNI, or AUTHORITY of a PROXY header); '' = none, else a valid DNS name. */
  readonly serverName: string;
  /** User name of a client certificate that was verified; '' = none. */
  readonly certificateUser: string;
  /** SASL mechanisms that this client may use now, in the order in which they are announced. */
  readonly mechanisms: readonly SaslMechanism[];
  /** Hops left, 5 for a client that is no proxy. */
  readonly ttl: number;
}

/** Identity that a trusted peer forwarded by ID x-* or XCLIENT; undefined fields: not given. */
export interface ForwardedIdentity {
  sessionId?: string;
  remoteIp?: string;
  remotePort?: number;
  localIp?: string;
  localPort?: number;
  ttl?: number;
  /** forward_<name> fields, as given, in order. */
  forward: [name: string, value: string][];
}

export interface ClientEngineOptions {
  /** login_greeting */
  readonly greeting: string;
  /** Our name in SMTP greetings, EHLO and LHLO. */
  readonly hostname: string;
  /** submission_backend_capabilities: what all backends have (8BITMIME DSN …). Submission only. */
  readonly submissionCapabilities: readonly string[];
  /** Bytes, announced as SIZE; 0 = SIZE without a number. Submission only. */
  readonly submissionMaxMailSize: number;
  /** managesieve_implementation_string, managesieve_sieve_capability, managesieve_notify_capability. */
  readonly sieveImplementation: string;
  readonly sieveExtensions: string;
  readonly sieveNotify: string;
  /** imap_capability: '' = default list, '+X Y' = appended, else replaces the list. IMAP only. */
  readonly imapCapability: string;
  /** Advertise LITERAL- and limit non-synchronising literals to 4096 bytes. IMAP only. */
  readonly imapLiteralMinus: boolean;
  /** Keep the client's own ID pairs and send them to the backend. IMAP only. */
  readonly imapIdRetain: boolean;
}

/** Complete credentials. The engine reads nothing more until loginFailed() or the hand-over. */
export interface Credentials {
  /** As the client wrote it, not yet normalised; not empty, any byte but NUL, CR and LF. */
  readonly user: string;
  /** Any byte but NUL, CR and LF; may be empty. */
  readonly password: string;
  /** SASL authorisation id: who the session is for; '' = `user` itself. */
  readonly authzid: string;
  /** Mechanism or command: 'LOGIN', 'PLAIN', 'USER/PASS', … With OAuth mechanisms the password is the token. */
  readonly mechanism: string;
  /** The exchange has proved who the client is (SCRAM, EXTERNAL); `password` is ''. */
  readonly isProven: boolean;
}

/** What the client has said of itself before it logged in, for the backend engine. */
export interface ClientHints {
  /** IMAP: the client asked CAPABILITY before login (changes the final reply). */
  readonly askedCapability: boolean;
  /** IMAP with imapIdRetain: the client's own ID pairs (no x-* ones), `"k" "v" …`, else ''. */
  readonly retainedId: string;
  /** SMTP: the argument of EHLO or HELO; '' = not given. */
  readonly helo: string;
}

export const NO_HINTS: ClientHints = { askedCapability: false, retainedId: '', helo: '' };

/** Why a login did not come off; decides the client's reply (fact sheet 1.3 and 1.4). */
export type LoginFailure =
  | { readonly kind: 'connect' | 'protocol' | 'remote' | 'remote-config' | 'internal' }
  /**
   * Our own verdict. `auth`: wrong user or password (nobody is told which), or refused before anybody was
   * asked; `authz`: may not log in for that authorisation id; `expired`: the password; `disabled`: nologin.
   * `reason`: text of a user database, for the client (printable, one line; may begin with a code `[…]`).
   * `challenge`: JSON that tells the client of an OAuth mechanism why its token is no good.
   */
  | {
      readonly kind: 'auth' | 'authz' | 'expired' | 'disabled';
      readonly reason?: string;
      readonly challenge?: string;
    }
  /**
   * The backend's own refusal, passed on. `line` is what follows the tag (`NO [LIMIT] x`) or, in a
   * protocol without tags, the whole reply (`-ERR [IN-USE] x`; SMTP: all its lines), without the last CRLF.
   */
  | { readonly kind: 'auth-reply' | 'auth-tempfail'; readonly line: string }
  /** A user database, or the directory, gave no answer (text for the log only): worth trying again. */
  | { readonly kind: 'unavailable' };

/**
 * Has a backend that was given the client's own password refused it? Other refusals (too many connections, a mailbox
 * in use) say nothing of the password.
 */
export function isPasswordRefusal(failure: LoginFailure): boolean {
  if (failure.kind === 'auth') return true;
  if (failure.kind !== 'auth-reply') return false;
  // POP3 and SMTP by their codes; ManageSieve has none for it. IMAP's own are `auth`.
  return /^(?:-ERR \[AUTH\]|535[ -]|NO [^[(])/i.test(failure.line);
}

/** The backend's acceptance, protocol-neutral. */
export interface LoginAccepted {
  /** IMAP: what follows `L OK ` on the backend's line. Others: the whole line, without CRLF. */
  readonly text: string;
  /** IMAP: the backend's capability list if known (greeting or CAPABILITY reply), else ''. */
  readonly capability: string;
}

/** Reason of close() when the client said goodbye itself: nothing to complain of. */
export const LOGGED_OUT = 'logged out before login';

/** Where a client engine puts its effects; calls happen inside engine methods, in order. */
export interface ClientSink {
  /** Bytes for the client (latin1 string). */
  reply(bytes: string): void;
  /** Credentials are complete: the session must answer by loginFailed() or takeOver(). */
  login(credentials: Credentials): void;
  /**
   * Local refusal that must be delayed like a wrong password (auth_failure_delay), and counts as one; ended by
   * loginFailed(). `user`: who was named, '' = nobody.
   */
  refuseLater(user: string): void;
  /** A SCRAM exchange needs the user's keys: the session must answer by scramKeys() or loginFailed(). */
  findScramKeys(user: string, authzid: string): void;
  /** A trusted peer told who the real client is (once, before login). */
  identify(identity: ForwardedIdentity): void;
  /**
   * TLS begins behind what was replied. The engine has forgotten all that was said before, and
   * reads nothing until tlsStarted().
   */
  startTls(): void;
  /** Close after what was replied has been written. `reason` is for the log. */
  close(reason: string): void;
}

/** Server side of one client connection, up to the hand-over. */
export interface ClientEngine {
  /** Sends the greeting. */
  start(): void;
  /** Takes bytes from the client; may be called while a login is pending: it then only buffers. */
  receive(chunk: Buffer): void;
  /** Answers ClientSink.findScramKeys(). `nonce` is random, see ScramServer.keys(). */
  scramKeys(keys: StoredScramKeys, nonce: string): void;
  /** Ends a pending login (or refuseLater()) with a failure reply and goes on with buffered input. */
  loginFailed(failure: LoginFailure): void;
  /** The handshake that startTls() asked for is done; what is known of the connection has changed. */
  tlsStarted(facts: ConnectionFacts): void;
  /**
   * Ends a pending login with success. Returns the final reply for the client; the engine is
   * dead afterwards. What the client sent behind the login is in `pipelined` (untouched bytes).
   */
  takeOver(accepted: LoginAccepted): { reply: string; pipelined: Buffer | null };
  /** What to say when the session ends the connection; '' for nothing. */
  goodbye(reason: EndReason | 'limit'): string;
  /** Is a login, or a refusal that is being delayed, pending? The session reads nothing meanwhile. */
  readonly isPending: boolean;
  /** Bytes held behind a pending login; 0 when none is pending. */
  readonly bufferedBytes: number;
  /** Bytes held in all: half a command, or as bufferedBytes. */
  readonly heldBytes: number;
  /** For BackendLogin. */
  readonly hints: ClientHints;
}

/** What a backend engine needs to log one user in. */
export interface BackendLogin {
  /** Name towards the backend (destuser, else the normalised user name); no NUL, CR or LF. */
  readonly user: string;
  /** For the backend; with OAuth mechanisms the token. No NUL, CR or LF. */
  readonly password: string;
  /** Authentication id of a master user; '' = the user logs in by itself. */
  readonly master: string;
  /** SASL mechanism; '' = the protocol's own command (LOGIN, USER/PASS), or PLAIN where there is none. */
  readonly mechanism: SaslMechanism | '';
  /** proxy_noauth: the backend is told the user, and asks for no password. Submission only. */
  readonly isNoAuth: boolean;
  /** TLS begins by STARTTLS before anything else; without it in the backend's list the login fails. */
  readonly startTls: boolean;
  /** proxy_nopipelining is off. */
  readonly mayPipeline: boolean;
  /** Our name in EHLO. */
  readonly hostname: string;
  /** The backend trusts us: send ID fields or XCLIENT. */
  readonly sendIdentity: boolean;
  readonly facts: ConnectionFacts;
  readonly forward: readonly (readonly [name: string, value: string])[];
  readonly hints: ClientHints;
}

export interface BackendSink {
  /** Bytes for the backend (latin1 string). */
  send(bytes: string): void;
  /** The greeting was good (for stage timing). */
  greeted(): void;
  /**
   * TLS begins behind what was sent; nothing is sent until tlsStarted(). An engine that has more input in
   * the clear behind the backend's consent fails instead.
   */
  startTls(): void;
  /** Whole untagged lines that the client must see before its login reply, with CRLF. */
  forward(bytes: string): void;
  /**
   * Logged in. `rest`: bytes behind the accepting line, for the client, unchanged (or null). It is a
   * view of the chunk: write or copy it before the chunk's buffer is used again.
   */
  accepted(accepted: LoginAccepted, rest: Buffer | null): void;
  /** Not logged in; `detail` is for the log, without secrets. */
  failed(failure: LoginFailure, detail: string): void;
}

/** Client side of one backend connection, up to the hand-over. Dead after accepted() or failed(). */
export interface BackendEngine {
  receive(chunk: Buffer): void;
  /** The handshake that startTls() asked for is done, and the certificate was good. */
  tlsStarted(): void;
  /** For the log when the login times out, e.g. 'banner', 'LOGIN'. */
  readonly state: string;
}

/**
 * Follows what goes through a session that is logged in, so that we can put in a goodbye of our own where the
 * client expects the beginning of a response. It is on the way of every byte: it must neither read bodies nor
 * keep chunks. When it cannot be sure it says nothing: a goodbye within a message would be taken for a part of it.
 */
export interface StreamWatch {
  fromBackend(chunk: Buffer): void;
  fromClient(chunk: Buffer): void;
  /** The goodbye (latin1 string), or '' when this is no place for one. */
  goodbye(reason: EndReason): string;
}

/** The protocols in which one client logs in and then speaks to one backend. LMTP is none of them. */
export type LoginProtocolName = 'imap' | 'pop3' | 'submission' | 'managesieve';

/** One protocol, as the session sees it. */
export interface Protocol {
  readonly name: LoginProtocolName;
  createClient(
    facts: ConnectionFacts,
    options: ClientEngineOptions,
    sink: ClientSink,
  ): ClientEngine;
  createBackend(login: BackendLogin, sink: BackendSink): BackendEngine;
  /** For one session, from its hand-over on; null for a protocol in which only commands are answered. */
  createWatch(): StreamWatch | null;
}
