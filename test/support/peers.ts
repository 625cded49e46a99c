import { findProgram, requireProgram } from './require-program.ts';

/** Programs that we did not write and that tests run against, with their Debian packages. */
const PEERS: readonly (readonly [program: string, ...packages: string[]])[] = [
  ['dovecot', 'dovecot-imapd', 'dovecot-pop3d'],
  ['doveadm', 'dovecot-core'],
  ['curl', 'curl'],
  ['haproxy', 'haproxy'],
  ['python3', 'python3'],
  ['psql', 'postgresql'],
  ['mariadbd', 'mariadb-server'],
  ['slapd', 'slapd'],
];

/** The tests that need them. */
export const PEER_TESTS: readonly string[] = [
  'test/bench/peers.test.ts',
  'test/e2e/backend-failure.test.ts',
  'test/e2e/backend-header.test.ts',
  'test/e2e/backend-watch.test.ts',
  'test/e2e/director-admin.test.ts',
  'test/e2e/director-chain.test.ts',
  'test/e2e/director-ring-admin.test.ts',
  'test/e2e/director-side-by-side.test.ts',
  'test/e2e/doveadm-http.test.ts',
  'test/e2e/dump-restore.test.ts',
  'test/e2e/flush-drain.test.ts',
  'test/e2e/haproxy-external.test.ts',
  'test/e2e/haproxy.test.ts',
  'test/e2e/imap-clients.test.ts',
  'test/e2e/login-log.test.ts',
  'test/e2e/managesieve-clients.test.ts',
  'test/e2e/one-backend-per-user.test.ts',
  'test/e2e/passdb-ldap.test.ts',
  'test/e2e/passdb-sql.test.ts',
  'test/e2e/passdb-dovecot-auth-logins.test.ts',
  'test/e2e/passdb-dovecot-auth.test.ts',
  'test/e2e/passdb-http.test.ts',
  'test/e2e/passdb-network-lmtp.test.ts',
  'test/e2e/passdb-oauth2.test.ts',
  'test/e2e/pop3-clients.test.ts',
  'test/e2e/ring-mixed.test.ts',
  'test/e2e/ring-random.test.ts',
  'test/embedded/real-clients.test.ts',
  'test/main/cli/doveadm.test.ts',
  'test/shared/user-hash.test.ts',
  'test/workers/auth/ldap/ldap-passdb.test.ts',
  'test/workers/auth/sql/mysql.test.ts',
  'test/workers/auth/sql/pgsql.test.ts',
];

/**
 * Peers that are not here and that we cannot install. Never any in CI: there a missing peer is a
 * failure, of the installation or of the tests.
 */
export async function missingPeers(): Promise<string[]> {
  if (process.env['CI'] !== undefined || process.getuid?.() === 0) return [];
  const missing: string[] = [];
  for (const [program, ...packages] of PEERS) {
    if ((await findProgram(program)) === null) missing.push(`${program} (${packages.join(', ')})`);
  }
  return missing;
}

/** Global set-up: installs what is missing, once, before the tests and outside of their deadlines. */
export default async function installPeers(): Promise<void> {
  if ((await missingPeers()).length > 0) return;
  for (const [program, ...packages] of PEERS) await requireProgram(program, packages);
}
