import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { httpLimits } from '../../../src/main/http/http-limits.ts';
import { withDeadline } from '../../support/deadline.ts';
import { HttpRig, KEY } from './http-rig.ts';

it.each([
  ['/doveadm/v1', httpLimits.doveadmBodyBytes],
  ['/api/v1/backends', httpLimits.restBodyBytes],
])('a body of %s has its limit', async (url, limit) => {
  const rig = HttpRig.create();
  for (const length of [limit - 1, limit, limit + 1]) {
    const { status, text } = await rig.request('POST', url, ' '.repeat(length));
    expect(status).toBe(length > limit ? 413 : 400);
    expect(text.includes('BODY_TOO_LARGE')).toBe(length > limit);
  }
});

it('a user name in a path has its limit', async () => {
  const rig = HttpRig.create();
  const max = httpLimits.pathPartChars;
  const statusOf = async (length: number): Promise<number> => {
    return (await rig.request('GET', `/api/v1/users/${'x'.repeat(length)}`)).status;
  };
  expect(await statusOf(max - 1)).toBe(200);
  expect(await statusOf(max)).toBe(200);
  const tooLong = await rig.request('GET', `/api/v1/users/${'x'.repeat(max + 1)}`);
  expect(tooLong).toMatchObject({ status: 400, type: 'application/json' });
  expect(tooLong.json()).toMatchObject({ error: { code: 'BAD_REQUEST' } });
});

async function connected(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return socket;
}

async function answerTo(port: number, bytes: string): Promise<string> {
  const socket = await connected(port);
  socket.end(bytes, 'latin1');
  let answer = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) answer += chunk.toString('latin1');
  return answer;
}

it('headers have their limit', async () => {
  const { port } = await HttpRig.create().listen();
  const request = (length: number): string => {
    const head = [
      `Authorization: Bearer ${KEY}`,
      'Connection: close',
      `X-Long: ${'x'.repeat(length)}`,
    ];
    return `GET /api/v1/ring HTTP/1.1\r\nHost: localhost\r\n${head.join('\r\n')}\r\n\r\n`;
  };
  expect(await answerTo(port, request(1000))).toMatch(/^HTTP\/1.1 200 /);
  const refused = await answerTo(port, request(httpLimits.headerBytes));
  expect(refused).toMatch(/^HTTP\/1.1 4\d\d /);
  expect(refused).toContain('{"error":{"code":"BAD_REQUEST"');
});

it.each([
  ['nothing of HTTP', 'EHLO there\r\n\r\n'],
  ['a wrong length', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n`],
  ['two lengths', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
  ['no host', 'GET / HTTP/1.1\r\n\r\n'],
  [
    'a bad path',
    `GET /%zz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY}\r\nConnection: close\r\n\r\n`,
  ],
])('%s is refused without a trace of the inside', async (_name, bytes) => {
  const rig = HttpRig.create();
  const { port } = await rig.listen();
  const answer = await withDeadline(answerTo(port, bytes), 5000, 'answer');
  expect(answer).toMatch(/^HTTP\/1.1 4\d\d /);
  expect(answer).not.toMatch(/\bat |\.ts|node:|fastify|FST_/i);
  // Nor is the server the worse for it.
  expect((await rig.request('GET', '/api/v1/ring')).status).toBe(200);
});

it('more connections than the limit are closed at once', async () => {
  const { port } = await HttpRig.create().listen();
  const sockets: Socket[] = [];
  for (let i = 0; i < httpLimits.connections; i++) sockets.push(await connected(port));
  const one = connect({ host: '127.0.0.1', port });
  one.on('error', () => {});
  await withDeadline(once(one, 'close'), 5000, 'end of one too many');
  // The others are served.
  const head = [`Authorization: Bearer ${KEY}`, 'Connection: close'].join('\r\n');
  sockets[0].write(`GET /api/v1/ring HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n`);
  const [data] = (await withDeadline(once(sockets[0], 'data'), 5000, 'answer')) as [Buffer];
  expect(data.toString()).toMatch(/^HTTP\/1.1 200 /);
});

it('ends with open connections, and requests that wait', async () => {
  const rig = HttpRig.create({ hasNoClock: true });
  const server = await rig.listen();
  // Its user has just been seen, so that the removal has to wait; and no time passes.
  rig.test.login(1);
  const socket = await connected(server.port);
  const [{ ip }] = rig.test.directory.hosts;
  const head = ['Host: localhost', `Authorization: Bearer ${KEY}`].join('\r\n');
  for (const { ip: backend } of rig.test.directory.hosts) {
    socket.write(`DELETE /api/v1/backends/${backend} HTTP/1.1\r\n${head}\r\n\r\n`);
  }
  expect(ip).toBe('10.0.0.1');
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await withDeadline(server.close(), 5000, 'end of the server');
  await withDeadline(closed, 5000, 'end of the connection');
});
