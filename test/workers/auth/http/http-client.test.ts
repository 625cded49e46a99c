import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpClientLimits } from '../../../../src/shared/limits.ts';
import { HttpClient } from '../../../../src/workers/auth/http/http-client.ts';
import { makeCertificate } from '../../../support/certificates.ts';
import { HttpScript } from '../../../support/http-script.ts';

let server: HttpScript;

beforeAll(async () => {
  server = await HttpScript.start(({ url }) => {
    if (url === '/slow') return null;
    if (url === '/redirect') return { status: 302, headers: { location: `${server.url}/target` } };
    if (url.startsWith('/bytes/')) return { body: Buffer.alloc(Number(url.slice(7)), 'x') };
    return { headers: { 'X-Latin': 'caf\xe9' }, body: 'hello' };
  });
});

afterAll(async () => {
  await server?.stop();
});

function clientOf(
  path: string,
  more: { timeoutMs?: number; headers?: Record<string, string> } = {},
) {
  return new HttpClient({
    url: server.url + path,
    headers: more.headers ?? {},
    ca: '',
    timeoutMs: more.timeoutMs ?? 10_000,
  });
}

const get = { method: 'GET', headers: {} } as const;

test('headers of the configuration, of the request, and what is said of the body', async () => {
  const client = clientOf('/headers', { headers: { 'x-key': 's\xe9cret', 'auth-user': 'forged' } });
  const response = await client.exchange({
    method: 'POST',
    headers: { 'Auth-User': 'real' },
    body: 'four',
  });
  expect(response).toMatchObject({ status: 200, headers: { 'x-latin': 'caf\xe9' } });
  expect(response.body.toString()).toBe('hello');
  const [asked] = server.requests.filter(({ url }) => url === '/headers');
  expect(asked).toMatchObject({
    method: 'POST',
    body: 'four',
    headers: { 'x-key': 's\xe9cret', 'auth-user': 'real', 'content-length': '4' },
  });
  client.close();
});

test('connections are kept', async () => {
  const client = clientOf('/kept');
  const before = server.connections;
  for (let i = 0; i < 20; i++) await client.exchange(get);
  expect(server.connections - before).toBe(1);
  client.close();
});

test('redirects are not followed', async () => {
  const client = clientOf('/redirect');
  expect(await client.exchange(get)).toMatchObject({ status: 302 });
  expect(server.requests.filter(({ url }) => url === '/target')).toEqual([]);
  client.close();
});

test.each([-1, 0, 1])('a body of the limit %i bytes', async (over) => {
  const client = clientOf(`/bytes/${httpClientLimits.bodyBytes + over}`);
  const answer = client.exchange(get);
  if (over > 0) await expect(answer).rejects.toThrow('more than');
  else expect((await answer).body.length).toBe(httpClientLimits.bodyBytes + over);
  client.close();
});

test('a server that is slow, and a client that is closed meanwhile', async () => {
  const client = clientOf('/slow', { timeoutMs: 200 });
  await expect(client.exchange(get)).rejects.toThrow('no answer within 200 ms');
  const patient = clientOf('/slow');
  const answer = patient.exchange(get);
  const failed = expect(answer).rejects.toThrow('closed');
  patient.close();
  await failed;
  client.close();
});

test('headers that never end, and an answer that is none', async () => {
  const raw = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (chunk) => {
      const isEndless = chunk.includes('/endless');
      if (!isEndless) socket.end('SSH-2.0-OpenSSH\r\n');
      const more = () => socket.write(`X-More: ${'y'.repeat(8000)}\r\n`) && setImmediate(more);
      if (isEndless && socket.write('HTTP/1.1 200 OK\r\n')) more();
    });
  }).listen(0, '127.0.0.1');
  await once(raw, 'listening');
  const { port } = raw.address() as AddressInfo;
  for (const path of ['/endless', '/none']) {
    const url = `http://127.0.0.1:${port}${path}`;
    const client = new HttpClient({ url, headers: {}, ca: '', timeoutMs: 10_000 });
    await expect(client.exchange(get)).rejects.toThrow(/Header overflow|Parse Error/);
    client.close();
  }
  raw.close();
});

test('bodies that stop half-way', async () => {
  const raw = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (chunk) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
      if (chunk.includes('/closed')) socket.end();
    });
  }).listen(0, '127.0.0.1');
  await once(raw, 'listening');
  const { port } = raw.address() as AddressInfo;
  for (const [path, text] of [
    ['/stalled', 'no answer within 300 ms'],
    ['/closed', 'aborted'],
  ]) {
    const url = `http://127.0.0.1:${port}${path}`;
    const client = new HttpClient({ url, headers: {}, ca: '', timeoutMs: 300 });
    await expect(client.exchange(get)).rejects.toThrow(text);
    client.close();
  }
  raw.close();
});

test('a server that is down, and up again', async () => {
  const own = await HttpScript.start(() => ({ body: 'up' }));
  const client = new HttpClient({ url: own.url, headers: {}, ca: '', timeoutMs: 10_000 });
  await client.exchange(get);
  await own.stop();
  await expect(client.exchange(get)).rejects.toThrow('ECONNREFUSED');
  await own.startAgain();
  expect((await client.exchange(get)).status).toBe(200);
  client.close();
  await own.stop();
});

test('a certificate of nobody known is refused', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postilion-http-'));
  const files = await makeCertificate(folder, 'script', { names: 'IP:127.0.0.1' });
  const [cert, key] = [readFileSync(files.cert, 'utf8'), readFileSync(files.key, 'utf8')];
  rmSync(folder, { recursive: true });
  const tls = createTlsServer({ cert, key }, (_request, response) => response.end('x'));
  tls.listen(0, '127.0.0.1');
  await once(tls, 'listening');
  const { port } = tls.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}/`;
  const stranger = new HttpClient({ url, headers: {}, ca: '', timeoutMs: 10_000 });
  await expect(stranger.exchange(get)).rejects.toThrow(/self.signed/);
  const friend = new HttpClient({ url, headers: {}, ca: cert, timeoutMs: 10_000 });
  expect((await friend.exchange(get)).status).toBe(200);
  stranger.close();
  friend.close();
  tls.close();
});

test('requests that wait are limited', async () => {
  const client = clientOf('/slow', { timeoutMs: 3000 });
  const waiting = Array.from({ length: httpClientLimits.pendingRequests }, () => {
    return client.exchange(get).catch((error: Error) => error.message);
  });
  await expect(client.exchange(get)).rejects.toThrow(
    `${httpClientLimits.pendingRequests} requests wait`,
  );
  client.close();
  await Promise.all(waiting);
  const next = clientOf('/after');
  expect((await next.exchange(get)).status).toBe(200);
  next.close();
});
