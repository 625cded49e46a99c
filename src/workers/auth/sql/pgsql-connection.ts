import type net from 'node:net';
import type { Client } from 'pg';
import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { utf8Text } from '../../../shared/variable-template.ts';
import { keptSocket, openUntilAborted } from '../database-socket.ts';
import { SocketConnection } from './socket-connection.ts';
import { columnText, type SqlConnection, type SqlResult } from './sql-connection.ts';

const BOOL_OID = 16;

/** Values as the server writes them, but for truth: `f` would be taken for a flag that is set. */
const textTypes = {
  getTypeParser: (oid: number) => (value: string) => {
    return columnText(oid === BOOL_OID ? value === 't' : value);
  },
};

/** PostgreSQL. `server` is a name, an address, or the folder of a unix socket. */
export async function connectPgsql(
  settings: SqlPassdbSettings,
  server: string,
  signal: AbortSignal,
): Promise<SqlConnection> {
  const { Client } = (await import('pg')).default;
  const socket = keptSocket();
  const { port, dbname, user, password, tls, timeoutMs } = settings;
  const client = new Client({
    ...{ host: server, port, database: dbname, user },
    // A function, as the library would look for a password of its own in the environment or in a file.
    password: () => utf8Text(password) ?? '',
    client_encoding: 'UTF8',
    application_name: 'postilion',
    ssl:
      tls === null
        ? false
        : { rejectUnauthorized: tls.verify, ...(tls.ca === '' ? {} : { ca: tls.ca }) },
    stream: () => socket,
  });
  return await openUntilAborted(new PgsqlConnection(client, socket), signal, async () => {
    await client.connect();
    // A query that we have given up must not go on for ever in the server.
    await client.query(`SET statement_timeout = ${Math.ceil(timeoutMs)}`);
  });
}

class PgsqlConnection extends SocketConnection {
  readonly #client: Client;

  constructor(client: Client, socket: net.Socket) {
    super(client, socket);
    this.#client = client;
  }

  /** Unnamed statements: none outlives a change of the table, or is missed behind a PgBouncer. */
  override async query(statement: string, parameters: readonly string[]): Promise<SqlResult> {
    const { fields, rows } = await this.#client.query<(string | null)[]>({
      text: statement,
      values: [...parameters],
      rowMode: 'array',
      types: textTypes,
    });
    return { columns: fields.map(({ name }) => name), rows };
  }

  protected override sayGoodbye(): void {
    this.#client.end().catch(() => this.destroy());
  }
}
