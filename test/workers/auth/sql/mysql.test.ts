import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
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

beforeAll(async () => {
  server = await MariadbServer.start(
    labAddress(1),
    `${usersScript(true)}
     CREATE USER postilion@'%' IDENTIFIED BY 'reader-pass'; GRANT SELECT ON mail.* TO postilion@'%';`,
  );
  relay = await HoldingRelay.start(labAddress(2), server);
});

afterAll(async () => {
  await relay?.close();
  await server?.stop();
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

test('a unix socket', async () => {
  const settings = lab.settings({ servers: [server.socket] });
  const [answer] = await asked(settings, verifyQuery('alice@example.org', 'alice pass'));
  expect(answer.kind).toBe('ok');
});

test('a query that takes too long', async () => {
  const passwordQuery = "SELECT SLEEP(600) AS password, '%u' AS user";
  const settings = lab.settings({ passwordQuery, timeoutMs: 400 });
  const [answer] = await asked(settings, verifyQuery('alice@example.org', 'x'));
  expect(answer).toEqual({ kind: 'failed', detail: 'query failed: no answer within 400 ms' });
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
