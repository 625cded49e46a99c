import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { type CertificateFiles, makeCertificate } from '../../../support/certificates.ts';
import { eventually } from '../../../support/deadline.ts';
import { labAddress } from '../../../support/dovecot.ts';
import { HoldingRelay } from '../../../support/holding-relay.ts';
import { MariadbServer } from '../../../support/mariadb-server.ts';
import { verifyQuery } from '../../../support/passdb-queries.ts';
import { asked, testSqlBehaviour } from './sql-behaviour.ts';
import { testSqlServerBehaviour } from './sql-server-behaviour.ts';
import { sqlPassdb, sqlSettings, usersScript } from './sql-users.ts';

let server: MariadbServer;
let relay: HoldingRelay;
let folder: string;
let files: CertificateFiles;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-mysql-'));
  files = await makeCertificate(folder, 'localhost');
  server = await MariadbServer.start(
    labAddress(1),
    `${usersScript(true)}
     CREATE USER postilion@'%' IDENTIFIED BY 'reader-pass'; GRANT SELECT ON mail.* TO postilion@'%';`,
    files,
  );
  relay = await HoldingRelay.start(labAddress(2), server);
});

afterAll(async () => {
  await relay?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function direct(): Partial<SqlPassdbSettings> {
  return { dialect: 'mysql', servers: [server.host], port: server.port };
}

const lab = {
  relay: () => relay,
  direct,
  settings: (more: Partial<SqlPassdbSettings> = {}) => sqlSettings({ ...direct(), ...more }),
  countUsers: async () => Number(await server.sql('SELECT count(*) FROM users')),
};

testSqlBehaviour(lab);
testSqlServerBehaviour(lab);

test('TLS: the right certificate, another name, another authority', async () => {
  const ca = readFileSync(files.cert, 'latin1');
  const ask = verifyQuery('alice@example.org', 'alice pass');
  const withTls = async (more: Partial<SqlPassdbSettings>) => {
    return (await asked(lab.settings(more), ask))[0];
  };
  // Only names can be compared, and this is the one that every machine knows.
  const named = await HoldingRelay.start('127.0.0.1', server);
  const through = { servers: ['localhost'], port: named.port };
  expect((await withTls({ ...through, tls: { ca, verify: true } })).kind).toBe('ok');
  expect(named.fromClients).not.toMatch(/alice|SELECT/);
  expect(await withTls({ ...through, tls: { ca: '', verify: true } })).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('self-signed'),
  });
  expect((await withTls({ tls: { ca: '', verify: false } })).kind).toBe('ok');
  const other = await makeCertificate(folder, 'other.test', { authority: files });
  await server.useCertificate(other);
  expect(await withTls({ ...through, tls: { ca, verify: true } })).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('other.test'),
  });
  expect((await withTls({ ...through, tls: { ca, verify: false } })).kind).toBe('ok');
  await named.close();
});

test('a unix socket', async () => {
  const settings = lab.settings({ servers: [server.socket] });
  const [answer] = await asked(settings, verifyQuery('alice@example.org', 'alice pass'));
  expect(answer.kind).toBe('ok');
});

test('a query that takes too long; the server has the time limit too', async () => {
  const slow = "SELECT SLEEP(600) AS password, '%u' AS slow_query";
  const ask = verifyQuery('alice@example.org', 'x');
  const [late] = await asked(lab.settings({ passwordQuery: slow, timeoutMs: 400 }), ask);
  expect(late.kind).toBe('failed');
  const passwordQuery = "SELECT '{PLAIN}x' AS password, @@max_statement_time AS forward_limit";
  const [answer] = await asked(lab.settings({ passwordQuery, timeoutMs: 4500 }), ask);
  expect(answer).toEqual({ kind: 'ok', fields: new Map([['forward_limit', '4.5']]) });
});

test('double quotes are quotes of texts; columns of other types', async () => {
  const passwordQuery =
    'SELECT "{PLAIN}x" AS password, 12 AS port, NULL AS host, 12345678901234567890 AS big, ' +
    'CAST("2026-01-02" AS DATE) AS day, 1.50 AS price, CONCAT("%u") AS user';
  const [answer] = await asked(lab.settings({ passwordQuery }), verifyQuery('a"b@c', 'x'));
  expect(answer).toEqual({
    kind: 'ok',
    fields: new Map([
      ['port', '12'],
      ['big', '12345678901234567890'],
      ['day', '2026-01-02'],
      ['price', '1.50'],
      ['user', 'a"b@c'],
    ]),
  });
});

test('who is found by another spelling gets the name that the table has', async () => {
  const passwordQuery = "SELECT username AS user, password FROM users WHERE username = '%u'";
  const accented = Buffer.from('álice', 'utf8').toString('latin1');
  const spellings = ['ALICE', 'alice ', accented].map((name) => verifyQuery(name, 'alice pass'));
  const answers = await asked(lab.settings({ passwordQuery }), ...spellings);
  const found = { kind: 'ok', fields: new Map([['user', 'alice']]) };
  expect(answers).toEqual([found, found, found]);
});

test('what gives no rows is no query of users', async () => {
  const passwordQuery = "SET @x = '%u'";
  const [answer] = await asked(lab.settings({ passwordQuery }), verifyQuery('a@b', 'x'));
  expect(answer).toEqual({ kind: 'failed', detail: 'query failed: the query gives no rows' });
});

test('a server that was restarted', async () => {
  const passdb = sqlPassdb(lab.settings());
  const ask = verifyQuery('alice@example.org', 'alice pass');
  expect((await passdb.query(ask)).kind).toBe('ok');
  await server.pause();
  expect(await passdb.query(ask)).toMatchObject({ kind: 'failed' });
  await server.restart();
  await eventually('MariaDB is back', 15_000, async () => {
    return (await passdb.query(ask)).kind === 'ok';
  });
  await passdb.close();
});
