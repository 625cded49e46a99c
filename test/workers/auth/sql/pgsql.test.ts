import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { type CertificateFiles, makeCertificate } from '../../../support/certificates.ts';
import { eventually } from '../../../support/deadline.ts';
import { labAddress } from '../../../support/dovecot.ts';
import { HoldingRelay } from '../../../support/holding-relay.ts';
import { verifyQuery } from '../../../support/passdb-queries.ts';
import { PgsqlServer } from '../../../support/pgsql-server.ts';
import { asked, testSqlBehaviour } from './sql-behaviour.ts';
import { testSqlServerBehaviour } from './sql-server-behaviour.ts';
import { sqlPassdb, sqlSettings, usersScript } from './sql-users.ts';

let server: PgsqlServer;
let relay: HoldingRelay;
let folder: string;
let files: CertificateFiles;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-pgsql-'));
  files = await makeCertificate(folder, 'pgsql', { names: `IP:${labAddress(1)}` });
  server = await PgsqlServer.start(
    labAddress(1),
    `${usersScript(false)}
     CREATE USER postilion PASSWORD 'reader-pass'; GRANT SELECT ON users TO postilion;`,
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
  return { dialect: 'pgsql', servers: [server.host], port: server.port };
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
  const before = relay.fromClients.length;
  expect((await withTls({ tls: { ca, verify: true } })).kind).toBe('ok');
  const through = { servers: [relay.host], port: relay.port };
  expect(await withTls({ ...through, tls: { ca, verify: true } })).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('IP: 127'),
  });
  expect((await withTls({ ...through, tls: { ca, verify: false } })).kind).toBe('ok');
  expect(relay.fromClients.slice(before)).not.toMatch(/alice|SELECT/);
  expect(await withTls({ tls: { ca: '', verify: true } })).toMatchObject({
    kind: 'failed',
    detail: expect.stringContaining('self-signed'),
  });
});

test('a unix socket', async () => {
  const settings = lab.settings({ servers: [server.directory] });
  const [answer] = await asked(settings, verifyQuery('alice@example.org', 'alice pass'));
  expect(answer.kind).toBe('ok');
});

test('a query that takes too long is ended in the server too', async () => {
  const passwordQuery = "SELECT pg_sleep(600)::text AS password, '%u'::text AS slow_query";
  const settings = lab.settings({ passwordQuery, timeoutMs: 400 });
  const [answer] = await asked(settings, verifyQuery('alice@example.org', 'x'));
  expect(answer).toMatchObject({ kind: 'failed' });
  const running =
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slow_query%' AND state = 'active' AND pid <> pg_backend_pid()";
  expect(await server.sql(`SELECT pg_sleep(0.3); ${running}`)).toMatch(/\b0\n$/);
});

test('columns of other types; false is no flag that is set', async () => {
  const passwordQuery =
    "SELECT '{PLAIN}x' AS password, true AS nologin, false AS proxy_nopipelining, 12 AS port, NULL AS host, '%u' AS user";
  const [answer] = await asked(lab.settings({ passwordQuery }), verifyQuery('a@b', 'x'));
  expect(answer).toEqual({
    kind: 'ok',
    fields: new Map([
      ['nologin', 'yes'],
      ['proxy_nopipelining', 'no'],
      ['port', '12'],
      ['user', 'a@b'],
    ]),
  });
});

test('a table that changes its columns does not stop logins', async () => {
  const passwordQuery = "SELECT * FROM changing WHERE username = '%u'";
  await server.sql(
    "CREATE TABLE changing AS SELECT 'a'::text AS username, '{PLAIN}x'::text AS password",
  );
  await server.sql('GRANT SELECT ON changing TO postilion');
  const passdb = sqlPassdb(lab.settings({ passwordQuery }));
  expect((await passdb.query(verifyQuery('a', 'x'))).kind).toBe('ok');
  await server.sql("ALTER TABLE changing ADD director_tag text DEFAULT 'east'");
  expect(await passdb.query(verifyQuery('a', 'x'))).toMatchObject({
    kind: 'ok',
    fields: new Map([
      ['user', 'a'],
      ['director_tag', 'east'],
    ]),
  });
  await passdb.close();
});

test('an error that quotes the password does not bring it to the log', async () => {
  const passwordQuery = "SELECT '' AS password FROM users WHERE 1 = '%w'::integer";
  const [answer] = await asked(lab.settings({ passwordQuery }), verifyQuery('a@b', 's3cret'));
  expect(answer).toEqual({ kind: 'failed', detail: 'query failed: error 22P02' });
});

test('a server that was restarted', async () => {
  const passdb = sqlPassdb(lab.settings());
  const ask = verifyQuery('alice@example.org', 'alice pass');
  expect((await passdb.query(ask)).kind).toBe('ok');
  await server.pause();
  expect(await passdb.query(ask)).toMatchObject({ kind: 'failed' });
  await server.restart();
  await eventually('PostgreSQL is back', 15_000, async () => {
    return (await passdb.query(ask)).kind === 'ok';
  });
  await passdb.close();
});
