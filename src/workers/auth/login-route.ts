import type { TlsMode } from '../../shared/messages.ts';
import type { StoredScramKeys } from '../../shared/passwords/scram-secret.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { ConnectionFacts, Credentials, LoginFailure } from '../protocols/engine.ts';

/** Where a user goes, and how it is logged in there: what the user databases make of credentials. */
export interface LoginRoute {
  /** Normalised; the user of the directory, whatever the backend calls it. */
  readonly user: string;
  /** director_tag; '' = none. */
  readonly tag: string;
  /** Name towards the backend (destuser). */
  readonly backendUser: string;
  /** Password or token for the backend. */
  readonly password: string;
  /** Master user that logs in for `backendUser`; '' = none. */
  readonly master: string;
  /** '' = the protocol's own command. */
  readonly mechanism: SaslMechanism | '';
  /** proxy_noauth */
  readonly isNoAuth: boolean;
  /** Off with proxy_nopipelining. */
  readonly mayPipeline: boolean;
  /** Off with proxy_not_trusted, and where the configuration says that backends do not trust us. */
  readonly sendIdentity: boolean;
  /** forward_<name> fields, besides those that a trusted peer gave. */
  readonly forward: readonly (readonly [name: string, value: string])[];
  /** Address that the database insists on; null = the directory chooses, as it should. */
  readonly host: string | null;
  /** Name in the certificate of such a host; '' = as the configuration has it. */
  readonly hostName: string;
  /** Null: as configured for the protocol; also below. */
  readonly port: number | null;
  readonly tls: TlsMode | null;
  /** False: whatever the certificate (any-cert). */
  readonly verifiesTls: boolean | null;
  readonly timeoutMs: number | null;
  /** user_<name>: other names by which the user's sessions can be kicked. */
  readonly names: Readonly<Record<string, string>>;
}

/** What is asked of the user databases. */
export interface AuthRequest {
  /** Normalised user name of who is to be logged in: the authorisation id if there is one. */
  readonly user: string;
  /** Normalised user name of who proves to be somebody; differs from `user` with a master user only. */
  readonly authUser: string;
  readonly credentials: Credentials;
  readonly protocol: 'imap' | 'pop3' | 'submission' | 'managesieve' | 'lmtp';
  readonly facts: ConnectionFacts;
}

export type AuthVerdict =
  /** `receipt`: the backend verifies what the client sent, so its answer is to be told to backendAnswered(). */
  | { readonly kind: 'route'; readonly route: LoginRoute; readonly receipt: LoginReceipt | null }
  /** `detail` is for the log. Answered when the delay for failures is over: that is the authenticator's. */
  | { readonly kind: 'failed'; readonly failure: LoginFailure; readonly detail: string };

/** A login that a backend is going to judge. Without secrets. */
export interface LoginReceipt {
  readonly user: string;
  readonly remoteIp: string;
  /** Of user and password, 16 bits. */
  readonly checksum: number;
  readonly beganMs: number;
}

/** Who a SCRAM exchange is with. */
export type ScramRequest = Omit<AuthRequest, 'credentials'> & {
  /** As the client wrote it. */
  readonly originalUser: string;
};

export type ScramVerdict =
  /** Somebody who is not there has keys too: they fit no password. */
  | { readonly kind: 'keys'; readonly keys: StoredScramKeys }
  | { readonly kind: 'failed'; readonly failure: LoginFailure; readonly detail: string };

/** Who somebody is looked up for without any password: LMTP's recipients. */
export interface UserRequest {
  /** Normalised. */
  readonly user: string;
  /** As it was given. */
  readonly originalUser: string;
  readonly protocol: AuthRequest['protocol'];
  readonly facts: ConnectionFacts;
}

export type UserVerdict =
  /** `password` is '' unless the databases have one for the backend. */
  | { readonly kind: 'route'; readonly route: LoginRoute }
  /** No database has the user. */
  | { readonly kind: 'unknown-user' }
  /** `failure.kind` is `unavailable`, `internal` or `disabled`; `detail` is for the log. */
  | { readonly kind: 'failed'; readonly failure: LoginFailure; readonly detail: string };

/** The databases of the configuration, in order, with cache, delays and penalties. Never rejects. */
export interface Authenticator {
  authenticate(request: AuthRequest): Promise<AuthVerdict>;
  /** Where a user's mail goes: no password, no delay, no penalty. A passthrough database has every user. */
  findUser(request: UserRequest): Promise<UserVerdict>;
  /** For a SCRAM exchange; when the client has proved to have the password, authenticate() follows. */
  findScramKeys(request: ScramRequest): Promise<ScramVerdict>;
  /**
   * A login that was refused before any database was asked, or an exchange that proved nothing: counts as a wrong
   * password, and resolves when the delay is over. `user`: who was named, '' = nobody.
   */
  refuse(user: string, facts: ConnectionFacts): Promise<void>;
  /** The backend's word on credentials that were passed on. How long the client must wait for a refusal, ms. */
  backendAnswered(receipt: LoginReceipt, isAccepted: boolean): number;
  /** What it remembers of answers counts no more. */
  forget(): void;
  close(): Promise<void>;
}
