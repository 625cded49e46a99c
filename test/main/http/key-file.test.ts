import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ConfigError } from '../../../src/main/config/config-error.ts';
import { KeyFile } from '../../../src/main/http/key-file.ts';

async function writtenFile(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postilion-keys-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'keys');
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

it('is read again, and a key that is out of it is none', async () => {
  const path = await writtenFile('old old-secret-1\n');
  const file = await KeyFile.open(path);
  const log: string[] = [];
  await writeFile(path, 'new new-secret-1\nother new-secret-2\n');
  expect(file.keys.nameOf('old-secret-1')).toBe('old');
  await file.reload((level, text) => log.push(`${level} ${text}`));
  expect(file.keys.nameOf('old-secret-1')).toBeNull();
  expect(file.keys.nameOf('new-secret-1')).toBe('new');
  expect(log).toEqual([`info http: 2 keys read from ${path}`]);
});

it.each([
  ['', 0o600, /keys stay as they were: .*expected one key at least/],
  ['short x\n', 0o600, /keys:1:1: expected a key of 8 to 512/],
  ['new new-secret-1\n', 0o644, /everybody may read it/],
])('that is no good (%j, %o) changes nothing', async (text, mode, message) => {
  const path = await writtenFile('old old-secret-1\n');
  const file = await KeyFile.open(path);
  const log: string[] = [];
  await writeFile(path, text);
  await chmod(path, mode);
  await file.reload((level, line) => log.push(`${level} ${line}`));
  expect(file.keys.nameOf('old-secret-1')).toBe('old');
  expect(log).toEqual([expect.stringMatching(message)]);
  expect(log[0]).toMatch(/^error /);
  expect(log[0]).not.toContain('secret');
});

it('that is gone leaves the keys; without a file there is nothing to read', async () => {
  const path = await writtenFile('old old-secret-1\n');
  const file = await KeyFile.open(path);
  await rm(path);
  await file.reload(() => {});
  expect(file.keys.nameOf('old-secret-1')).toBe('old');
  const none = await KeyFile.open('');
  await none.reload(() => expect.unreachable());
  expect(none.keys.isEmpty).toBe(true);
  await expect(KeyFile.open(path)).rejects.toThrow(ConfigError);
});

it('of two readings the last one counts', async () => {
  const path = await writtenFile('old old-secret-1\n');
  const file = await KeyFile.open(path);
  const first = file.reload(() => {});
  await writeFile(path, 'new new-secret-1\n');
  await Promise.all([first, file.reload(() => {})]);
  expect(file.keys.nameOf('new-secret-1')).toBe('new');
});
