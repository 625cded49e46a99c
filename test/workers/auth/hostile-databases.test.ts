import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { startTlsRequest } from '../../../src/shared/wire/ldap-starttls.ts';
import type { Passdb } from '../../../src/workers/auth/passdb.ts';
import { verifyQuery } from '../../support/passdb-queries.ts';
import { ldapPassdb, ldapSettings } from './ldap/ldap-entries.ts';
import { sqlPassdb, sqlSettings } from './sql/sql-users.ts';

/** Servers that are none, or that somebody on the way pretends to be. */

const ASK = verifyQuery('alice@example.org', 's3cret-of-alice');
/** SSLRequest of PostgreSQL. */
const PGSQL_TLS_REQUEST = '\0\0\0\x08\x04\xd2\x16\x2f';
/** MySQL's greeting, without CLIENT_SSL among what the server can do. */
const MYSQL_GREETING = mysqlGreeting();
const LDAP_CONSENT = Buffer.from('300c02010178070a010004000400', 'hex');

let server: net.Server | null = null;
let received = '';

afterEach(() => {
  server?.close();
  server = null;
});

/** A server that does `speak` with each connection; all that clients send is in `received`. */
async function serve(speak: (socket: net.Socket) => void): Promise<number> {
  received = '';
  server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
    });
    speak(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

function databasesOn(port: number, isTls: boolean): Record<string, Passdb> {
  const limits = { timeoutMs: 800, connectTimeoutMs: 400 };
  const tls = isTls ? { ca: '', verify: false } : null;
  const sql = { ...limits, port, servers: ['127.0.0.1'], tls, user: 'reader-name' };
  return {
    pgsql: sqlPassdb(sqlSettings({ ...sql, dialect: 'pgsql' })),
    mysql: sqlPassdb(sqlSettings({ ...sql, dialect: 'mysql' })),
    ldap: ldapPassdb(
      ldapSettings({ ...limits, uris: [`ldap://127.0.0.1:${port}`], startTls: isTls }),
    ),
  };
}

/** Asks, and expects no verdict. Gives why there was none. */
async function failureOf(passdb: Passdb): Promise<string> {
  const answer = await passdb.query(ASK);
  await passdb.close();
  expect(answer.kind).toBe('failed');
  return answer.kind === 'failed' ? answer.detail : '';
}

const NONSENSE: readonly (readonly [name: string, speak: (socket: net.Socket) => void])[] = [
  ['hangs up', (socket) => socket.destroy()],
  ['says nothing', () => {}],
  ['speaks HTTP', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['says zeros', (socket) => socket.write(Buffer.alloc(64))],
  ['says ones', (socket) => socket.write(Buffer.alloc(64, 0xff))],
  ['announces a message of 2 GB', (socket) => socket.write('\x30\x84\x7f\xff\xff\xff', 'latin1')],
  [
    'never ends',
    (socket) => {
      socket.write('\x30\x84\x7f\xff\xff\xff', 'latin1');
      const more = (): void => {
        if (!socket.destroyed) socket.write(Buffer.alloc(65_536), more);
      };
      more();
    },
  ],
];

describe.each(NONSENSE)('a server that %s', (_name, speak) => {
  test.each(['pgsql', 'mysql', 'ldap'])('%s', async (kind) => {
    const passdb = databasesOn(await serve(speak), false)[kind];
    expect(await failureOf(passdb)).not.toBe('');
  });
});

describe('TLS is wanted, and somebody says that there is none', () => {
  test('PostgreSQL', async () => {
    const port = await serve((socket) => socket.once('data', () => socket.write('N')));
    const detail = await failureOf(databasesOn(port, true)['pgsql']);
    expect(detail).toContain('does not support SSL');
    expect(received.replaceAll(PGSQL_TLS_REQUEST, '')).toBe('');
  });

  test('MySQL', async () => {
    const port = await serve((socket) => socket.write(MYSQL_GREETING));
    expect(await failureOf(databasesOn(port, true)['mysql'])).toContain('secure');
    expect(received).toBe('');
  });

  test('LDAP', async () => {
    const refusal = Buffer.from(LDAP_CONSENT);
    refusal[9] = 2;
    const port = await serve((socket) => socket.once('data', () => socket.write(refusal)));
    expect(await failureOf(databasesOn(port, true)['ldap'])).toContain('StartTLS: result code 2');
    expect(received.replaceAll(startTlsRequest.toString('latin1'), '')).toBe('');
  });
});

describe('words in the clear behind the consent to TLS are not taken for words over TLS', () => {
  test('PostgreSQL', async () => {
    // AuthenticationOk, as if it had been asked.
    const injected = 'SR\0\0\0\x08\0\0\0\0';
    const port = await serve((socket) =>
      socket.once('data', () => socket.write(injected, 'latin1')),
    );
    expect(await failureOf(databasesOn(port, true)['pgsql'])).not.toBe('');
    expect(received.replaceAll(PGSQL_TLS_REQUEST, '')).toBe('');
  });

  test('LDAP', async () => {
    // A bind that has succeeded, for the second question.
    const injected = Buffer.concat([
      LDAP_CONSENT,
      Buffer.from('300c02010261070a010004000400', 'hex'),
    ]);
    const port = await serve((socket) => socket.once('data', () => socket.write(injected)));
    expect(await failureOf(databasesOn(port, true)['ldap'])).toContain('bytes in the clear');
    expect(received.replaceAll(startTlsRequest.toString('latin1'), '')).toBe('');
  });
});

function mysqlGreeting(): Buffer {
  const capabilities = 0x0008_f7ff & ~0x0800;
  const body = Buffer.concat([
    Buffer.from('\x0a8.0.0\0', 'latin1'),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from('saltsalt\0', 'latin1'),
    Buffer.from([capabilities & 255, (capabilities >> 8) & 255, 45, 2, 0]),
    Buffer.from([(capabilities >> 16) & 255, capabilities >>> 24, 21]),
    Buffer.alloc(10),
    Buffer.from('saltsaltsalt\0mysql_native_password\0', 'latin1'),
  ]);
  return Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body]);
}
