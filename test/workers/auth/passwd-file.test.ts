import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PasswdFile } from '../../../src/workers/auth/passwd-file.ts';
import { PasswdFilePassdb } from '../../../src/workers/auth/passwd-file-passdb.ts';
import { parsePasswdLine } from '../../../src/workers/auth/passwd-line.ts';
import { passdbEnvironment } from '../../support/passdb-environment.ts';
import { lookUpQuery, verifyQuery } from '../../support/passdb-queries.ts';

describe('a line', () => {
  test.each([
    ['alice:{PLAIN}pass', 'alice', '{PLAIN}pass', {}],
    ['alice', 'alice', '', {}],
    ['alice:x:1:2:gecos:/home:/bin/sh', 'alice', 'x', {}],
    ['a:x:::::: host=h  port=1\tnologin', 'a', 'x', { host: 'h', port: '1', nologin: 'y' }],
    ['a:x::::::destuser=b:c=d', 'a', 'x', { destuser: 'b:c=d' }],
    ['a:x::::::userdb_home=/h pass=', 'a', 'x', { pass: '' }],
    ['a:x::::::', 'a', 'x', {}],
  ])('%j', (line, name, password, fields: Record<string, string>) => {
    const parsed = parsePasswdLine(line);
    expect(parsed).toEqual({ name, user: { password, fields: new Map(Object.entries(fields)) } });
  });

  test.each(['', '# alice:x', ':x:'])('%j is no user', (line) => {
    expect(parsePasswdLine(line)).toBeNull();
  });
});

