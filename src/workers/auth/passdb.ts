import type { ProtocolName } from '../../shared/messages.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';

/** One question to a user database. Strings are latin1 strings: one character per byte of the wire (UTF-8 mostly). */
export interface PassdbQuery {
  /** Normalised. */
  readonly user: string;
  /** As the client wrote it. */
  readonly originalUser: string;
  /**
   * - `verify`: is `secret` the user's password (or a valid token, with an OAuth mechanism)?
   * - `look-up`: the user's fields, without any password: LMTP recipients, and who an exchange or a master
   *   user has vouched for
   * - `credentials`: as look-up, and what SCRAM needs to know of the password
   */
  readonly kind: 'verify' | 'look-up' | 'credentials';
  /** Password or token; '' unless `verify`. */
  readonly secret: string;
  /** Mechanism or command as in Credentials.mechanism; '' for LMTP. */
  readonly mechanism: string;
  readonly protocol: ProtocolName;
  readonly facts: ConnectionFacts;
}

/** Dovecot's passdb fields by name, e.g. `host`, `destuser`, `director_tag`, `nologin`, `forward_x`; values may be ''. */
export type PassdbFields = ReadonlyMap<string, string>;

/** What SCRAM-SHA-256 needs (RFC 5802), as stored. */
export interface ScramSecret {
  readonly mechanism: SaslMechanism & 'SCRAM-SHA-256';
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export type PassdbAnswer =
  /** Verified, or found. `scram`: only for `credentials`, null when the password is stored in another way. */
  | { readonly kind: 'ok'; readonly fields: PassdbFields; readonly scram?: ScramSecret | null }
  /** The next database is asked. */
  | { readonly kind: 'unknown-user' }
  /** The user is here, and the secret is not its own. The next database is asked, as Dovecot does. */
  | {
      readonly kind: 'mismatch';
      /** Only `nodelay` counts. */
      readonly fields?: PassdbFields;
      /** For the client, whoever it is: only where the database means it to be. As in LoginFailure. */
      readonly reason?: string;
    }
  /** nologin, or a password that has expired; nobody else is asked. `reason` as in LoginFailure. */
  | { readonly kind: 'disabled' | 'expired'; readonly reason?: string }
  /**
   * OAuth: the token is no good; `challenge` is the JSON for the client (RFC 7628 3.2.3), `detail` for the log
   * says what was wrong, as clients are not told.
   */
  | { readonly kind: 'bad-token'; readonly challenge: string; readonly detail?: string }
  /** No answer: never taken for a wrong password. `detail` for the log, without secrets. */
  | { readonly kind: 'failed'; readonly detail: string };

/** A user database, as the authenticator sees it. */
export interface Passdb {
  readonly name: string;
  /** Of those in `saslMechanisms`: what it can be asked with `verify` and `credentials`. */
  readonly mechanisms: readonly SaslMechanism[];
  /** False: its answers are not kept in the cache (auth_cache_size), as it is fast or has one of its own. */
  readonly isCached?: boolean;
  /** Never rejects, and answers within its own time limit. */
  query(query: PassdbQuery): Promise<PassdbAnswer>;
  /** Ends its connections; queries that are on their way answer `failed`. */
  close(): Promise<void>;
}
