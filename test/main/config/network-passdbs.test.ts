import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '../../../src/main/config/config.ts';
import { ConfigError } from '../../../src/main/config/config-error.ts';
import { readPassdbs } from '../../../src/main/config/passdb/passdb.ts';
import type { PassdbSettings } from '../../../src/shared/passdb-settings.ts';
import { makeCertificate } from '../../support/certificates.ts';

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-passdb-'));
  writeFileSync(join(folder, 'key'), 'Bearer gé heim\n');
  writeFileSync(join(folder, 'two-lines'), 'a\nb\n');
  writeFileSync(join(folder, 'empty'), '\n');
  await makeCertificate(folder, 'ca');
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

async function read(...passdb: string[]): Promise<PassdbSettings[]> {
  const text = `services: [{ protocol: imap, listen: "127.0.0.1:143" }]
director: { mail_servers: [10.0.0.1] }
passdb:
${passdb.map((one) => `  - { ${one} }`).join('\n')}
`;
  return await readPassdbs(parseConfig(text, join(folder, 'postilion.yaml')).passdb);
}

test('what the workers get of an HTTP server', async () => {
  const [http] = await read(
    'driver: http, url: "https://a.test", ca: ca.pem, header_files: { Authorization: key }, ' +
      'headers: { X-Site: "ö" }, timeout: 2s, default_fields: { director_tag: x }',
  );
  expect(http).toEqual({
    driver: 'http',
    name: 'http',
    server: {
      url: 'https://a.test/',
      headers: { authorization: latin1('Bearer gé heim'), 'x-site': latin1('ö') },
      ca: expect.stringContaining('BEGIN CERTIFICATE'),
      timeoutMs: 2000,
    },
    style: 'nginx',
    mechanisms: ['PLAIN', 'LOGIN'],
    usesAuthServer: false,
    showsReason: false,
    defaultFields: { director_tag: 'x' },
    overrideFields: {},
    isMaster: false,
  });
});

test('what the workers get of an issuer', async () => {
  const [keys, introspection] = await read(
    'driver: oauth2, jwks_url: "http://a.test/keys"',
    'driver: oauth2, introspection_url: "http://a.test/", client_id: me, client_secret_file: key, ' +
      'master_user: boss, master_password: "gé", clock_tolerance: 5s, token_cache_ttl: 1m, scope: a b',
  );
  const server = { headers: {}, ca: '', timeoutMs: 10_000 };
  expect(keys).toMatchObject({
    verification: { kind: 'jwks', server: { ...server, url: 'http://a.test/keys' } },
    usernameClaim: 'email',
    clockToleranceSecs: 30,
    cacheMs: 300_000,
    master: null,
  });
  expect(introspection).toMatchObject({
    verification: {
      kind: 'introspection',
      server: { ...server, url: 'http://a.test/' },
      clientId: 'me',
      clientSecret: latin1('Bearer gé heim'),
    },
    scopes: ['a', 'b'],
    clockToleranceSecs: 5,
    cacheMs: 60_000,
    master: { user: 'boss', password: latin1('gé') },
  });
});

test('what the workers get of an auth process', async () => {
  const [unix, tcp] = await read(
    'driver: dovecot-auth, socket: ./auth-client, master_socket: /run/dovecot/auth-userdb',
    'driver: dovecot-auth, socket: "auth.test:9999", master_socket: "[2001:DB8::1]:9998", timeout: 5s',
  );
  expect(unix).toMatchObject({
    socket: { path: join(folder, 'auth-client') },
    masterSocket: { path: '/run/dovecot/auth-userdb' },
    timeoutMs: 30_000,
  });
  expect(tcp).toMatchObject({
    socket: { host: 'auth.test', port: 9999 },
    masterSocket: { host: '2001:db8::1', port: 9998 },
    timeoutMs: 5000,
  });
});

test.each([
  [
    'driver: http, url: "http://a.test", header_files: { X: none }',
    'none: passdb.http.header_files.x',
  ],
  ['driver: http, url: "http://a.test", header_files: { X: two-lines }', 'expected one line'],
  ['driver: http, url: "http://a.test", header_files: { X: empty }', 'expected one line'],
  [
    'driver: http, url: "http://a.test", ca: key',
    'key: passdb.http.ca: expected certificates (PEM)',
  ],
  ['driver: http, url: "http://a.test", ca: none', 'none: passdb.http.ca: cannot be read (ENOENT)'],
  [
    'driver: oauth2, jwks_url: "http://a.test", master_user: a, master_password_file: none',
    'passdb.oauth2.master_password_file: cannot be read',
  ],
])('files that are no good: %s', async (passdb, text) => {
  const failed = read(passdb);
  await expect(failed).rejects.toBeInstanceOf(ConfigError);
  await expect(failed).rejects.toThrow(text);
});
