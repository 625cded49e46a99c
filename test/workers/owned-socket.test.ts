import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectOwned, type SocketOwner, upgradeOwned } from '../../src/workers/owned-socket.ts';
import { makeCertificate } from '../support/certificates.ts';
import { withDeadline } from '../support/deadline.ts';

const DEADLINE_MS = 10_000;

let folder: string;
let server: tls.Server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-owned-'));
  const { cert, key } = await makeCertificate(folder, 'owned.test');
  server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
    socket.on('error', () => {});
    socket.end('bye');
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  server.close();
  await once(server, 'close');
});

/** Begins TLS behind the connect; notes what happens to which socket, until it is closed. */
async function watch(
  act: (socket: net.Socket, event: string) => void,
  options: tls.ConnectionOptions,
): Promise<string[]> {
  const events: string[] = [];
  let secured: tls.TLSSocket | null = null;
  await withDeadline(
    new Promise<void>((resolve, reject) => {
      const note = (event: string) => (socket: net.Socket) => {
        events.push(`${event} ${socket === secured ? 'secured' : 'plain'}`);
        act(socket, event);
      };
      const owner: SocketOwner = {
        onConnect: (socket) => {
          secured = upgradeOwned(socket, owner, options);
        },
        onSecure: note('secure'),
        onData: (socket, chunk) => note(`data ${chunk.toString()}`)(socket),
        onRead: () => false,
        onEnd: note('end'),
        onError: note('error'),
        // The descriptor is closed by then; whatever comes later comes in this turn.
        onClose: (socket) => {
          note('close')(socket);
          setImmediate(() => setImmediate(resolve));
        },
        onFault: reject,
      };
      connectOwned('127.0.0.1', (server.address() as AddressInfo).port, 0, owner);
    }),
    DEADLINE_MS,
    'close',
  );
  return events;
}

const TRUSTING = { rejectUnauthorized: false };

test('a connection that went over to TLS closes once: as the secured one', async () => {
  const events = await watch((socket, event) => {
    if (event === 'end') socket.destroy();
  }, TRUSTING);
  expect(events).toEqual(['secure secured', 'data bye secured', 'end secured', 'close secured']);
});

test('… also when it is given up as soon as it is secure', async () => {
  const events = await watch((socket, event) => {
    if (event === 'secure') socket.destroy();
  }, TRUSTING);
  expect(events).toEqual(['secure secured', 'close secured']);
});

test('… also when the handshake fails', async () => {
  const events = await watch(() => {}, {});
  expect(events).toEqual(['error secured', 'close secured']);
});
