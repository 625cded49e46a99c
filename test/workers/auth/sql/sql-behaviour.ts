import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SqlPassdbSettings } from '../../../../src/shared/database-passdb-settings.ts';
import { utf8Bytes } from '../../../../src/shared/variable-template.ts';
import type { PassdbAnswer, PassdbQuery } from '../../../../src/workers/auth/passdb.ts';
import type { SqlPassdb } from '../../../../src/workers/auth/sql/sql-passdb.ts';
import { lookUpQuery, verifyQuery } from '../../../support/passdb-queries.ts';
import { INJECTIONS, ODD_USERS, sqlPassdb } from './sql-users.ts';

/** Asks a database that is closed afterwards. */
export async function asked(
  settings: SqlPassdbSettings,
  ...queries: readonly PassdbQuery[]
): Promise<PassdbAnswer[]> {
  return await withPassdb(settings, async (passdb) => {
    const answers: PassdbAnswer[] = [];
    for (const query of queries) answers.push(await passdb.query(query));
    return answers;
  });
}

export async function withPassdb<T>(
  settings: SqlPassdbSettings,
  work: (passdb: SqlPassdb) => Promise<T>,
): Promise<T> {
  const passdb = sqlPassdb(settings);
  try {
    return await work(passdb);
  } finally {
    await passdb.close();
  }
}

