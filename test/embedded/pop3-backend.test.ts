import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';
import { nextEvent, RawClient } from './raw-client.ts';

let backend: EmbeddedBackend;
let client: RawClient;

beforeEach(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1', bodyBytes: 100_001 });
  client = await RawClient.open('127.0.0.1', backend.pop3Port);
});

afterEach(async () => {
  client.close();
  await backend.stop();
});

test('announces XCLIENT only when it trusts', async () => {
  expect(await client.line()).toBe('+OK [XCLIENT] b1 ready.\r\n');
  const other = await startEmbeddedBackend({ name: 'b2', host: '127.0.0.1', isTrusting: false });
  const peer = await RawClient.open('127.0.0.1', other.pop3Port);
  try {
    expect(await peer.line()).toBe('+OK b2 ready.\r\n');
    expect(await peer.ask('XCLIENT SESSION=x\r\n', /\r\n/)).toBe(
      '+OK You are not from trusted IP - ignoring\r\n',
    );
  } finally {
    peer.close();
    await other.stop();
  }
});

test('XCLIENT, USER and PASS as a director sends them', async () => {
  await client.line();
  const login = nextEvent(backend, 'login');
  client.send('XCLIENT ADDR=10.1.2.3 PORT=57217 SESSION=KoIS+/9A TTL=4\r\nUSER alice\r\n');
  expect(await client.line()).toBe('+OK Updated\r\n');
  expect(await client.line()).toBe('+OK\r\n');
  expect(await client.ask('PASS pass\r\n', /\r\n/)).toBe('+OK Logged in.\r\n');
  expect((await login)[0]).toMatchObject({
    protocol: 'pop3',
    user: 'alice',
    sessionId: 'KoIS+/9A',
    originatingIp: '10.1.2.3',
  });
  const logout = nextEvent(backend, 'logout');
  expect(await client.ask('STAT\r\n', /\r\n/)).toBe('+OK 1 100001\r\n');
  client.send('QUIT\r\n');
  expect(await client.untilEnd()).toBe('+OK Logging out.\r\n');
  await logout;
});

test('refuses as Dovecot does, and lets the client try again', async () => {
  await client.line();
  expect(await client.ask('PASS pass\r\n', /\r\n/)).toBe('-ERR No username given.\r\n');
  expect(await client.ask('USER a\r\nPASS wrong\r\n', /-ERR.*\r\n/)).toContain(
    '-ERR [AUTH] Authentication failed.\r\n',
  );
  expect(await client.ask('STAT\r\n', /\r\n/)).toBe('-ERR Unknown command.\r\n');
  const response = Buffer.from('\0a\0pass').toString('base64');
  expect(await client.ask('AUTH PLAIN\r\n', /\r\n/)).toBe('+ \r\n');
  expect(await client.ask(`${response}\r\n`, /\r\n/)).toBe('+OK Logged in.\r\n');
});

test('AUTH PLAIN with an initial response, LIST, NOOP, CAPA', async () => {
  await client.line();
  expect(await client.ask('CAPA\r\n', /\r\n\.\r\n/)).toContain('\r\nUSER\r\nSASL PLAIN\r\n.\r\n');
  const response = Buffer.from('\0a\0pass').toString('base64');
  expect(await client.ask(`AUTH PLAIN ${response}\r\n`, /\r\n/)).toBe('+OK Logged in.\r\n');
  expect(await client.ask('LIST\r\n', /\r\n\.\r\n/)).toBe('+OK 1 messages:\r\n1 100001\r\n.\r\n');
  expect(await client.ask('NOOP\r\n', /\r\n/)).toBe('+OK\r\n');
  expect(await client.ask('RETR 2\r\n', /\r\n/)).toBe(
    "-ERR There's no message with that number.\r\n",
  );
});

test('RETR gives the generated message, exact to the byte', async () => {
  await client.ask('USER a\r\nPASS pass\r\n', /Logged in\.\r\n/);
  client.send('RETR 1\r\nNOOP\r\n');
  expect(await client.line()).toBe('+OK 100001 octets\r\n');
  const rest = await client.until(/\r\n\.\r\n\+OK\r\n/);
  expect(rest.length).toBe(100_001 + 3 + 5);
  const body = Buffer.from(rest.slice(0, 100_001), 'latin1');
  expect(createHash('sha256').update(body).digest('hex')).toBe(backend.message.sha256);
});
