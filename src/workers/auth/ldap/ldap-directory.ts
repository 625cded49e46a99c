import type { LdapPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import {
  type AttributeField,
  attributeFields,
  attributeNames,
  parseAttributes,
} from '../../../shared/ldap-attributes.ts';
import { expandDn } from '../../../shared/ldap-dn.ts';
import {
  type FilterTemplate,
  filterParts,
  parseFilterTemplate,
} from '../../../shared/ldap-filter.ts';
import {
  parseTemplate,
  type TemplatePart,
  type VariableValues,
} from '../../../shared/variable-template.ts';
import { ConnectionPool, errorText } from '../connection-pool.ts';
import { connectLdap, type LdapConnection, resultCode, resultCodes } from './ldap-connection.ts';
import { buildFilter } from './search-filter.ts';

/** What a name says that cannot be one, or that nothing has. */
const NO_SUCH_NAME: readonly number[] = [
  resultCodes.noSuchObject,
  resultCodes.invalidDnSyntax,
  resultCodes.namingViolation,
];
const WRONG_PASSWORD: readonly number[] = [
  resultCodes.invalidCredentials,
  // An entry without a password.
  resultCodes.inappropriateAuthentication,
];

/** What is searched for, and what becomes of it. */
export class LdapSearchTemplate {
  readonly filter: FilterTemplate;
  readonly fields: readonly AttributeField[];
  readonly attributes: readonly string[];

  constructor(filter: string, attributes: string) {
    this.filter = parseFilterTemplate(filter);
    this.fields = parseAttributes(attributes);
    this.attributes = attributeNames(this.fields);
  }

  /** Whatever it is made of. */
  get parts(): TemplatePart[] {
    const texts = this.fields.flatMap(({ parts }) => {
      return parts.filter((part) => typeof part === 'string' || 'name' in part);
    });
    return [...filterParts(this.filter), ...texts];
  }
}

export type DirectoryFailure =
  | { readonly kind: 'unknown-user' }
  | { readonly kind: 'failed'; readonly detail: string };

export type SearchOutcome =
  | { readonly kind: 'found'; readonly dn: string; readonly fields: Map<string, string> }
  | DirectoryFailure;

export type BindOutcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'mismatch' }
  | DirectoryFailure;

const UNKNOWN_USER: DirectoryFailure = { kind: 'unknown-user' };

/** Searches and binds, and what the directory's answers say of a user. */
export class LdapDirectory {
  readonly #settings: LdapPassdbSettings;
  readonly #base: readonly TemplatePart[];
  readonly #userDn: readonly TemplatePart[];
  /** Bound as `dn`. */
  readonly #searching: ConnectionPool<LdapConnection>;
  /** Bound as whoever tried last: of use for binds only. */
  readonly #binding: ConnectionPool<LdapConnection>;

  constructor(settings: LdapPassdbSettings) {
    this.#settings = settings;
    this.#base = parseTemplate(settings.base);
    this.#userDn = parseTemplate(settings.authBindUserdn);
    const { uris: servers, poolSize: maxConnections, connectTimeoutMs } = settings;
    const limits = { servers, maxConnections, connectTimeoutMs };
    this.#searching = new ConnectionPool({
      ...limits,
      connect: (uri, signal) => connectLdap(settings, uri, settings.dn, signal),
    });
    this.#binding = new ConnectionPool({
      ...limits,
      connect: (uri, signal) => connectLdap(settings, uri, '', signal),
    });
  }

  /** Whatever names of entries are made of. */
  get nameParts(): TemplatePart[] {
    return [...this.#base, ...this.#userDn];
  }

  /** The one entry that fits. */
  async search(
    template: LdapSearchTemplate,
    values: VariableValues,
    timeoutMs: number,
  ): Promise<SearchOutcome> {
    const base = expandDn(this.#base, values);
    const filter = buildFilter(await import('ldapts'), template.filter, values);
    if (base === null || filter === null) return UNKNOWN_USER;
    const { scope } = this.#settings;
    const { attributes } = template;
    try {
      const entries = await this.#searching.use(timeoutMs, (connection) =>
        connection.search({ base, scope, filter, attributes }),
      );
      const [entry] = entries;
      if (entry === undefined) return UNKNOWN_USER;
      if (entries.length > 1) return failed('the search found more than one entry');
      const fields = attributeFields(template.fields, (name) => entry.first(name), values);
      return { kind: 'found', dn: entry.dn, fields };
    } catch (error) {
      // A domain of the user's name that the directory does not have.
      if (hasVariables(this.#base) && isCode(error, NO_SUCH_NAME)) return UNKNOWN_USER;
      return failed(`search failed: ${errorText(error)}`);
    }
  }

  /** With `auth_bind_userdn`. */
  async bindTemplate(
    values: VariableValues,
    password: string,
    timeoutMs: number,
  ): Promise<BindOutcome> {
    const dn = expandDn(this.#userDn, values);
    return dn === null ? UNKNOWN_USER : await this.bind(dn, password, timeoutMs);
  }

  /** Neither may be empty: such a bind would verify nothing. */
  async bind(dn: string, password: string, timeoutMs: number): Promise<BindOutcome> {
    try {
      await this.#binding.use(timeoutMs, (connection) => connection.bind(dn, password));
      return { kind: 'ok' };
    } catch (error) {
      if (isCode(error, WRONG_PASSWORD)) return { kind: 'mismatch' };
      if (isCode(error, NO_SUCH_NAME)) return UNKNOWN_USER;
      return failed(`bind failed: ${errorText(error)}`);
    }
  }

  close(): void {
    this.#searching.close();
    this.#binding.close();
  }
}

function hasVariables(template: readonly TemplatePart[]): boolean {
  return template.some((part) => typeof part !== 'string');
}

function isCode(error: unknown, codes: readonly number[]): boolean {
  const code = resultCode(error);
  return code !== null && codes.includes(code);
}

function failed(detail: string): DirectoryFailure {
  return { kind: 'failed', detail };
}
