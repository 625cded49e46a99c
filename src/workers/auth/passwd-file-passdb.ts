import type { PasswdFileSettings } from '../../shared/passdb-settings.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { PassdbEnvironment } from './create-passdb.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from './passdb.ts';
import { PasswdFile } from './passwd-file.ts';
import type { PasswdUser } from './passwd-line.ts';

/** Users of a file in the format of Dovecot's passwd-file. */
export class PasswdFilePassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[] = ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'EXTERNAL'];
  readonly #settings: PasswdFileSettings;
  readonly #environment: PassdbEnvironment;
  readonly #file: PasswdFile;

  constructor(settings: PasswdFileSettings, environment: PassdbEnvironment) {
    this.name = settings.name;
    this.#settings = settings;
    this.#environment = environment;
    this.#file = new PasswdFile(settings.path, environment);
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    const found = await this.#file.find(query.user);
    if (found.kind === 'failed') return found;
    const { user } = found;
    switch (query.kind) {
      case 'verify':
        return await this.#verify(user, query.secret);
      case 'look-up':
        return user === null ? { kind: 'unknown-user' } : { kind: 'ok', fields: user.fields };
      case 'credentials':
        return user === null ? { kind: 'unknown-user' } : await this.#credentials(user, query.user);
    }
  }

  async #verify(user: PasswdUser | null, secret: string): Promise<PassdbAnswer> {
    const { passwords } = this.#environment;
    if (user === null) {
      await passwords.verifyNobody(this.name, secret);
      return { kind: 'unknown-user' };
    }
    const { fields } = user;
    // The backend verifies (Dovecot wants the password field to be empty then).
    if (fields.has('nopassword') && user.password === '') return { kind: 'ok', fields };
    const verdict = await passwords.verify(this.#stored(user), secret);
    if (verdict.kind === 'failed') return verdict;
    return verdict.kind === 'match' ? { kind: 'ok', fields } : { kind: 'mismatch', fields };
  }

  async #credentials(user: PasswdUser, name: string): Promise<PassdbAnswer> {
    const scram = await this.#environment.passwords.scramSecret(this.#stored(user), name);
    if (scram !== null && 'kind' in scram) return scram;
    return { kind: 'ok', fields: user.fields, scram };
  }

  #stored(user: PasswdUser) {
    const { name: database, defaultScheme } = this.#settings;
    return { database, text: user.password, defaultScheme };
  }

  async close(): Promise<void> {
    // The file is open only while it is being read.
  }
}
