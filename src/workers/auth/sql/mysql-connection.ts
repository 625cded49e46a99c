import type net from 'node:net';
import type { Connection } from 'mysql2';
import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { utf8Text } from '../../../shared/variable-template.ts';
import { DatabaseError } from '../connection-pool.ts';
import { keptSocket, openUntilAborted } from '../database-socket.ts';
import { SocketConnection } from './socket-connection.ts';
import { columnText, type SqlConnection, type SqlResult } from './sql-connection.ts';

/** That a connection keeps prepared: password_query and user_query. */
const PREPARED_STATEMENTS = 8;

/** MySQL and MariaDB. `server` is a name, an address, or the path of a unix socket. */
export async function connectMysql(
  settings: SqlPassdbSettings,
  server: string,
  signal: AbortSignal,
): Promise<SqlConnection> {
  const { createConnection } = await import('mysql2');
  const { port, dbname, user, password, tls, timeoutMs } = settings;
  const socket = keptSocket();
  if (server.startsWith('/')) socket.connect({ path: server });
  else socket.connect({ host: server, port });
  const raw = createConnection({
    ...{ host: server, port, database: dbname, user },
    password: utf8Text(password) ?? '',
    stream: () => socket,
    charset: 'utf8mb4',
    // Ours counts: see openUntilAborted().
    connectTimeout: 0,
    ...(tls === null
      ? {}
      : {
          ssl: {
            ...{ rejectUnauthorized: tls.verify, verifyIdentity: tls.verify },
            ...(tls.ca === '' ? {} : { ca: tls.ca }),
          },
        }),
    maxPreparedStatements: PREPARED_STATEMENTS,
    // No second statement, and no file of ours, whatever the server asks for.
    multipleStatements: false,
    flags: ['-LOCAL_FILES'],
    // Numbers and dates as the texts that they are in the database.
    ...{ supportBigNumbers: true, bigNumberStrings: true, dateStrings: true },
  });
  return await openUntilAborted(new MysqlConnection(raw, socket), signal, async () => {
    await new Promise<void>((resolve, reject) => {
      raw.connect((error) => (error === null ? resolve() : reject(error)));
    });
    // A query that we have given up must not go on for ever in the server: MariaDB's way, then MySQL's. Who
    // knows neither goes without.
    const isLimited = await settled(raw, `SET SESSION max_statement_time = ${timeoutMs / 1000}`);
    if (!isLimited) await settled(raw, `SET SESSION max_execution_time = ${Math.ceil(timeoutMs)}`);
  });
}

/** Did the server do it? */
async function settled(raw: Connection, statement: string): Promise<boolean> {
  return await new Promise((resolve) => {
    raw.query(statement, (error) => resolve(error === null));
  });
}

class MysqlConnection extends SocketConnection {
  readonly #raw: Connection;

  constructor(raw: Connection, socket: net.Socket) {
    super(raw, socket);
    this.#raw = raw;
  }

  override async query(statement: string, parameters: readonly string[]): Promise<SqlResult> {
    const options = { sql: statement, values: [...parameters], rowsAsArray: true };
    const { rows, fields } = await new Promise<{ rows: unknown; fields: unknown }>(
      (resolve, reject) => {
        this.#raw.execute(options, (error, rows, fields) => {
          if (error === null) resolve({ rows, fields });
          else reject(error);
        });
      },
    );
    // An UPDATE has no rows, and a procedure several results.
    const isTable = Array.isArray(rows) && Array.isArray(fields) && !fields.some(Array.isArray);
    if (!isTable) throw new DatabaseError('the query gives no rows');
    return {
      columns: (fields as { name: string }[]).map(({ name }) => name),
      rows: (rows as unknown[][]).map((row) => row.map(columnText)),
    };
  }

  protected override sayGoodbye(): void {
    this.#raw.end();
  }
}
