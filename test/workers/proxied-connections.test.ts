import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { Counter, Counters } from '../../src/shared/memory/counters.ts';
import type { ProxyHeader } from '../../src/shared/wire/proxy-header.ts';
import { ProxiedConnections } from '../../src/workers/proxied-connections.ts';
import type { ServerTlsContext } from '../../src/workers/tls/server-tls.ts';
import { RawClient } from '../embedded/raw-client.ts';
import { tlv, v2Header } from '../shared/wire/proxy-header-bytes.ts';
import { withDeadline } from '../support/deadline.ts';

const HOST = '127.0.0.1';
const DEADLINE_MS = 10_000;
const V1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 40000 993\r\n';

/** A listener that takes connections with headers, and notes what came of them. */
class Listener {
  readonly log: Record<string, unknown>[] = [];
  readonly counters = new Counters(Counters.createBuffer());
  readonly proxied: ProxiedConnections;
  readonly taken: { header: ProxyHeader; socket: Socket }[] = [];
  readonly #server: Server;
  #wake: (() => void) | null = null;

  constructor(options: { timeoutMs?: number; requiresCertificate?: boolean } = {}) {
    const settings = { requiresClientCertificate: options.requiresCertificate ?? false };
    this.proxied = new ProxiedConnections({
      settings: {
        haproxyNetworks: ['127.0.0.0/8'],
        haproxyTimeoutMs: options.timeoutMs ?? DEADLINE_MS,
      },
      serverTls: { current: { settings } as ServerTlsContext },
      counters: this.counters,
      log: pino({ base: null }, { write: (line) => void this.log.push(JSON.parse(line)) }),
    });
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.proxied.accept(socket, 'imap', (header) => {
        this.taken.push({ header, socket });
        this.#wake?.();
      });
    });
  }

  async open(): Promise<RawClient> {
    if (!this.#server.listening) {
      this.#server.listen(0, HOST);
      await once(this.#server, 'listening');
    }
    return await RawClient.open(HOST, (this.#server.address() as AddressInfo).port);
  }

  async nextTaken(): Promise<{ header: ProxyHeader; socket: Socket }> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.taken.length === 0) await withDeadline(woken, DEADLINE_MS, 'header');
    return this.taken.shift()!;
  }

  stop(): void {
    for (const { socket } of this.taken) socket.destroy();
    this.#server.close();
  }
}

let listener: Listener;

afterEach(() => {
  listener.stop();
});

test('the socket is given on as if nothing had been read but what follows, and without our listeners', async () => {
  listener = new Listener();
  const client = await listener.open();
  client.send(`${V1}a NOOP\r\n`);
  const { header, socket } = await listener.nextTaken();
  expect(header.endpoints?.remoteIp).toBe('192.0.2.7');
  expect(socket.isPaused()).toBe(true);
  const counts = ['data', 'close', 'error'].map((name) => socket.listenerCount(name));
  expect(counts).toEqual([0, 0, 0]);
  expect((socket.read() as Buffer).toString()).toBe('a NOOP\r\n');
  client.close();
  socket.destroy();
});

test('who waits for the limit is closed, who has spoken in time is not', async () => {
  listener = new Listener({ timeoutMs: 100 });
  const silent = await listener.open();
  const slow = await listener.open();
  slow.send('PROXY ');
  const good = await listener.open();
  good.send(V1);
  const { socket } = await listener.nextTaken();
  expect(await silent.untilEnd()).toBe('');
  expect(await slow.untilEnd()).toBe('');
  expect(listener.log.map(({ msg }) => msg)).toEqual(Array(2).fill('no PROXY header in time'));
  expect(listener.counters.get(Counter.badInput)).toBe(2);
  expect(socket.destroyed).toBe(false);
  good.close();
  socket.destroy();
});

test('who goes before it has spoken is nobody: nothing is logged', async () => {
  listener = new Listener({ timeoutMs: 200 });
  const client = await listener.open();
  client.socket.end('PROXY ');
  expect(await client.untilEnd()).toBe('');
  // Its timer is gone as well: one that came later is the first to be logged.
  const later = await listener.open();
  expect(await later.untilEnd()).toBe('');
  expect(listener.log).toHaveLength(1);
});

test('a stop closes those that wait', async () => {
  listener = new Listener();
  const client = await listener.open();
  // Accepted, and the first byte read.
  client.send('P');
  const other = await listener.open();
  other.send(V1);
  const { socket } = await listener.nextTaken();
  listener.proxied.stop();
  expect(await client.untilEnd()).toBe('');
  expect(socket.destroyed).toBe(false);
  other.close();
  socket.destroy();
});

describe('verify_client_cert', () => {
  const header = (bits: number | null, verify: number): string => {
    const addresses = Buffer.from('c0000207c63364019c4003e1', 'hex');
    const tls = bits === null ? Buffer.alloc(0) : tlv(0x20, Buffer.from([bits, 0, 0, 0, verify]));
    return v2Header(0x21, 0x11, Buffer.concat([addresses, tls])).toString('latin1');
  };

  test.each([
    ['a good certificate', 0x03, 0, true],
    ['none', 0x01, 0, false],
    ['a bad one', 0x03, 10, false],
    // With us there may still be a handshake.
    ['no TLS with the balancer', null, 0, true],
  ])('%s', async (_name, bits, verify, isTaken) => {
    listener = new Listener({ requiresCertificate: true });
    const client = await listener.open();
    client.send(header(bits, verify));
    if (isTaken) {
      (await listener.nextTaken()).socket.destroy();
      expect(listener.log).toEqual([]);
    } else {
      expect(await client.untilEnd()).toBe('');
      const detail = 'client certificate missing or not valid';
      expect(listener.log).toMatchObject([{ msg: 'PROXY header refused', detail }]);
    }
  });
});
