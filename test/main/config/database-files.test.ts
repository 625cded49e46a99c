import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../../src/main/config/config.ts';
import { readPassdbs } from '../../../src/main/config/passdb/passdb.ts';
import type { PassdbSettings } from '../../../src/shared/passdb-settings.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-passdb-'));
  writeFileSync(join(folder, 'password'), 'pässword\n');
  writeFileSync(join(folder, 'ca.pem'), '-----BEGIN CERTIFICATE-----\n');
  writeFileSync(join(folder, 'text'), 'not PEM\n');
  writeFileSync(join(folder, 'lines'), 'one\ntwo\n');
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function settingsOf(passdb: Readonly<Record<string, unknown>>): Promise<PassdbSettings> {
  const file = {
    services: [{ protocol: 'imap', listen: '127.0.0.1:143' }],
    director: { mail_servers: ['10.0.0.1'] },
    passdb: [passdb],
  };
  const config = parseConfig(stringify(file), join(folder, 'postilion.yaml'));
  const [settings] = await readPassdbs(config.passdb);
  return settings!;
}

function sql(connect: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...{
      driver: 'sql',
      dialect: 'pgsql',
      password_query: "SELECT password FROM u WHERE id = '%u'",
    },
    connect: { dbname: 'mail', user: 'reader', ...connect },
  };
}

test('secrets and certificates come from their files', async () => {
  const password = Buffer.from('pässword', 'utf8').toString('latin1');
  const given = { password_file: 'password', tls: true, ca: 'ca.pem', host: 'db.example.org' };
  expect(await settingsOf(sql(given))).toMatchObject({
    ...{ driver: 'sql', name: 'sql', servers: ['db.example.org'], port: 5432, password },
    tls: { ca: '-----BEGIN CERTIFICATE-----\n', verify: true },
  });
  expect(await settingsOf(sql({ password: 'pässword' }))).toMatchObject({ password, tls: null });
  const ldap = { driver: 'ldap', uris: 'ldaps://a ldaps://b', dn: 'cn=x' };
  expect(await settingsOf({ ...ldap, dnpass_file: 'password', ca: 'ca.pem' })).toMatchObject({
    ...{ driver: 'ldap', uris: ['ldaps://a', 'ldaps://b'], dnpass: password },
    ...{ passAttrs: 'uid=user,userPassword=password', timeoutMs: 5000 },
    tls: { ca: '-----BEGIN CERTIFICATE-----\n', verify: true },
  });
});

test.each([
  ['password_file', 'missing', 'cannot be read (ENOENT)'],
  ['password_file', 'lines', 'expected one line, the secret'],
  ['ca', 'missing', 'cannot be read (ENOENT)'],
  ['ca', 'text', 'expected a PEM file'],
])('%s: %s', async (setting, file, text) => {
  const settings = settingsOf(sql({ tls: true, [setting]: file }));
  await expect(settings).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(settings).rejects.toThrow(`passdb.sql.connect.${setting}: ${text}`);
});

test("Dovecot's text for connect", async () => {
  const text = 'host=db1 host=/run/pgsql port=5433 dbname=mail user=reader password=a=b';
  expect(await settingsOf({ ...sql({}), connect: text })).toMatchObject({
    ...{ servers: ['db1', '/run/pgsql'], port: 5433, dbname: 'mail', user: 'reader' },
    password: 'a=b',
  });
  const sqlite = { ...sql({}), dialect: 'sqlite', connect: 'users.sqlite' };
  expect(await settingsOf(sqlite)).toMatchObject({ servers: [join(folder, 'users.sqlite')] });
});