describe('a file', () => {
  let directory: string;
  let path: string;
  let nowMs: number;
  let log: string[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'postilion-passwd-'));
    path = join(directory, 'users');
    nowMs = 0;
    log = [];
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function open(): PasswdFile {
    return new PasswdFile(path, {
      log: (level, text) => log.push(`${level} ${text}`),
      now: () => nowMs,
    });
  }

  const answer = (password: string | null) => {
    const user = password === null ? null : { password, fields: new Map() };
    return { kind: 'answer', user };
  };

  test('the first of two lines for one user counts, and the log says so', async () => {
    writeFileSync(path, 'a:1\nb:2\r\na:3');
    const file = open();
    expect(await file.find('a')).toEqual(answer('1'));
    expect(await file.find('b')).toEqual(answer('2'));
    expect(await file.find('c')).toEqual(answer(null));
    expect(log).toEqual([
      `warn ${path}: a user is there more than once: line 3`,
      `info ${path}: read, 2 users`,
    ]);
  });

  test('is looked at once a second at most, and read when it is another one', async () => {
    writeFileSync(path, 'a:1\n');
    const file = open();
    await file.find('a');
    writeFileSync(`${path}.new`, 'a:2\n');
    renameSync(`${path}.new`, path);
    nowMs = 999;
    expect(await file.find('a')).toEqual(answer('1'));
    nowMs = 1000;
    expect(await file.find('a')).toEqual(answer('2'));
    nowMs = 2000;
    await file.find('a');
    expect(log).toHaveLength(2);
    utimesSync(path, 5, 5);
    nowMs = 3000;
    await file.find('a');
    expect(log).toHaveLength(3);
  });

  test('all who ask while it is being read wait for it', async () => {
    writeFileSync(path, Array.from({ length: 20_000 }, (_, i) => `u${i}:p${i}\n`).join(''));
    const file = open();
    const found = await Promise.all(['u0', 'u19999', 'x'].map((name) => file.find(name)));
    expect(found).toEqual([answer('p0'), answer('p19999'), answer(null)]);
    expect(log).toHaveLength(1);
  });

  test('one that is gone knows nothing of anybody; one line in the log', async () => {
    writeFileSync(path, 'a:1\n');
    const file = open();
    await file.find('a');
    rmSync(path);
    for (nowMs = 1000; nowMs <= 3000; nowMs += 1000) {
      const found = await file.find('a');
      expect(found).toEqual({ kind: 'failed', detail: `${path}: ENOENT` });
    }
    expect(log.filter((line) => line.startsWith('error'))).toEqual([`error ${path}: ENOENT`]);
    writeFileSync(path, 'a:2\n');
    nowMs = 10_000;
    expect(await file.find('a')).toEqual(answer('2'));
  });

  describe('as a database', () => {
    function passdb(content: string): PasswdFilePassdb {
      writeFileSync(path, content);
      const common = { name: 'file', defaultFields: {}, overrideFields: {}, isMaster: false };
      const settings = { ...common, driver: 'passwd-file' as const, path, defaultScheme: 'PLAIN' };
      return new PasswdFilePassdb(settings, passdbEnvironment());
    }

    test.each([
      ['a:pass::::::x=1', 'pass', { kind: 'ok', fields: new Map([['x', '1']]) }],
      ['a:pass::::::nodelay', 'wrong', { kind: 'mismatch', fields: new Map([['nodelay', 'y']]) }],
      ['b:pass', 'pass', { kind: 'unknown-user' }],
      ['a:{SSHA}!', 'pass', { kind: 'failed', detail: 'SSHA: not a hash' }],
      ['a:{MD5}x', 'pass', { kind: 'failed', detail: 'password scheme MD5 is not supported' }],
      ['a:', '', { kind: 'mismatch', fields: new Map() }],
      ['a:::::::nopassword', 'any', { kind: 'ok', fields: new Map([['nopassword', 'y']]) }],
      [
        'a:x::::::nopassword',
        'x',
        { kind: 'failed', detail: 'nopassword is set for a user who has a password' },
      ],
      ['a:x::::::nopassword=no', 'x', { kind: 'ok', fields: new Map([['nopassword', 'no']]) }],
      [
        'a:pass::::::destuser=%u-%s',
        'pass',
        { kind: 'ok', fields: new Map([['destuser', 'a-imap']]) },
      ],
      [
        'a:pass::::::destuser=%!',
        'pass',
        { kind: 'failed', detail: 'a field of the user has a % that is no variable' },
      ],
    ])('%j with %j', async (line, secret, expected) => {
      expect(await passdb(`${line}\n`).query(verifyQuery('a', secret))).toEqual(expected);
    });

    test('a look-up wants no password', async () => {
      const database = passdb('a:pass::::::x=1\n');
      const found = { kind: 'ok', fields: new Map([['x', '1']]) };
      expect(await database.query(lookUpQuery('a'))).toEqual(found);
      expect(await database.query(lookUpQuery('b'))).toEqual({ kind: 'unknown-user' });
    });

    test('keys for SCRAM: as stored, made of a plain password, or none', async () => {
      const stored =
        '{SCRAM-SHA-256}4096,XCeD2icQWHdPOoniT8Fskw==,3sHQscADCG6ptoEYPLhthvojFi0vqm1PudG6eanDs/s=,' +
        'ORNNx0WYDDZoFOgX20nw5TgfxmDuatPQ+zMYIfrXXSU=';
      const database = passdb(`a:${stored}\nb:pass\nc:{SHA256}x\nd:{SCRAM-SHA-256}1,2\n`);
      const keysOf = async (user: string) => {
        return await database.query(lookUpQuery(user, { kind: 'credentials' }));
      };
      const salt = Buffer.from('XCeD2icQWHdPOoniT8Fskw==', 'base64');
      expect(await keysOf('a')).toMatchObject({ kind: 'ok', scram: { iterations: 4096, salt } });
      expect(await keysOf('b')).toMatchObject({ kind: 'ok', scram: { iterations: 4096 } });
      expect(await keysOf('c')).toMatchObject({ kind: 'ok', scram: null });
      expect(await keysOf('d')).toMatchObject({ kind: 'failed' });
      expect(await keysOf('e')).toEqual({ kind: 'unknown-user' });
    });
  });
});
