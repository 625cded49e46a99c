import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseConfig } from '../../../src/main/config/config.ts';
import { configLimits } from '../../../src/main/config/config-limits.ts';
import { readPassdbs } from '../../../src/main/config/passdb/passdb.ts';
import { readSecret } from '../../../src/main/config/passdb/secret.ts';
import { printConfig } from '../../../src/main/config/print-config.ts';

const SECRET = 'geheim-40cc2f';
const directory = mkdtempSync(join(tmpdir(), 'postilion-secrets-'));

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function configText(passdb: string): string {
  return `
services: [{ protocol: imap, listen: "127.0.0.1:143" }]
director: { mail_servers: [10.0.0.1] }
passdb: [${passdb}]
`;
}

test.each(['default_fields', 'override_fields'])('%s: no password is printed', async (fields) => {
  const text = configText(
    `{ driver: passwd-file, path: users, ${fields}: { master: "mäster", pass: ${SECRET} } }`,
  );
  const config = parseConfig(text, '/etc/postilion.yaml');
  const printed = printConfig(config);
  expect(printed).not.toContain(SECRET);
  expect(printed).toContain('master: mäster');
  expect(printed).toContain('pass: …');
  // It is shown in no other way either, and is no password.
  expect(() => parseConfig(printed, '/etc/postilion.yaml')).toThrow(/expected a mapping/);
  const [read] = await readPassdbs(config.passdb);
  const given = fields === 'default_fields' ? read?.defaultFields : read?.overrideFields;
  expect(given).toEqual({ master: Buffer.from('mäster').toString('latin1'), pass: SECRET });
});

test.each([
  ['a list', `[${SECRET}]`],
  ['two lines', `{ pass: "${SECRET}\\n" }`],
  ['a wrong name', `{ "pass word": ${SECRET} }`],
])('an error does not show one: %s', (_, fields) => {
  const text = configText(`{ driver: passwd-file, path: users, default_fields: ${fields} }`);
  const parse = (): unknown => parseConfig(text, '/etc/postilion.yaml');
  expect(parse).toThrow(/default_fields: expected a mapping/);
  expect(parse).not.toThrow(new RegExp(SECRET));
});

test('a secret in a file of its own: one line, with or without its end', async () => {
  for (const [content, expected] of [
    [SECRET, SECRET],
    [`${SECRET}\n`, SECRET],
    [`${SECRET}\r\n`, SECRET],
    ['pässe', Buffer.from('pässe').toString('latin1')],
  ] as const) {
    const file = join(directory, 'secret');
    writeFileSync(file, content);
    expect(await readSecret('', file, 'x')).toBe(expected);
  }
  expect(await readSecret('inline', '', 'x')).toBe('inline');
});

test.each([
  ['two lines', `${SECRET}\nmore\n`, 'expected one line'],
  ['nothing', '\n', 'expected one line'],
  ['more than the limit', 'x'.repeat(configLimits.secretChars + 1), 'bytes at most'],
])('a file with %s is none', async (_, content, text) => {
  const file = join(directory, 'bad');
  writeFileSync(file, content);
  const read = readSecret('', file, 'passdb.x.password_file');
  await expect(read).rejects.toThrow(new RegExp(`passdb.x.password_file: .*${text}`));
  await expect(readSecret('', join(directory, 'gone'), 'x')).rejects.toThrow('ENOENT');
});
