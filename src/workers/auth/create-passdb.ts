import type { PassdbSettings } from '../../shared/passdb-settings.ts';
import type { UserNameRules } from '../../shared/user-name.ts';
import { DovecotAuthPassdb } from './dovecot-auth/dovecot-auth-passdb.ts';
import { HttpPassdb } from './http/http-passdb.ts';
import { LdapPassdb } from './ldap/ldap-passdb.ts';
import { Oauth2Passdb } from './oauth2/oauth2-passdb.ts';
import type { Passdb } from './passdb.ts';
import { PassthroughPassdb } from './passthrough-passdb.ts';
import { PasswdFilePassdb } from './passwd-file-passdb.ts';
import type { PasswordChecker } from './password-checker.ts';
import { SqlPassdb } from './sql/sql-passdb.ts';

/** What a driver may use of its worker. */
export interface PassdbEnvironment {
  /** How names of users that a database gives become names of ours. */
  readonly userNames: UserNameRules;
  /** Verifies stored passwords, off the session threads. */
  readonly passwords: PasswordChecker;
  /** Text without secrets. */
  log(level: 'debug' | 'info' | 'warn' | 'error', text: string): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

/** One database of the configuration. Opens nothing yet: a database that is down fails queries, not the start. */
export function createPassdb(settings: PassdbSettings, environment: PassdbEnvironment): Passdb {
  switch (settings.driver) {
    case 'passthrough':
      return new PassthroughPassdb(settings);
    case 'passwd-file':
      return new PasswdFilePassdb(settings, environment);
    case 'sql':
      return new SqlPassdb(settings, environment);
    case 'ldap':
      return new LdapPassdb(settings, environment);
    case 'http':
      return new HttpPassdb(settings);
    case 'oauth2':
      return new Oauth2Passdb(settings, environment);
    case 'dovecot-auth':
      return new DovecotAuthPassdb(settings);
  }
}
