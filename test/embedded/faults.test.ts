import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';
import { nextEvent, RawClient } from './raw-client.ts';

let backend: EmbeddedBackend;
const clients: RawClient[] = [];

beforeEach(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1', bodyBytes: 67_108_864 });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await backend.stop();
});

async function open(protocol: 'imap' | 'pop3' = 'imap'): Promise<RawClient> {
  const port = protocol === 'imap' ? backend.imapPort : backend.pop3Port;
  const client = await RawClient.open('127.0.0.1', port);
  clients.push(client);
  return client;
}

test('garbage greeting', async () => {
  backend.setFaults({ greeting: 'garbage' });
  const client = await open();
  expect(await client.until(/\x7f\n/)).toBe('\x00\xff\x16\x03\x01\x0d\x80\x0a\x7f\x0a');
});

test('greeting that is too long', async () => {
  backend.setFaults({ greeting: 'too-long' });
  const line = await (await open('pop3')).line();
  expect(line).toMatch(/^\+OK \[XCLIENT\] b1 ready\. x+\r\n$/);
  expect(line.length).toBeGreaterThan(131_000);
});

test('half a greeting, then silence', async () => {
  backend.setFaults({ greeting: 'half-line' });
  const client = await open();
  await client.until(/b1 ready\./);
  client.send('a NOOP\r\n');
  // A second connection is served in full: by then an answer to the first would have come.
  backend.setFaults({});
  await (await open()).line();
  client.socket.end();
  expect(await client.untilEnd()).toBe('');
});

test('no greeting at all', async () => {
  backend.setFaults({ greeting: 'never' });
  const client = await open();
  client.send('a NOOP\r\n');
  backend.setFaults({});
  await (await open()).line();
  client.socket.end();
  expect(await client.untilEnd()).toBe('');
});

test('closed instead of a greeting', async () => {
  backend.setFaults({ greeting: 'close' });
  expect(await (await open()).untilEnd()).toBe('');
});

test('delayed greeting and login', async () => {
  backend.setFaults({ greetingDelayMs: 60, loginDelayMs: 60 });
  const started = performance.now();
  const client = await open();
  await client.line();
  const greeted = performance.now();
  client.send('a LOGIN bob pass\r\nb NOOP\r\n');
  await client.until(/b OK .*\r\n/);
  // Timers may fire a millisecond early.
  expect(greeted - started).toBeGreaterThan(55);
  expect(performance.now() - greeted).toBeGreaterThan(55);
});

test('a client that leaves while its login is delayed is never logged in', async () => {
  backend.setFaults({ loginDelayMs: 30 });
  const client = await open();
  await client.ask('a CAPABILITY\r\n', /a OK .*\r\n/);
  client.send('b LOGIN bob pass\r\n');
  client.socket.end();
  const late = await open();
  await late.ask('a LOGIN carol pass\r\n', /a OK .*\r\n/);
  await late.ask('b LOGOUT\r\n', /b OK .*\r\n/);
  expect(backend.loginCount).toBe(1);
});

test('logins refused with a given line', async () => {
  backend.setFaults({
    refuseImapLogin: 'NO [UNAVAILABLE] Try later',
    refusePop3Login: '-ERR [IN-USE] Locked',
  });
  const imap = await open();
  await imap.line();
  expect(await imap.ask('a LOGIN bob pass\r\n', /\r\n/)).toBe('a NO [UNAVAILABLE] Try later\r\n');
  const pop3 = await open('pop3');
  expect(await pop3.ask('USER bob\r\nPASS pass\r\n', /-ERR.*\r\n/)).toContain(
    '-ERR [IN-USE] Locked\r\n',
  );
  expect(backend.loginCount).toBe(0);
});

test('closed where the login reply belongs', async () => {
  backend.setFaults({ closeAtLogin: true });
  const client = await open();
  await client.line();
  client.send('a LOGIN bob pass\r\n');
  expect(await client.untilEnd()).toBe('');
});

test('a stalled session reads nothing until the fault is taken away', async () => {
  const client = await open();
  await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  backend.setFaults({ stallReading: true });
  const bytes = 64 * 1024 * 1024;
  client.send(`b APPEND INBOX {${bytes}+}\r\n`);
  const flushed = new Promise<void>((resolve) => {
    client.socket.write(Buffer.alloc(bytes, 'x'), () => resolve());
  });
  // The kernel's buffers hold a few MiB: the rest stays with the writer.
  await (await open()).line();
  expect(client.socket.writableLength).toBeGreaterThan(bytes / 2);
  expect(backend.appends).toEqual([]);
  const append = nextEvent(backend, 'append');
  backend.setFaults({});
  client.send('\r\n');
  await flushed;
  expect((await append)[0]).toMatchObject({ bytes });
  await client.until(/b OK .*\r\n/);
});

test('a client that does not read holds a FETCH up, not the others', async () => {
  const client = await open();
  await client.ask('a LOGIN bob pass\r\nb SELECT INBOX\r\n', /b OK .*\r\n/);
  client.socket.pause();
  client.send('c FETCH 1 BODY[]\r\n');
  const other = await open();
  await other.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  expect(client.socket.bytesRead).toBeLessThan(67_108_864 / 2);
  client.socket.resume();
  await client.until(/\{67108864\}\r\n/);
  await client.take(67_108_864);
  expect(await client.until(/c OK .*\r\n/)).toBe(')\r\nc OK Fetch completed.\r\n');
});

test('dies with all its sockets, revives on the same ports', async () => {
  const { imapPort, pop3Port } = backend;
  const client = await open();
  await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  const logout = nextEvent(backend, 'logout');
  await backend.die();
  await logout;
  await client.untilEnd();
  expect(backend.connections).toBe(0);
  await expect(open()).rejects.toThrow('ECONNREFUSED');
  await backend.revive();
  expect([backend.imapPort, backend.pop3Port]).toEqual([imapPort, pop3Port]);
  expect(await (await open()).line()).toContain('b1 ready.');
});
