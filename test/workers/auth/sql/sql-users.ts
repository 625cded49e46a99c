import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { SqlPassdb } from '../../../../src/workers/auth/sql/sql-passdb.ts';
import { passdbEnvironment } from '../../../support/passdb-environment.ts';

/** Names that are an attack, or look like one, and are nobody's. */
export const INJECTIONS: readonly string[] = [
  "' OR '1'='1",
  "' OR 1=1 -- ",
  "alice' -- ",
  "alice'/*",
  '" OR ""="',
  "\\' OR 1=1 -- ",
  "'; DROP TABLE users; -- ",
  "alice' UNION SELECT 'x','x','x','x','x','x' -- ",
  '$1',
  '?',
  '%u',
  '%',
  '_lice',
  'alice\u0000',
  '\u0000',
  // No UTF-8: a quote that a careless decoder would swallow (GBK), and a lone byte.
  "\xbf' OR 1=1 -- ",
  '\xff',
];

const MARIE = Buffer.from('marie-thérèse', 'utf8').toString('latin1');
const EURO_PASS = Buffer.from('pass€', 'utf8').toString('latin1');

/** Users whose names need care, with their passwords. latin1 strings. */
export const ODD_USERS: readonly (readonly [name: string, password: string])[] = [
  ["o'brien", "it's"],
  ['back\\slash', 'a\\b'],
  ['"quoted"', '"'],
  ['100%', '%n'],
  ['$1', '$2'].map((text) => `${text}x`) as [string, string],
  [MARIE, EURO_PASS],
];

function quoted(bytes: string, isMysql: boolean): string {
  const text = Buffer.from(bytes, 'latin1').toString('utf8').replaceAll("'", "''");
  return `'${isMysql ? text.replaceAll('\\', '\\\\') : text}'`;
}

/** The table of users, and who is in it, for any dialect. */
export function usersScript(isMysql: boolean): string {
  const odd = ODD_USERS.map(([name, password]) => {
    const stored = quoted(`{PLAIN}${password}`, isMysql);
    return `(${quoted(name, isMysql)}, 'example.org', ${stored}, NULL, NULL, NULL)`;
  });
  const crypt =
    '$6$abcdefgh$vKHM2UpD7nFpUp1jnYXI/ZCj.jLDEc7jrZNAvi0qeik3FVcNxdyCa/EZmpKN0l/MljtYtdwIHxNf36J2x0K9H0';
  return `
    CREATE TABLE users (username VARCHAR(128), domain VARCHAR(128), password VARCHAR(255),
      nopassword VARCHAR(1), director_tag VARCHAR(64), destuser VARCHAR(128));
    INSERT INTO users VALUES
      ('alice', 'example.org', '{PLAIN}alice pass', NULL, 'east', 'alice.inside'),
      ('crypt', 'example.org', '${crypt}', NULL, NULL, NULL),
      ('open', 'example.org', NULL, 'y', 'west', NULL),
      ('opened', 'example.org', '{PLAIN}x', 'y', NULL, NULL),
      ('locked', 'example.org', NULL, NULL, NULL, NULL),
      ('empty', 'example.org', '', NULL, NULL, NULL),
      ('twice', 'example.org', '{PLAIN}a', NULL, NULL, NULL),
      ('twice', 'example.org', '{PLAIN}a', NULL, NULL, NULL),
      ${odd.join(',\n      ')};
  `;
}

export const PASSWORD_QUERY =
  "SELECT password, nopassword, director_tag, destuser FROM users WHERE username = '%n' AND domain = '%d'";

export function sqlSettings(more: Partial<SqlPassdbSettings>): SqlPassdbSettings {
  return {
    driver: 'sql',
    name: 'sql',
    defaultFields: {},
    overrideFields: {},
    isMaster: false,
    dialect: 'pgsql',
    servers: [],
    port: 0,
    dbname: 'mail',
    user: 'postilion',
    password: 'reader-pass',
    tls: null,
    passwordQuery: PASSWORD_QUERY,
    userQuery: '',
    defaultPassScheme: 'CRYPT',
    poolSize: 3,
    timeoutMs: 1500,
    connectTimeoutMs: 700,
    ...more,
  };
}

export function sqlPassdb(settings: SqlPassdbSettings): SqlPassdb {
  return new SqlPassdb(settings, passdbEnvironment());
}