/** What every database has to do, of whatever kind it is. */
export function testSqlBehaviour(lab: {
  settings(more?: Partial<SqlPassdbSettings>): SqlPassdbSettings;
  countUsers(): Promise<number>;
}): void {
  const alice = 'alice@example.org';

  test('right and wrong password, unknown user', async () => {
    const answers = await asked(
      lab.settings(),
      verifyQuery(alice, 'alice pass'),
      verifyQuery(alice, 'alice pas'),
      verifyQuery(alice, ''),
      verifyQuery('alice@example.com', 'alice pass'),
      verifyQuery('alice', 'alice pass'),
      verifyQuery('crypt@example.org', 'crypt pass'),
      verifyQuery('crypt@example.org', 'crypt'),
    );
    const fields = new Map([
      ['director_tag', 'east'],
      ['destuser', 'alice.inside'],
    ]);
    expect(answers).toEqual([
      { kind: 'ok', fields },
      { kind: 'mismatch', fields },
      { kind: 'mismatch', fields },
      { kind: 'unknown-user' },
      { kind: 'unknown-user' },
      { kind: 'ok', fields: new Map() },
      { kind: 'mismatch', fields: new Map() },
    ]);
  });

  test('a look-up gives the fields, and asks for no password', async () => {
    const userQuery =
      "SELECT 'x' AS forward_y, director_tag FROM users WHERE username = '%n' AND domain = '%d'";
    const [same, unknown] = await asked(lab.settings(), lookUpQuery(alice), lookUpQuery('bob@x'));
    expect(same).toEqual({
      kind: 'ok',
      fields: new Map([
        ['director_tag', 'east'],
        ['destuser', 'alice.inside'],
      ]),
    });
    expect(unknown).toEqual({ kind: 'unknown-user' });
    const [own] = await asked(lab.settings({ userQuery }), lookUpQuery(alice));
    expect(own).toEqual({
      kind: 'ok',
      fields: new Map([
        ['forward_y', 'x'],
        ['director_tag', 'east'],
      ]),
    });
  });

  test('nopassword, no password, an empty one', async () => {
    const answers = await asked(
      lab.settings(),
      verifyQuery('open@example.org', 'anything'),
      verifyQuery('opened@example.org', 'x'),
      verifyQuery('locked@example.org', ''),
      verifyQuery('empty@example.org', ''),
    );
    expect(answers.map(({ kind }) => kind)).toEqual(['ok', 'failed', 'mismatch', 'mismatch']);
  });

  test('two rows for one user, no password column, a table that is not there: no verdict', async () => {
    const [twice] = await asked(lab.settings(), verifyQuery('twice@example.org', 'a'));
    expect(twice).toEqual({ kind: 'failed', detail: 'the query returned more than one row' });
    const passwordQuery = "SELECT director_tag FROM users WHERE username = '%n'";
    const [columnless] = await asked(lab.settings({ passwordQuery }), verifyQuery(alice, 'x'));
    expect(columnless).toEqual({
      kind: 'failed',
      detail: 'password_query must return a column "password"',
    });
    const missing = "SELECT password FROM no_such_table WHERE username = '%u'";
    const [tableless] = await asked(
      lab.settings({ passwordQuery: missing }),
      verifyQuery(alice, 'x'),
    );
    expect(tableless).toMatchObject({
      kind: 'failed',
      detail: expect.stringContaining('no_such_table'),
    });
  });

  test('SCRAM keys are made of a plain password, and not of a hash', async () => {
    const [plain, hashed, unknown] = await asked(
      lab.settings(),
      verifyQuery(alice, '', { kind: 'credentials' }),
      verifyQuery('crypt@example.org', '', { kind: 'credentials' }),
      verifyQuery('nobody@example.org', '', { kind: 'credentials' }),
    );
    expect(plain).toMatchObject({ kind: 'ok', scram: { mechanism: 'SCRAM-SHA-256' } });
    expect(hashed).toMatchObject({ kind: 'ok', scram: null });
    expect(unknown).toEqual({ kind: 'unknown-user' });
  });

  test.each(ODD_USERS)('a name and a password that need care: %j %j', async (name, password) => {
    const [right, wrong] = await asked(
      lab.settings(),
      verifyQuery(`${name}@example.org`, password),
      verifyQuery(`${name}@example.org`, `${password}x`),
    );
    expect([right.kind, wrong.kind]).toEqual(['ok', 'mismatch']);
  });

  test('injection: such names are nobody, as name, as domain and as password', async () => {
    const before = await lab.countUsers();
    await withPassdb(lab.settings(), async (passdb) => {
      for (const text of INJECTIONS) {
        for (const user of [text, `${text}@example.org`, `alice@${text}`]) {
          expect([user, await passdb.query(verifyQuery(user, 'x'))]).toEqual([
            user,
            { kind: 'unknown-user' },
          ]);
          expect(await passdb.query(lookUpQuery(user))).toEqual({ kind: 'unknown-user' });
        }
        expect((await passdb.query(verifyQuery(alice, text))).kind).toBe('mismatch');
      }
    });
    expect(await lab.countUsers()).toBe(before);
  });

  test('whatever the name is, the database gets that name', async () => {
    const passwordQuery = "SELECT '%u' AS echo, 'it''s <%n>' AS framed, NULL AS password";
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((name) => !/[\0@]/.test(name));
    const hostile = fc.constantFrom("'", '"', '--', ';', '\\', "\\'", '%u', '?', '$1', '/*', '`');
    const names = fc
      .array(fc.oneof(text, hostile), { minLength: 1, maxLength: 5 })
      .map((pieces) => pieces.join(''));
    await withPassdb(lab.settings({ passwordQuery }), async (passdb) => {
      await fc.assert(
        fc.asyncProperty(names, async (name) => {
          const bytes = utf8Bytes(name);
          expect(await passdb.query(lookUpQuery(bytes))).toEqual({
            kind: 'ok',
            fields: new Map([
              ['echo', bytes],
              ['framed', `it's <${bytes}>`],
            ]),
          });
        }),
      );
    });
  });

  test('a password that the query itself compares', async () => {
    const passwordQuery =
      "SELECT NULL AS password, 'y' AS nopassword FROM users WHERE username = '%n' AND password = '{PLAIN}%w'";
    const [right, wrong, attack] = await asked(
      lab.settings({ passwordQuery }),
      verifyQuery(alice, 'alice pass'),
      verifyQuery(alice, 'alice'),
      verifyQuery(alice, "' OR '1'='1"),
    );
    expect([right.kind, wrong.kind, attack.kind]).toEqual(['ok', 'unknown-user', 'unknown-user']);
  });

  test('username and domain make the user, as with Dovecot', async () => {
    const passwordQuery =
      "SELECT username, 'b.example' AS domain, password FROM users WHERE username = '%n'";
    const [answer] = await asked(lab.settings({ passwordQuery }), verifyQuery(alice, 'alice pass'));
    expect(answer).toEqual({ kind: 'ok', fields: new Map([['user', 'alice@b.example']]) });
  });

  test('closed: no answer', async () => {
    const passdb = sqlPassdb(lab.settings());
    expect((await passdb.query(verifyQuery(alice, 'alice pass'))).kind).toBe('ok');
    await passdb.close();
    expect(await passdb.query(verifyQuery(alice, 'alice pass'))).toMatchObject({ kind: 'failed' });
  });
}
