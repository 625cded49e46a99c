import type { PasswordJob, PasswordJobResult } from '../../shared/passwords/password-job.ts';
import { parseScramSecret, SCRAM_ITERATIONS } from '../../shared/passwords/scram-secret.ts';
import { parseStoredPassword } from '../../shared/passwords/stored-password.ts';
import type { ScramSecret } from './passdb.ts';

/** A password that a database has: `{SCHEME}…`, or in `defaultScheme` without. latin1 strings. */
export interface StoredPassword {
  /** Name of the database. */
  readonly database: string;
  readonly text: string;
  /** Upper case. */
  readonly defaultScheme: string;
}

export type PasswordVerdict =
  | { readonly kind: 'match' | 'mismatch' }
  /** Nothing is known: never taken for a wrong password. `detail` is without secrets. */
  | { readonly kind: 'failed'; readonly detail: string };

/** Takes the time of most databases' schemes. */
const USUAL_PASSWORD =
  '{SHA512-CRYPT}$6$R1SKpsLS/4xMhZTY$YVb6LA6HKcD8TOrzrDeC0x3Zl5mIAPQwThHqXHsXxMu' +
  'Nk9B0Y/HKVH6ExhVDk/qZ1OOCA5fPZ3NbYWnAHzHEK1';

/** Verifies what databases have stored. Hashing is done elsewhere: `run` never rejects. */
export class PasswordChecker {
  readonly #run: (job: PasswordJob) => Promise<PasswordJobResult>;
  readonly #scramSalt: (user: string) => Uint8Array;
  /** Of each database the last password it had for somebody: an unknown user shall take as long. */
  readonly #samples = new Map<string, StoredPassword>();

  /** @param scramSalt the same for a user at all times, and unpredictable */
  constructor(
    run: (job: PasswordJob) => Promise<PasswordJobResult>,
    scramSalt: (user: string) => Uint8Array,
  ) {
    this.#run = run;
    this.#scramSalt = scramSalt;
  }

  async verify(stored: StoredPassword, secret: string): Promise<PasswordVerdict> {
    this.#samples.set(stored.database, stored);
    return await this.#verify(stored, secret);
  }

  async #verify({ text, defaultScheme }: StoredPassword, secret: string): Promise<PasswordVerdict> {
    const { scheme, stored } = parseStoredPassword(text, defaultScheme);
    // Dovecot: a user with an empty password field has none that would fit.
    if (stored === '') return { kind: 'mismatch' };
    const result = await this.#run({ kind: 'verify', scheme, stored, secret });
    switch (result.kind) {
      case 'match':
      case 'mismatch':
        return result;
      case 'scram':
        return { kind: 'failed', detail: 'a wrong answer of the password threads' };
      case 'invalid':
      case 'failed':
        return { kind: 'failed', detail: result.detail };
    }
  }

  /** Takes as long as verify() with a wrong password, for a user that the database does not have. */
  async verifyNobody(database: string, secret: string): Promise<void> {
    const usual = { database, text: USUAL_PASSWORD, defaultScheme: 'CRYPT' };
    await this.#verify(this.#samples.get(database) ?? usual, secret);
  }

  /** Keys of SCRAM-SHA-256: as stored, or made of a plain password. Null: no scheme that has them. */
  async scramSecret(
    password: StoredPassword,
    user: string,
  ): Promise<ScramSecret | null | { readonly kind: 'failed'; readonly detail: string }> {
    this.#samples.set(password.database, password);
    return await this.#scramSecret(password, user);
  }

  /** As verifyNobody(), for scramSecret(). */
  async scramNobody(database: string, user: string): Promise<void> {
    const sample = this.#samples.get(database);
    if (sample !== undefined) await this.#scramSecret(sample, user);
  }

  async #scramSecret(
    { text, defaultScheme }: StoredPassword,
    user: string,
  ): Promise<ScramSecret | null | { readonly kind: 'failed'; readonly detail: string }> {
    const { scheme, stored } = parseStoredPassword(text, defaultScheme);
    if (scheme === 'SCRAM-SHA-256') {
      const parsed = parseScramSecret(stored);
      if (parsed === null) return { kind: 'failed', detail: 'stored SCRAM-SHA-256 keys not valid' };
      return { mechanism: 'SCRAM-SHA-256', ...parsed };
    }
    if ((scheme !== 'PLAIN' && scheme !== 'CLEARTEXT') || stored === '') return null;
    const salt = this.#scramSalt(user);
    const iterations = SCRAM_ITERATIONS;
    const keys = await this.#run({ kind: 'scram', password: stored, salt, iterations });
    if (keys.kind === 'scram') {
      const { storedKey, serverKey } = keys;
      return { mechanism: 'SCRAM-SHA-256', iterations, salt, storedKey, serverKey };
    }
    return { kind: 'failed', detail: 'detail' in keys ? keys.detail : 'no keys' };
  }
}
