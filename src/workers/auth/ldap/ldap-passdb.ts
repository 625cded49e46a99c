import type { LdapPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { utf8Text } from '../../../shared/variable-template.ts';
import type { SaslMechanism } from '../../../shared/wire/sasl.ts';
import type { PassdbEnvironment } from '../create-passdb.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { isSet } from '../passdb-chain.ts';
import type { StoredPassword } from '../password-checker.ts';
import { isCacheable, joinUserFields, queryVariables } from '../query-variables.ts';
import { LdapDirectory, LdapSearchTemplate } from './ldap-directory.ts';

type LookUp =
  /** `password` is null when the entry has none, or none that we may see. */
  | {
      readonly kind: 'found';
      readonly dn: string;
      readonly fields: Map<string, string>;
      readonly password: string | null;
    }
  | { readonly kind: 'unknown-user' }
  | { readonly kind: 'failed'; readonly detail: string };

/** Users of a directory, with the settings of Dovecot 2.3 (passdb-ldap.c, db-ldap.c). */
export class LdapPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[];
  readonly isCached: boolean;
  readonly #settings: LdapPassdbSettings;
  readonly #environment: PassdbEnvironment;
  readonly #directory: LdapDirectory;
  readonly #passSearch: LdapSearchTemplate;
  readonly #userSearch: LdapSearchTemplate;

  constructor(settings: LdapPassdbSettings, environment: PassdbEnvironment) {
    const { passFilter, passAttrs, userFilter, userAttrs } = settings;
    this.name = settings.name;
    // A directory that keeps its passwords to itself does not tell what SCRAM needs.
    this.mechanisms = settings.authBind
      ? ['PLAIN', 'LOGIN', 'EXTERNAL']
      : ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'EXTERNAL'];
    this.#settings = settings;
    this.#environment = environment;
    this.#directory = new LdapDirectory(settings);
    this.#passSearch = new LdapSearchTemplate(passFilter, passAttrs);
    this.#userSearch =
      userFilter === '' ? this.#passSearch : new LdapSearchTemplate(userFilter, userAttrs);
    const { nameParts } = this.#directory;
    this.isCached = isCacheable([
      ...nameParts,
      ...this.#passSearch.parts,
      ...this.#userSearch.parts,
    ]);
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    const deadlineMs = this.#environment.now() + this.#settings.timeoutMs;
    switch (query.kind) {
      case 'verify':
        return this.#settings.authBind
          ? await this.#verifyByBind(query, deadlineMs)
          : await this.#verifyHere(query, deadlineMs);
      case 'look-up': {
        const found = await this.#lookUp(query, this.#userSearch, deadlineMs);
        return found.kind === 'found' ? { kind: 'ok', fields: found.fields } : found;
      }
      case 'credentials':
        return await this.#credentials(query, deadlineMs);
    }
  }

  async close(): Promise<void> {
    this.#directory.close();
  }

  async #verifyByBind(query: PassdbQuery, deadlineMs: number): Promise<PassdbAnswer> {
    // Directories take a bind with an empty password for an anonymous one, and say yes to it. As some take a
    // NUL for the end of a text, that is no password either.
    const password = utf8Text(query.secret);
    if (password === null || password === '') return { kind: 'mismatch' };
    if (this.#settings.authBindUserdn === '') {
      const found = await this.#lookUp(query, this.#passSearch, deadlineMs);
      if (found.kind !== 'found') return found;
      const { dn, fields } = found;
      const bound = await this.#directory.bind(dn, password, this.#remainingMs(deadlineMs));
      return bound.kind === 'ok' ? { kind: 'ok', fields } : bound;
    }
    const values = queryVariables(query);
    const bound = await this.#directory.bindTemplate(
      values,
      password,
      this.#remainingMs(deadlineMs),
    );
    if (bound.kind !== 'ok') return bound;
    // Look-ups give these fields too: a user must not have others here, e.g. another director_tag.
    if (this.#passSearch.fields.length === 0) return { kind: 'ok', fields: new Map() };
    const found = await this.#lookUp(query, this.#passSearch, deadlineMs);
    return found.kind === 'found' ? { kind: 'ok', fields: found.fields } : found;
  }

  async #verifyHere(query: PassdbQuery, deadlineMs: number): Promise<PassdbAnswer> {
    const { passwords } = this.#environment;
    const found = await this.#lookUp(query, this.#passSearch, deadlineMs);
    if (found.kind === 'unknown-user') await passwords.verifyNobody(this.name, query.secret);
    if (found.kind !== 'found') return found;
    const { fields, password } = found;
    if (isSet(fields, 'nopassword')) {
      if (password === null || password === '') return { kind: 'ok', fields };
      return { kind: 'failed', detail: 'nopassword is set, but the password is not empty' };
    }
    if (password === null) return { kind: 'mismatch', fields };
    const verdict = await passwords.verify(this.#stored(password), query.secret);
    if (verdict.kind === 'failed') return verdict;
    return { kind: verdict.kind === 'match' ? 'ok' : 'mismatch', fields };
  }

  async #credentials(query: PassdbQuery, deadlineMs: number): Promise<PassdbAnswer> {
    const found = await this.#lookUp(query, this.#passSearch, deadlineMs);
    if (found.kind !== 'found') return found;
    const { fields, password } = found;
    if (password === null) return { kind: 'ok', fields, scram: null };
    const { passwords } = this.#environment;
    const scram = await passwords.scramSecret(this.#stored(password), query.user);
    if (scram !== null && 'kind' in scram) return scram;
    return { kind: 'ok', fields, scram };
  }

  async #lookUp(
    query: PassdbQuery,
    template: LdapSearchTemplate,
    deadlineMs: number,
  ): Promise<LookUp> {
    const timeoutMs = this.#remainingMs(deadlineMs);
    const found = await this.#directory.search(template, queryVariables(query), timeoutMs);
    if (found.kind !== 'found') return found;
    const { dn, fields } = found;
    // With auth_bind whatever comes as a password is left out of account, as Dovecot does it.
    const password = this.#settings.authBind ? null : (fields.get('password') ?? null);
    fields.delete('password');
    for (const name of fields.keys()) if (name.startsWith('userdb_')) fields.delete(name);
    joinUserFields(fields, query.user);
    return { kind: 'found', dn, fields, password };
  }

  #stored(text: string): StoredPassword {
    const { name: database, defaultPassScheme: defaultScheme } = this.#settings;
    return { database, text, defaultScheme };
  }

  #remainingMs(deadlineMs: number): number {
    return Math.max(1, deadlineMs - this.#environment.now());
  }
}
