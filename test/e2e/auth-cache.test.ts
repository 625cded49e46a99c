import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/deadline.ts';
import { makeLabDirectory } from '../support/lab-directory.ts';
import { imapLogin, MASTER, PassdbLab } from '../support/passdb-lab.ts';
import type { PostilionProcess } from '../support/postilion.ts';

/** `auth_cache_size` through `postilion serve`: what is remembered, and that SIGHUP is the end of it. */

const DEADLINE_MS = 10_000;

let lab: PassdbLab;
let director: PostilionProcess;
let database: DatabaseSync;
let directory: string;

beforeAll(async () => {
  directory = makeLabDirectory();
  const path = join(directory, 'users.sqlite');
  database = new DatabaseSync(path);
  database.exec('CREATE TABLE users (userid TEXT, password TEXT)');
  lab = await PassdbLab.start();
  const password_query =
    `SELECT password, '${MASTER.user}' AS master, '${MASTER.password}' AS pass ` +
    "FROM users WHERE userid = '%u'";
  const options = { dialect: 'sqlite', connect: path, default_pass_scheme: 'PLAIN' };
  director = await lab.serve([{ driver: 'sql', password_query, ...options }], {
    // Each worker has a cache of its own.
    workers: 1,
    ...{ auth_cache_size: '1M', auth_cache_ttl: '1h', auth_cache_negative_ttl: '1h' },
  });
});

afterAll(async () => {
  await lab?.stop();
  database?.close();
  rmSync(directory, { recursive: true, force: true });
});

async function isRight(user: string, password: string): Promise<boolean> {
  return (await imapLogin(director, user, password)).ok;
}

test('the password that was right stays so, and one that is new is asked about, until SIGHUP', async () => {
  expect(await isRight('anna', 'one')).toBe(false);
  database.exec("INSERT INTO users VALUES ('anna', 'one')");
  // That she was not there is remembered for this password, and no other.
  expect(await isRight('anna', 'one')).toBe(false);
  process.kill(director.pid, 'SIGHUP');
  await eventually('anna is known', DEADLINE_MS, () => isRight('anna', 'one'));
  database.exec("UPDATE users SET password = 'two'");
  expect(await isRight('anna', 'one')).toBe(true);
  process.kill(director.pid, 'SIGHUP');
  await eventually('the old password is over', DEADLINE_MS, async () => {
    return !(await isRight('anna', 'one'));
  });
  expect(await isRight('anna', 'two')).toBe(true);
  database.exec("UPDATE users SET password = 'three'");
  expect(await isRight('anna', 'three')).toBe(true);
  // The newest one is the one that is remembered.
  expect(await isRight('anna', 'two')).toBe(false);
});
