import type { CommonPassdbSettings } from './passdb-settings.ts';
import type { SqlDialect } from './sql-template.ts';

/** TLS to a database server. */
export interface DatabaseTls {
  /** Authorities of the server's certificate, PEM; '' = the system's. */
  readonly ca: string;
  /** The certificate must be signed by one of them, and name the server. */
  readonly verify: boolean;
}

/** A table, or a view, of users. Queries are checked: they can be compiled. */
export interface SqlPassdbSettings extends CommonPassdbSettings {
  readonly driver: 'sql';
  readonly dialect: SqlDialect;
  /** Names, addresses or paths of unix sockets, tried in this order; SQLite: the file's absolute path. */
  readonly servers: readonly string[];
  readonly port: number;
  readonly dbname: string;
  readonly user: string;
  /** A latin1 string, as all secrets. */
  readonly password: string;
  /** Null: not encrypted. */
  readonly tls: DatabaseTls | null;
  readonly passwordQuery: string;
  /** For look-ups without a password; '' = passwordQuery serves them too. */
  readonly userQuery: string;
  /** Upper case. */
  readonly defaultPassScheme: string;
  /** Connections of each worker. */
  readonly poolSize: number;
  /** For one question, with all that it waits for. */
  readonly timeoutMs: number;
  /** For one connection to one server. */
  readonly connectTimeoutMs: number;
}

/** A directory. Filters, names and lists of attributes are checked: they can be compiled. */
export interface LdapPassdbSettings extends CommonPassdbSettings {
  readonly driver: 'ldap';
  /** `ldap://HOST:PORT`, `ldaps://HOST:PORT` or `ldapi://PATH` (percent-encoded), tried in this order. */
  readonly uris: readonly string[];
  /** StartTLS on `ldap:` and `ldapi:` connections. */
  readonly startTls: boolean;
  readonly tls: DatabaseTls;
  /** Who searches; '' = anybody may. */
  readonly dn: string;
  /** A latin1 string. */
  readonly dnpass: string;
  /** The directory verifies passwords (bind); otherwise we do, with the attribute that holds them. */
  readonly authBind: boolean;
  /** Name of the user's entry, which is not searched then; '' = it is. */
  readonly authBindUserdn: string;
  readonly base: string;
  readonly scope: 'base' | 'onelevel' | 'subtree';
  readonly passFilter: string;
  readonly passAttrs: string;
  /** For look-ups without a password; '' = passFilter and passAttrs serve them too. */
  readonly userFilter: string;
  readonly userAttrs: string;
  readonly defaultPassScheme: string;
  readonly poolSize: number;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
}
