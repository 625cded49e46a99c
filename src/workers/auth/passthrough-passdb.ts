import type { PassthroughSettings } from '../../shared/passdb-settings.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from './passdb.ts';

/** The backend verifies: knows every user, takes any secret, and passes it on. */
export class PassthroughPassdb implements Passdb {
  readonly name: string;
  readonly isCached = false;
  readonly mechanisms: readonly SaslMechanism[] = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'];

  constructor(settings: PassthroughSettings) {
    this.name = settings.name;
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    // Only who sends a secret has one to pass on.
    if (query.kind === 'credentials') return { kind: 'unknown-user' };
    return { kind: 'ok', fields: new Map([['nopassword', 'y']]) };
  }

  async close(): Promise<void> {
    // Holds nothing.
  }
}
