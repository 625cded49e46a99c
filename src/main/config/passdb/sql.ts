import { isIP } from 'node:net';
import { z } from 'zod';
import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { parseSqlTemplate, sqlDialects } from '../../../shared/sql-template.ts';
import * as type from '../setting-types.ts';
import { durationText } from '../units.ts';
import {
  connectionSettings,
  readDatabaseTls,
  template,
  templateProblem,
} from './database-settings.ts';
import { commonPassdbSettings, definePassdbDriver } from './passdb-driver.ts';
import { passwordScheme } from './passwd-file.ts';
import { readSecret, SHOWN_SECRET } from './secret.ts';
import { type SqlConnect, sqlConnect } from './sql-connect.ts';

const DEFAULT_PORTS = { pgsql: 5432, mysql: 3306, sqlite: 0 } as const;

/** Users of an SQL database, with the names of Dovecot's dovecot-sql.conf.ext. */
export const sqlDriver = definePassdbDriver({
  schema: (folder) =>
    z
      .strictObject({
        driver: z.literal('sql'),
        ...commonPassdbSettings(),
        dialect: type.oneOf(sqlDialects),
        connect: sqlConnect(folder),
        password_query: template(),
        user_query: template().default(''),
        default_pass_scheme: passwordScheme().default('CRYPT'),
        ...connectionSettings(),
      })
      .superRefine((values, context) => {
        const refuse = (path: string[], message: string): void => {
          context.addIssue({ code: 'custom', path, message });
        };
        const { dialect, connect } = values;
        for (const name of ['password_query', 'user_query'] as const) {
          if (name === 'user_query' && values[name] === '') continue;
          const problem = templateProblem(`a query of ${dialect}`, () => {
            return parseSqlTemplate(values[name], dialect);
          });
          if (problem !== null) refuse([name], problem);
        }
        if (values.password_query.trim() === '') refuse(['password_query'], 'expected a query');
        for (const [setting, problem] of connectProblems(dialect, connect)) {
          refuse(setting === '' ? ['connect'] : ['connect', setting], problem);
        }
      }),
  print: ({ dialect, connect, timeout, connect_timeout, ...values }) => ({
    dialect,
    connect: printConnect(dialect, connect),
    password_query: values.password_query,
    user_query: values.user_query,
    default_pass_scheme: values.default_pass_scheme,
    pool_size: values.pool_size,
    timeout: durationText(timeout),
    connect_timeout: durationText(connect_timeout),
  }),
  read: async ({ dialect, connect, ...values }, common): Promise<SqlPassdbSettings> => {
    const setting = `passdb.${common.name}.connect`;
    const { host, port, dbname, user, password, password_file } = connect;
    return {
      ...common,
      driver: 'sql',
      dialect,
      servers: host,
      port: port ?? DEFAULT_PORTS[dialect],
      dbname,
      user,
      password: await readSecret(password, password_file, `${setting}.password_file`),
      tls: connect.tls ? await readDatabaseTls(connect, `${setting}.ca`) : null,
      passwordQuery: values.password_query,
      userQuery: values.user_query,
      defaultPassScheme: values.default_pass_scheme,
      poolSize: values.pool_size,
      timeoutMs: values.timeout,
      connectTimeoutMs: values.connect_timeout,
    };
  },
});

function connectProblems(
  dialect: SqlPassdbSettings['dialect'],
  { host, dbname, user, password, password_file, tls, verify }: SqlConnect,
): [setting: string, problem: string][] {
  const problems: [string, string][] = [];
  if (dialect === 'sqlite') {
    const isFile = host.length === 1 && host[0].startsWith('/');
    if (!isFile || dbname !== '' || user !== '') problems.push(['', 'expected the path of a file']);
    return problems;
  }
  if (dbname === '') problems.push(['', 'expected a dbname in it']);
  if (user === '') problems.push(['', 'expected a user in it']);
  if (password !== '' && password_file !== '') {
    problems.push(['password_file', 'expected password or password_file, not both']);
  }
  // The library for MySQL can compare a certificate with a name only.
  if (dialect === 'mysql' && tls && verify && host.some((server) => isIP(server) !== 0)) {
    problems.push(['host', 'expected host names, as the certificate is verified (see verify)']);
  }
  return problems;
}

function printConnect(dialect: SqlPassdbSettings['dialect'], connect: SqlConnect): unknown {
  if (dialect === 'sqlite') return connect.host[0];
  const { password, password_file, port, ...rest } = connect;
  return {
    ...rest,
    port: port ?? undefined,
    password: password === '' ? undefined : SHOWN_SECRET,
    password_file,
  };
}
