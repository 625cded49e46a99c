import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { IMAP_PORT, labAddress } from '../support/dovecot.ts';
import { HoldingRelay } from '../support/holding-relay.ts';
import { makeLabDirectory } from '../support/lab-directory.ts';
import { copiesOf, LMTP_PORT, LmtpClient, lmtpConfig, lmtpPortOf } from '../support/lmtp-lab.ts';
import { MariadbServer } from '../support/mariadb-server.ts';
import { imapLogin, MASTER, PassdbLab } from '../support/passdb-lab.ts';
import { PgsqlServer } from '../support/pgsql-server.ts';
import type { PostilionProcess } from '../support/postilion.ts';
import { requireFile } from '../support/require-program.ts';

/** `driver: sql` through `postilion serve` to real Dovecot, as Python's imaplib sees it. */

/** For the addresses of the databases; the backends have 1 and 2. */
const [PGSQL, MARIADB, RELAY] = [3, 4, 5];
const WRONG = 'geheim-3f9a1c';
const DEADLINE_MS = 20_000;
/** The backend's password is another one: the master user's, with every row. */
const USERS = `
  CREATE TABLE users (userid VARCHAR(64), password VARCHAR(128), tag VARCHAR(64), destuser VARCHAR(64),
    nologin VARCHAR(8), reason VARCHAR(64));
  INSERT INTO users VALUES ('anna', '{SSHA256}@SSHA@', NULL, NULL, NULL, NULL);
  INSERT INTO users VALUES ('eva', 'eva pass', 'east', NULL, NULL, NULL);
  INSERT INTO users VALUES ('ida', 'ida pass', NULL, 'ida.inside', NULL, NULL);
  INSERT INTO users VALUES ('closed', 'closed pass', NULL, NULL, 'y', 'Pay first');
  INSERT INTO users VALUES ('breaker', 'x', NULL, 'a\nb LOGOUT', NULL, NULL);
`.replace(
  '@SSHA@',
  // SHA-256 of "anna pass" and "salt", with the salt behind it.
  'EYkyT3Qqtu9Q70aPwqcy8nCSwTP33RAQTz2u/8bEesBzYWx0',
);
const QUERY =
  `SELECT userid AS user, password, tag AS director_tag, destuser, nologin, reason,` +
  ` '${MASTER.user}' AS master, '${MASTER.password}' AS pass FROM users WHERE userid = '%u'`;
const OPTIONS = {
  driver: 'sql',
  password_query: QUERY,
  default_pass_scheme: 'PLAIN',
  timeout: '2s',
  connect_timeout: '1s',
};

let lab: PassdbLab;

beforeAll(async () => {
  await requireFile('/usr/lib/dovecot/lmtp', ['dovecot-lmtpd']);
  lab = await PassdbLab.start(lmtpConfig);
});

afterAll(async () => {
  await lab?.stop();
});

async function answerTo(
  director: PostilionProcess,
  user: string,
  password: string,
): Promise<string> {
  const result = await imapLogin(director, user, password, 'PLAIN');
  return result.ok ? 'ok' : result.answer;
}

/** What every dialect does. */
function testLogins(director: () => PostilionProcess, suffix: string): void {
  test('logins: where the database says, as whom it says', async () => {
    expect(await answerTo(director(), 'anna', 'anna pass')).toBe('ok');
    expect((await imapLogin(director(), 'EVA', 'eva pass')).ok).toBe(true);
    expect((await imapLogin(director(), 'ida', 'ida pass', 'SASL-LOGIN')).ok).toBe(true);
    expect(await lab.backendOf('anna')).toBe('b1');
    expect(await lab.backendOf('eva')).toBe('b2');
    expect(await lab.backendOf('ida.inside')).toBe('b1');
  });

  test('refusals', async () => {
    for (const user of [
      'anna',
      'eva',
      `nobody${suffix}`,
      "' OR '1'='1",
      "eva' -- ",
      'eva\\',
      '%',
    ]) {
      expect([user, await answerTo(director(), user, WRONG)]).toEqual([
        user,
        expect.stringContaining('[AUTHENTICATIONFAILED]'),
      ]);
    }
    expect(await answerTo(director(), 'eva', '')).toContain('[AUTHENTICATIONFAILED]');
    expect(await answerTo(director(), 'closed', WRONG)).toContain('[AUTHENTICATIONFAILED]');
    expect(await answerTo(director(), 'closed', 'closed pass')).toContain('Pay first');
    // A name for the backend with a line end in it never gets there.
    const broken = await answerTo(director(), 'breaker', 'x');
    expect(broken).not.toBe('ok');
    expect(broken).not.toContain('[AUTHENTICATIONFAILED]');
  });
}

function expectNoSecrets(director: PostilionProcess): void {
  for (const secret of [WRONG, 'eva pass', 'reader-pass', MASTER.password]) {
    expect(director.output).not.toContain(secret);
  }
}

