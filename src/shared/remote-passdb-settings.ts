import type { CommonPassdbSettings } from './passdb-settings.ts';
import type { SaslMechanism } from './wire/sasl.ts';

/** Where a server that speaks HTTP is, and how it is spoken to. */
export interface HttpServerSettings {
  /** http: or https:, without user name, password and fragment. */
  readonly url: string;
  /** Further headers of every request, e.g. a shared secret; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Authorities of the server's certificate, PEM; '' = those of the system. */
  readonly ca: string;
  readonly timeoutMs: number;
}

/** An HTTP server is asked at each login. */
export interface HttpPassdbSettings extends CommonPassdbSettings {
  readonly driver: 'http';
  readonly server: HttpServerSettings;
  /** The headers of nginx's auth_http, or a JSON document. */
  readonly style: 'nginx' | 'json';
  /** What the server can verify. */
  readonly mechanisms: readonly SaslMechanism[];
  /** nginx: Auth-Server and Auth-Port count, and not the directory. */
  readonly usesAuthServer: boolean;
  /** The texts of refusals are for the client. */
  readonly showsReason: boolean;
}

/** Tokens are verified by the keys of who issues them, or by asking it. */
export interface Oauth2Settings extends CommonPassdbSettings {
  readonly driver: 'oauth2';
  readonly verification:
    | {
        readonly kind: 'jwks';
        readonly server: HttpServerSettings;
        /** Names of JWA, asymmetric ones only. */
        readonly algorithms: readonly string[];
      }
    | {
        readonly kind: 'introspection';
        readonly server: HttpServerSettings;
        readonly clientId: string;
        readonly clientSecret: string;
      };
  /** One of them must have issued the token; none: not checked. */
  readonly issuers: readonly string[];
  /** The token must be for one of them; none: not checked. */
  readonly audiences: readonly string[];
  /** All of them must be in the token's scope. */
  readonly scopes: readonly string[];
  /** The claim, or member of the introspection's answer, that names the user. */
  readonly usernameClaim: string;
  /** How far the clock of who issued the token may be off. */
  readonly clockToleranceSecs: number;
  /** A token that was verified is taken for good so long, and never longer than it says; 0 = not at all. */
  readonly cacheMs: number;
  /** Document with the provider's configuration, told to clients whose token is no good; '' = none. */
  readonly openidConfigurationUrl: string;
  /** Null: the backend gets the token. Otherwise a master user logs in there. */
  readonly master: { readonly user: string; readonly password: string } | null;
  /** Users whose token is not at hand (recipients of LMTP) are taken for ours, whoever they are. */
  readonly looksUpAnyUser: boolean;
}

/** A Dovecot auth process is asked. */
export interface DovecotAuthSettings extends CommonPassdbSettings {
  readonly driver: 'dovecot-auth';
  /** An auth-client socket. */
  readonly socket: AuthSocketAddress;
  /** A userdb or master socket, for users whose password is not at hand: LMTP; null = there is none. */
  readonly masterSocket: AuthSocketAddress | null;
  readonly timeoutMs: number;
  readonly mechanisms: readonly SaslMechanism[];
}

export type AuthSocketAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };
