import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { errorCode } from '../../../shared/errors.ts';
import { parseSqlTemplate, type SqlTemplate, sqlParameters } from '../../../shared/sql-template.ts';
import type { SaslMechanism } from '../../../shared/wire/sasl.ts';
import { ConnectionPool, errorText } from '../connection-pool.ts';
import type { PassdbEnvironment } from '../create-passdb.ts';
import type { Passdb, PassdbAnswer, PassdbQuery } from '../passdb.ts';
import { isSet } from '../passdb-chain.ts';
import type { StoredPassword } from '../password-checker.ts';
import { isCacheable, joinUserFields, queryVariables } from '../query-variables.ts';
import { connectMysql } from './mysql-connection.ts';
import { connectPgsql } from './pgsql-connection.ts';
import type { ConnectSql, SqlConnection, SqlResult } from './sql-connection.ts';
import { connectSqlite } from './sqlite-connection.ts';

const connectors: Readonly<Record<SqlPassdbSettings['dialect'], ConnectSql>> = {
  pgsql: connectPgsql,
  mysql: connectMysql,
  sqlite: connectSqlite,
};

interface Row {
  readonly fields: Map<string, string>;
  /** Null: NULL, or no such column. */
  readonly password: string | null;
  readonly hasPasswordColumn: boolean;
}

/** Users of an SQL database. Rows and columns mean what they mean to Dovecot 2.3 (passdb-sql.c). */
export class SqlPassdb implements Passdb {
  readonly name: string;
  readonly mechanisms: readonly SaslMechanism[] = ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'EXTERNAL'];
  readonly isCached: boolean;
  readonly #settings: SqlPassdbSettings;
  readonly #environment: PassdbEnvironment;
  readonly #passwordQuery: SqlTemplate;
  /** Null: the other one serves look-ups too. */
  readonly #userQuery: SqlTemplate | null;
  readonly #pool: ConnectionPool<SqlConnection>;

  constructor(settings: SqlPassdbSettings, environment: PassdbEnvironment) {
    const { dialect, userQuery } = settings;
    this.name = settings.name;
    this.#settings = settings;
    this.#environment = environment;
    this.#passwordQuery = parseSqlTemplate(settings.passwordQuery, dialect);
    this.#userQuery = userQuery === '' ? null : parseSqlTemplate(userQuery, dialect);
    const templates = [this.#passwordQuery, ...(this.#userQuery === null ? [] : [this.#userQuery])];
    this.isCached = isCacheable(templates.flatMap(({ parameters }) => parameters.flat()));
    const connect = connectors[dialect];
    this.#pool = new ConnectionPool({
      servers: settings.servers,
      connect: (server, signal) => connect(settings, server, signal),
      // SQLite has a thread, and one is enough.
      maxConnections: dialect === 'sqlite' ? 1 : settings.poolSize,
      connectTimeoutMs: settings.connectTimeoutMs,
    });
  }

  async query(query: PassdbQuery): Promise<PassdbAnswer> {
    const isLookUp = query.kind === 'look-up';
    const template = (isLookUp ? this.#userQuery : null) ?? this.#passwordQuery;
    const parameters = sqlParameters(template, queryVariables(query));
    // What is no text is nobody's name.
    if (parameters === null) return await this.#unknownUser(query);
    let result: SqlResult;
    try {
      result = await this.#pool.use(this.#settings.timeoutMs, (connection) =>
        connection.query(template.statement, parameters),
      );
    } catch (error) {
      return failed(`query failed: ${queryErrorText(error, template)}`);
    }
    if (result.rows.length === 0) return await this.#unknownUser(query);
    if (result.rows.length > 1) return failed('the query returned more than one row');
    const row = readRow(result, query.user, this.#settings.defaultPassScheme);
    if (isLookUp) return { kind: 'ok', fields: row.fields };
    if (!row.hasPasswordColumn) {
      return failed('password_query must return a column "password"');
    }
    return query.kind === 'verify'
      ? await this.#verify(row, query.secret)
      : await this.#credentials(row, query.user);
  }

  async close(): Promise<void> {
    this.#pool.close();
  }

  /** Takes as long as a wrong password. */
  async #unknownUser(query: PassdbQuery): Promise<PassdbAnswer> {
    if (query.kind === 'verify') {
      await this.#environment.passwords.verifyNobody(this.name, query.secret);
    }
    return { kind: 'unknown-user' };
  }

  async #verify({ fields, password }: Row, secret: string): Promise<PassdbAnswer> {
    if (isSet(fields, 'nopassword')) {
      if (password === null || password === '') return { kind: 'ok', fields };
      return failed('nopassword is set, but the password is not empty');
    }
    // Neither: nobody can log in.
    if (password === null) return { kind: 'mismatch', fields };
    const verdict = await this.#environment.passwords.verify(this.#stored(password), secret);
    if (verdict.kind === 'failed') return failed(verdict.detail);
    return verdict.kind === 'match' ? { kind: 'ok', fields } : { kind: 'mismatch', fields };
  }

  async #credentials({ fields, password }: Row, user: string): Promise<PassdbAnswer> {
    if (password === null) return { kind: 'ok', fields, scram: null };
    const scram = await this.#environment.passwords.scramSecret(this.#stored(password), user);
    if (scram !== null && 'kind' in scram) return failed(scram.detail);
    return { kind: 'ok', fields, scram };
  }

  #stored(text: string): StoredPassword {
    const { name: database, defaultPassScheme: defaultScheme } = this.#settings;
    return { database, text, defaultScheme };
  }
}

function failed(detail: string): PassdbAnswer {
  return { kind: 'failed', detail };
}

function readRow({ columns, rows }: SqlResult, user: string, defaultScheme: string): Row {
  const fields = new Map<string, string>();
  let password: string | null = null;
  let hasPasswordColumn = false;
  for (const [i, name] of columns.entries()) {
    const value = rows[0][i];
    if (name === 'password') {
      hasPasswordColumn = true;
      password = value;
    } else if (name === 'password_noscheme') {
      // A password that may look as if it began with a scheme.
      hasPasswordColumn = true;
      password = value === null ? null : `{${defaultScheme}}${value}`;
    } else if (value !== null && name !== '' && !name.startsWith('userdb_')) {
      fields.set(name, value);
    }
  }
  joinUserFields(fields, user);
  return { fields, password, hasPasswordColumn };
}

/** Databases like to quote the value that they do not like, which may be a password. */
function queryErrorText(error: unknown, { parameters }: SqlTemplate): string {
  const hasPassword = parameters.some((parts) => {
    return parts.some((part) => typeof part !== 'string' && part.name === 'password');
  });
  if (!hasPassword || errorCode(error) === 'DATABASE_FAILED') return errorText(error);
  const code = errorCode(error);
  return code === '' ? 'text not shown, as the query has the password' : `error ${code}`;
}