/** Any character: what is in a name is for the database to know. */
const OVERRIDES = { auth_username_chars: '' };

describe('PostgreSQL', () => {
  let server: PgsqlServer;
  let relay: HoldingRelay;
  let director: PostilionProcess;

  beforeAll(async () => {
    server = await PgsqlServer.start(
      labAddress(PGSQL),
      `${USERS}
       CREATE USER postilion PASSWORD 'reader-pass'; GRANT SELECT ON users TO postilion;`,
    );
    relay = await HoldingRelay.start(labAddress(RELAY), server);
    const connect = `host=${relay.host} port=${relay.port} dbname=mail user=postilion password=reader-pass`;
    const listen = '127.0.0.1:0';
    director = await lab.serve([{ ...OPTIONS, dialect: 'pgsql', connect }], {
      ...OVERRIDES,
      services: [
        { protocol: 'imap', listen },
        { protocol: 'lmtp', listen },
      ],
      backends: {
        imap: { port: IMAP_PORT, trusted: true },
        lmtp: { port: LMTP_PORT, trusted: true },
      },
    });
  });

  afterAll(async () => {
    await relay?.close();
    await server?.stop();
  });

  testLogins(() => director, 'pg');

  test('mail goes where the logins go: the look-up has the same fields', async () => {
    const client = await LmtpClient.open(lmtpPortOf(director));
    const [eva, nobody] = await client.envelope('', 'eva', "\"' OR '1'='1\"");
    expect(eva).toMatch(/^250 /);
    expect(nobody).toMatch(/^550 /);
    await relay.close();
    expect(await client.command('RCPT TO:<anna>')).toMatch(/^451 /);
    expect(await client.data('Subject: x\r\n\r\nx\r\n', 1)).toEqual([
      expect.stringMatching(/^250 /),
    ]);
    client.close();
    expect(copiesOf(lab.lab, 'eva')).toEqual(['b2']);
    await relay.open();
  });

  test('down, slow, and back again: never a wrong password', async () => {
    const unavailable = expect.stringContaining('[UNAVAILABLE]');
    await relay.close();
    expect(await answerTo(director, 'eva', 'eva pass')).toEqual(unavailable);
    expect(await answerTo(director, 'eva', WRONG)).toEqual(unavailable);
    await relay.open();
    const isBack = async () => (await answerTo(director, 'eva', 'eva pass')) === 'ok';
    await eventually('the database is back', DEADLINE_MS, isBack);
    relay.hold();
    // Each worker has connections of its own, and one may still remember that there was no server.
    const held = /no (answer|connection) within 2000 ms/;
    await eventually('a question without an answer', DEADLINE_MS, async () => {
      expect(await answerTo(director, 'eva', 'eva pass')).toEqual(unavailable);
      return director.log.some((entry) => held.test(JSON.stringify(entry)));
    });
    relay.release();
    await eventually('the database answers', DEADLINE_MS, isBack);
    expectNoSecrets(director);
  });
});

describe('MariaDB', () => {
  let server: MariadbServer;
  let director: PostilionProcess;

  beforeAll(async () => {
    server = await MariadbServer.start(
      labAddress(MARIADB),
      `${USERS}
       CREATE USER postilion@'%' IDENTIFIED BY 'reader-pass'; GRANT SELECT ON mail.* TO postilion@'%';`,
    );
    const connect = {
      ...{ host: server.host, port: server.port, dbname: 'mail' },
      ...{ user: 'postilion', password: 'reader-pass' },
    };
    director = await lab.serve([{ ...OPTIONS, dialect: 'mysql', connect }], OVERRIDES);
  });

  afterAll(async () => {
    await server?.stop();
  });

  testLogins(() => director, 'my');

  test('restarted while nobody logs in', async () => {
    await server.pause();
    expect(await answerTo(director, 'eva', 'eva pass')).toContain('[UNAVAILABLE]');
    await server.restart();
    await eventually('MariaDB is back', DEADLINE_MS, async () => {
      return (await answerTo(director, 'eva', 'eva pass')) === 'ok';
    });
    expectNoSecrets(director);
  });
});

describe('SQLite', () => {
  let folder: string;
  let director: PostilionProcess;

  beforeAll(async () => {
    folder = makeLabDirectory();
    const path = join(folder, 'users.sqlite');
    const database = new DatabaseSync(path);
    database.exec(USERS);
    database.close();
    director = await lab.serve([{ ...OPTIONS, dialect: 'sqlite', connect: path }], OVERRIDES);
  });

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  testLogins(() => director, 'lite');

  test('no file: never a wrong password', async () => {
    rmSync(join(folder, 'users.sqlite'));
    expect(await answerTo(director, 'eva', 'eva pass')).toContain('[UNAVAILABLE]');
    expectNoSecrets(director);
  });
});

test('no user was on two backends', async () => {
  await lab.watch.waitUntilAllEnded();
  expect(lab.watch.overlaps()).toEqual([]);
});
