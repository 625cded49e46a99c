import type net from 'node:net';
import type { Client, Entry, Filter } from 'ldapts';
import type { LdapPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { databaseLimits } from '../../../shared/limits.ts';
import { utf8Text } from '../../../shared/variable-template.ts';
import { DatabaseError, type PoolConnection } from '../connection-pool.ts';
import { keptSocket, openUntilAborted } from '../database-socket.ts';
import { openLdap, parseLdapUri } from './ldap-socket.ts';

/** Result codes of RFC 4511 that say something about a user. */
export const resultCodes = {
  noSuchObject: 32,
  invalidDnSyntax: 34,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  namingViolation: 64,
} as const;

/** An entry that was found. */
export interface LdapEntry {
  readonly dn: string;
  /** First value of an attribute, as a latin1 string; null: the entry has none that we may see. */
  first(attribute: string): string | null;
}

export interface LdapSearch {
  readonly base: string;
  readonly scope: LdapPassdbSettings['scope'];
  readonly filter: Filter;
  readonly attributes: readonly string[];
}

const SCOPES = { base: 'base', onelevel: 'one', subtree: 'sub' } as const;

/** Connects to one server and binds as `dn`; '' = no bind, which makes it anonymous. */
export async function connectLdap(
  settings: LdapPassdbSettings,
  uri: string,
  dn: string,
  signal: AbortSignal,
): Promise<LdapConnection> {
  const { Client } = await import('ldapts');
  const connection = new LdapConnection(keptSocket());
  return await openUntilAborted(connection, signal, async () => {
    await connection.open(Client, settings, uri);
    if (dn !== '') await connection.bind(dn, utf8Text(settings.dnpass) ?? '');
  });
}

/** One connection. The library never gets a second one for it: that would be neither bound nor encrypted. */
export class LdapConnection implements PoolConnection {
  readonly #socket: net.Socket;
  #client: Client | null = null;
  #answerBytes = 0;
  #isEnded = false;
  #onEnd: () => void = () => {};

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('close', () => {
      this.#isEnded = true;
      this.#onEnd();
    });
  }

  async open(
    LdapClient: typeof Client,
    { startTls, tls }: LdapPassdbSettings,
    uri: string,
  ): Promise<void> {
    let stream: net.Socket | null = await openLdap(this.#socket, parseLdapUri(uri), startTls, tls);
    stream.on('data', (chunk: Buffer) => {
      this.#answerBytes += chunk.length;
      if (this.#answerBytes > databaseLimits.ldapAnswerBytes) this.destroy();
    });
    this.#client = new LdapClient({
      url: 'ldap://localhost',
      createConnection: () => {
        if (stream === null || this.isEnded) throw new DatabaseError('the connection has ended');
        const given = stream;
        stream = null;
        return given;
      },
    });
  }

  /** The library may report the end of the socket before the socket itself does. */
  get isEnded(): boolean {
    return this.#isEnded || !this.#socket.readable || !this.#socket.writable;
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /**
   * Simple bind; never anonymous, nor "unauthenticated" (RFC 4513 5.1.2), which servers say yes to without a
   * look at any password. Rejects with the result code as `code` when the server says no.
   */
  async bind(dn: string, password: string): Promise<void> {
    if (dn === '' || password === '') throw new DatabaseError('a bind without name or password');
    await this.#ask((client) => client.bind(dn, password));
  }

  async search({ base, scope, filter, attributes }: LdapSearch): Promise<LdapEntry[]> {
    const { searchEntries } = await this.#ask((client) =>
      client.search(base, {
        scope: SCOPES[scope],
        filter,
        // RFC 4511 4.5.1.8: no attribute at all.
        attributes: attributes.length === 0 ? ['1.1'] : [...attributes],
        sizeLimit: databaseLimits.matches,
      }),
    );
    return searchEntries.map(toEntry);
  }

  quit(): void {
    this.#isEnded = true;
    const gone = this.#client?.unbind() ?? Promise.resolve();
    gone.catch(() => {}).finally(() => this.destroy());
  }

  destroy(): void {
    this.#isEnded = true;
    this.#socket.destroy();
  }

  async #ask<T>(question: (client: Client) => Promise<T>): Promise<T> {
    if (this.#client === null) throw new DatabaseError('the connection is not open');
    this.#answerBytes = 0;
    return await question(this.#client);
  }
}

function toEntry(entry: Entry): LdapEntry {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(entry)) {
    const first = Array.isArray(value) ? value[0] : value;
    if (first === undefined) continue;
    const bytes = typeof first === 'string' ? Buffer.from(first, 'utf8') : first;
    values.set(name.toLowerCase(), bytes.toString('latin1'));
  }
  return { dn: entry.dn, first: (attribute) => values.get(attribute.toLowerCase()) ?? null };
}

/** LDAP's result code of an error; null: the server has not said anything. */
export function resultCode(error: unknown): number | null {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'number' ? code : null;
}
