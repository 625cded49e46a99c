import type { PasswdFileSettings } from '../../shared/passdb-settings.ts';
import type { SaslMechanism } from '../../shared/wire/sasl.ts';
import type { PassdbEnvironment } from './create-passdb.ts';
import { expandFields } from './expand-fields.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from './passdb.ts';
import { isSet } from './passdb-chain.ts';
import { PasswdFile } from './passwd-file.ts';
import type { PasswdUser } from './passwd-line.ts';

/** Users of a file in the format of Dovecot's passwd-file. */
export class PasswdFilePassdb implements Passdb {
  readonly name: string;
  readonly isCached = false;
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
    const user = expanded(found.user, query);
    if (user === 'invalid') {
      return { kind: 'failed', detail: 'a field of the user has a % that is no variable' };
    }
    switch (query.kind) {
      case 'verify':
        return await this.#verify(user, query.secret);
      case 'look-up':
        return user === null ? { kind: 'unknown-user' } : { kind: 'ok', fields: user.fields };
      case 'credentials':
        return await this.#credentials(user, query.user);
    }
  }

  async #verify(user: PasswdUser | null, secret: string): Promise<PassdbAnswer> {
    const { passwords } = this.#environment;
    if (user === null) {
      await passwords.verifyNobody(this.name, secret);
      return { kind: 'unknown-user' };
    }
    const { fields } = user;
    // The backend verifies.
    if (isSet(fields, 'nopassword')) {
      if (user.password === '') return { kind: 'ok', fields };
      return { kind: 'failed', detail: 'nopassword is set for a user who has a password' };
    }
    const verdict = await passwords.verify(this.#stored(user), secret);
    if (verdict.kind === 'failed') return verdict;
    return verdict.kind === 'match' ? { kind: 'ok', fields } : { kind: 'mismatch', fields };
  }

  async #credentials(user: PasswdUser | null, name: string): Promise<PassdbAnswer> {
    const { passwords } = this.#environment;
    if (user === null) {
      await passwords.scramNobody(this.name, name);
      return { kind: 'unknown-user' };
    }
    const scram = await passwords.scramSecret(this.#stored(user), name);
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

/** Dovecot's variables in the values of fields: `destuser=%n`. */
function expanded(user: PasswdUser | null, query: PassdbQuery): PasswdUser | null | 'invalid' {
  if (user === null || user.fields.size === 0) return user;
  const fields = expandFields([...user.fields], query);
  return fields === null ? 'invalid' : { password: user.password, fields };
}
