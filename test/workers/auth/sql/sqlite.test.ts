import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { errorCode } from '../../../../src/shared/errors.ts';
import { eventually } from '../../../support/deadline.ts';
import { verifyQuery } from '../../../support/passdb-queries.ts';
import { outputOf } from '../../../support/run-program.ts';
import { asked, testSqlBehaviour, withPassdb } from './sql-behaviour.ts';
import { sqlSettings, usersScript } from './sql-users.ts';

const ASK = verifyQuery('alice@example.org', 'alice pass');
let directory: string;
let path: string;

function makeDatabase(file: string, script: string): void {
  const database = new DatabaseSync(file);
  database.exec(script);
  database.close();
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'postilion-sqlite-'));
  path = join(directory, 'users.sqlite');
  makeDatabase(path, usersScript(false));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const lab = {
  settings: (more: Partial<SqlPassdbSettings> = {}) =>
    sqlSettings({ dialect: 'sqlite', servers: [path], ...more }),
  countUsers: async () => {
    const database = new DatabaseSync(path);
    const row = database.prepare('SELECT count(*) AS users FROM users').get();
    database.close();
    return Number(row?.['users']);
  },
};

testSqlBehaviour(lab);

test('no file, and a file that is no database: no verdict', async () => {
  const missing = join(directory, 'missing.sqlite');
  const [gone] = await asked(lab.settings({ servers: [missing] }), ASK);
  expect(gone).toMatchObject({ kind: 'failed', detail: expect.stringContaining('ENOENT') });
  const text = join(directory, 'text.sqlite');
  writeFileSync(text, 'not a database at all, but long enough to be taken for one '.repeat(100));
  const [wrong] = await asked(lab.settings({ servers: [text] }), ASK);
  expect(wrong).toMatchObject({ kind: 'failed', detail: expect.stringContaining('database') });
});

test('a database that is locked by a writer: no verdict, and none too late', async () => {
  const writer = new DatabaseSync(path);
  try {
    await withPassdb(lab.settings(), async (passdb) => {
      await eventually('the thread has started', 10_000, async () => {
        return (await passdb.query(ASK)).kind === 'ok';
      });
      writer.exec('BEGIN EXCLUSIVE');
      expect(await passdb.query(ASK)).toMatchObject({ kind: 'failed' });
      writer.exec('COMMIT');
      await eventually('the lock is gone', 10_000, async () => {
        return (await passdb.query(ASK)).kind === 'ok';
      });
    });
  } finally {
    writer.close();
  }
});

test('a file that takes the place of the database is seen at the next login', async () => {
  const file = join(directory, 'replaced.sqlite');
  const script = usersScript(false);
  makeDatabase(file, script);
  await withPassdb(lab.settings({ servers: [file] }), async (passdb) => {
    expect((await passdb.query(ASK)).kind).toBe('ok');
    const next = join(directory, 'next.sqlite');
    makeDatabase(next, script.replace('alice pass', 'another pass'));
    renameSync(next, file);
    expect((await passdb.query(ASK)).kind).toBe('mismatch');
    rmSync(file);
    expect(await passdb.query(ASK)).toMatchObject({ kind: 'failed' });
  });
});

test('nothing is written, whatever the query says', async () => {
  const passwordQuery = "DELETE FROM users WHERE username = '%n' RETURNING password";
  const before = await lab.countUsers();
  const [answer] = await asked(lab.settings({ passwordQuery }), ASK);
  expect(answer).toMatchObject({ kind: 'failed', detail: expect.stringContaining('readonly') });
  expect(await lab.countUsers()).toBe(before);
});

test('threads that SQLite does not come back from are given up, and there are not too many', async () => {
  // A file system that hangs: whoever opens this waits for somebody who writes.
  const pipe = join(directory, 'pipe.sqlite');
  await outputOf('mkfifo', [pipe]);
  const settings = lab.settings({ servers: [pipe], connectTimeoutMs: 1000 });
  await withPassdb(settings, async (passdb) => {
    expect(await passdb.query(ASK)).toEqual({
      kind: 'failed',
      detail: `query failed: ${pipe}: no connection within 1000 ms`,
    });
    await eventually('no more threads', 20_000, async () => {
      const answer = await passdb.query(ASK);
      return answer.kind === 'failed' && /: 3 threads are stuck$/.test(answer.detail);
    });
    await eventually('the threads have ended', 15_000, async () => {
      // Nobody may be there to read.
      closeIfOpen(pipe);
      const answer = await passdb.query(ASK);
      return answer.kind === 'failed' && !/: 3 threads are stuck$/.test(answer.detail);
    });
  });
});

/** Opens the pipe for writing, if somebody waits for that, and closes it. */
function closeIfOpen(pipe: string): void {
  try {
    closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    if (errorCode(error) !== 'ENXIO') throw error;
  }
}
