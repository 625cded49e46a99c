import type { LdapPassdbSettings, SqlPassdbSettings } from './database-passdb-settings.ts';
import type {
  DovecotAuthSettings,
  HttpPassdbSettings,
  Oauth2Settings,
} from './remote-passdb-settings.ts';
import type { SaslMechanism } from './wire/sasl.ts';

/**
 * Settings of the user databases as the workers get them: checked, defaults filled in, contents of files where
 * main has read them. One interface per driver, told apart by `driver`.
 */
export type PassdbSettings =
  | PassthroughSettings
  | PasswdFileSettings
  | HttpPassdbSettings
  | Oauth2Settings
  | DovecotAuthSettings
  | SqlPassdbSettings
  | LdapPassdbSettings;

/** What every driver has. */
export interface CommonPassdbSettings {
  /** For the log and the cache: unique among the databases of the configuration. */
  readonly name: string;
  /** Fields (Dovecot's passdb fields) that apply unless the database says something else. */
  readonly defaultFields: Readonly<Record<string, string>>;
  /** Fields that apply whatever the database says. */
  readonly overrideFields: Readonly<Record<string, string>>;
  /** Only asked about master users: who may log in as another one, with an authorisation id. */
  readonly isMaster: boolean;
}

/** The backend verifies. */
export interface PassthroughSettings extends CommonPassdbSettings {
  readonly driver: 'passthrough';
}

/** A file of users in the format of Dovecot's passwd-file. */
export interface PasswdFileSettings extends CommonPassdbSettings {
  readonly driver: 'passwd-file';
  /** Absolute. Read by the workers, and again when it changes. */
  readonly path: string;
  /** Scheme of passwords without a `{SCHEME}` of their own; upper case. */
  readonly defaultScheme: string;
}

/** What the workers do around the databases. */
export interface AuthSettings {
  /** auth_mechanisms: what clients are offered, as far as the databases can do with it. */
  readonly mechanisms: readonly SaslMechanism[];
  /** auth_master_user_separator: `user*master` in a login name; '' = none. */
  readonly masterUserSeparator: string;
  readonly failureDelayMs: number;
  /** Failures of a client network make its next logins wait. */
  readonly hasNetworkPenalty: boolean;
  /** Failures of a user from anywhere make its next logins wait. */
  readonly hasUserPenalty: boolean;
  /** Bytes, about; 0 = nothing is remembered. Of each worker. */
  readonly cacheBytes: number;
  readonly cacheTtlMs: number;
  readonly cacheNegativeTtlMs: number;
  /** Logins at a time that are with the databases or being delayed, in each worker. */
  readonly maxLoginsPerUser: number;
  readonly maxLoginsPerNetwork: number;
  /** 32 bytes, the same in all workers: what users that do not exist are shown of (SCRAM salts). */
  readonly secret: Uint8Array;
}
