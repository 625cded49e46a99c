import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ConfigError } from '../../../src/main/config/config-error.ts';
import { ApiKeys } from '../../../src/main/http/api-keys.ts';
import { httpLimits } from '../../../src/main/http/http-limits.ts';

it('reads keys with and without names', () => {
  const text =
    '# for scripts\n\nnightly key-of-the-script\r\n  \tunnamed-key \n#old old-key-is-gone\n';
  const keys = ApiKeys.parse(text, 'keys');
  expect(keys.nameOf('key-of-the-script')).toBe('nightly');
  expect(keys.nameOf('unnamed-key')).toBe('key');
  for (const wrong of ['', 'old-key-is-gone', 'nightly', 'unnamed-ke', 'unnamed-key ', '#']) {
    expect(keys.nameOf(wrong), wrong).toBeNull();
  }
});

it('takes the user doveadm with any key, and every name with its own key', () => {
  const keys = ApiKeys.parse('a key-of-a-1\nb key-of-b-1\n', 'keys');
  expect(keys.nameOfUser('doveadm', 'key-of-b-1')).toBe('b');
  expect(keys.nameOfUser('a', 'key-of-a-1')).toBe('a');
  expect(keys.nameOfUser('a', 'key-of-b-1')).toBeNull();
  expect(keys.nameOfUser('', 'key-of-b-1')).toBeNull();
  expect(keys.nameOfUser('doveadm', 'wrong')).toBeNull();
});

const { min, max } = httpLimits.keyChars;
it.each([
  ['', 'keys: expected one key at least'],
  ['# none\n', 'keys: expected one key at least'],
  ['a b secret-key-1', 'keys:1:1: expected a key, or a name and a key'],
  ['\nshort x', `keys:2:1: expected a key of ${min} to ${max} printable ASCII characters`],
  ['k'.repeat(min - 1), `keys:1:1: expected a key of ${min} to ${max} printable ASCII characters`],
  ['k'.repeat(max + 1), `keys:1:1: expected a key of ${min} to ${max} printable ASCII characters`],
  ['schl\xfcssel1', `keys:1:1: expected a key of ${min} to ${max} printable ASCII characters`],
  [`${'n'.repeat(65)} secret-key-1`, 'keys:1:1: expected a name of at most 64 printable ASCII'],
  ['secret-key-1\nsecret-key-2', 'keys:2:1: expected a name that no other key has'],
  [manyKeys(httpLimits.keys + 1), `keys:${httpLimits.keys + 1}:1: expected fewer keys`],
])('refuses %j', (text, message) => {
  const parse = () => ApiKeys.parse(text, 'keys');
  expect(parse).toThrow(ConfigError);
  expect(parse).toThrow(message);
  // Whatever is wrong with it: a secret does not go to the log.
  expect(parse).not.toThrow(/secret|schl/);
});

it('takes keys up to the limits', () => {
  expect(ApiKeys.parse('k'.repeat(min), 'keys').nameOf('k'.repeat(min))).toBe('key');
  expect(ApiKeys.parse('k'.repeat(max), 'keys').nameOf('k'.repeat(max))).toBe('key');
  expect(ApiKeys.parse(manyKeys(httpLimits.keys), 'keys').nameOf('secret-key-7')).toBe('n7');
});

function manyKeys(count: number): string {
  return Array.from({ length: count }, (_, i) => `n${i} secret-key-${i}\n`).join('');
}

it('loads a file that not everybody may read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postilion-keys-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'keys');
  await expect(ApiKeys.load(file)).rejects.toThrow(`${file}: cannot be read (ENOENT)`);
  await writeFile(file, 'secret-key-1\n');
  await chmod(file, 0o604);
  await expect(ApiKeys.load(file)).rejects.toThrow(`${file}: everybody may read it`);
  await chmod(file, 0o640);
  expect((await ApiKeys.load(file)).nameOf('secret-key-1')).toBe('key');
  await writeFile(file, '#'.repeat(httpLimits.keyFileBytes + 1));
  await expect(ApiKeys.load(file)).rejects.toThrow('expected 65536 bytes at most');
  await expect(ApiKeys.load(folder)).rejects.toThrow(ConfigError);
});
