import type { TlsMode } from '../../shared/messages.ts';
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
  readonly credentials: Credentials;
  readonly protocol: 'imap' | 'pop3' | 'submission' | 'managesieve' | 'lmtp';
  readonly facts: ConnectionFacts;
}

export type AuthVerdict =
  | { readonly kind: 'route'; readonly route: LoginRoute }
  /** `detail` is for the log. Answered when the delay for failures is over: that is the authenticator's. */
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
}

/** The backend verifies: the user's own credentials, by the mechanism they came with. */
export function passthroughRoute(
  user: string,
  credentials: Credentials,
  backend: { readonly isTrusting: boolean; readonly useSasl: boolean },
): LoginRoute {
  const isToken = credentials.mechanism === 'XOAUTH2' || credentials.mechanism === 'OAUTHBEARER';
  const ownMechanism = backend.useSasl ? 'PLAIN' : '';
  return {
    user,
    tag: '',
    backendUser: user,
    password: credentials.password,
    master: '',
    mechanism: isToken ? (credentials.mechanism as SaslMechanism) : ownMechanism,
    isNoAuth: false,
    mayPipeline: true,
    sendIdentity: backend.isTrusting,
    forward: [],
    host: null,
    port: null,
    tls: null,
    verifiesTls: null,
    timeoutMs: null,
    names: {},
  };
}
