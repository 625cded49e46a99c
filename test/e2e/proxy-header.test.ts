import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EmbeddedBackend } from '../../src/embedded/backend.ts';
import type { SessionInfo } from '../../src/embedded/mail-session.ts';
import { encodeProxyV1, encodeProxyV2 } from '../../src/shared/wire/proxy-header-encoder.ts';
import { nextEvent, RawClient } from '../embedded/raw-client.ts';
import { tlv, v2Header } from '../shared/wire/proxy-header-bytes.ts';
import { withDeadline } from '../support/deadline.ts';
import { labAddress } from '../support/dovecot.ts';
import { TlsFront } from '../support/tls-front.ts';
import { everyByte } from '../workers/protocols/engine-harness.ts';
import { readRecording } from '../workers/protocols/recording-player.ts';

/** Every byte of a balancer's connection, right and wrong, to the real `postilion serve`. */

const LISTEN_IP = labAddress(3);
const BALANCER_IP = labAddress(4);
const PROXY_OF_OURS = '192.0.2.77';
const MAX_PRELOGIN = 3;
const DEADLINE_MS = 10_000;
const GREETING = /^\* OK \[CAPABILITY .*\] Postilion ready\.\r\n/;

/** What each says first; ManageSieve: last. */
const OTHER_PROTOCOLS = [
  { protocol: 'pop3', greeting: /^\+OK Postilion ready\.\r\n/, quit: 'QUIT\r\n' },
  { protocol: 'submission', greeting: /^220 .*\r\n/, quit: 'QUIT\r\n' },
  { protocol: 'lmtp', greeting: /^220 .*\r\n/, quit: 'QUIT\r\n' },
  { protocol: 'managesieve', greeting: /^OK .*\r\n/m, quit: 'LOGOUT\r\n' },
] as const;

let backend: EmbeddedBackend;
let front: TlsFront;

beforeAll(async () => {
  backend = new EmbeddedBackend({ name: 'b1', host: labAddress(1) });
  await backend.listen();
  const listen = `${LISTEN_IP}:0`;
  front = await TlsFront.start([backend.host], {
    imapPort: backend.imapPort,
    workers: 1,
    overrides: {
      services: [
        { protocol: 'imap', listen, haproxy: true },
        { protocol: 'imap', listen, haproxy: true, tls: 'implicit' },
        { protocol: 'imap', listen },
        ...OTHER_PROTOCOLS.map(({ protocol }) => ({ protocol, listen, haproxy: true })),
      ],
      disable_plaintext_auth: false,
      haproxy_trusted_networks: [BALANCER_IP],
      haproxy_timeout: '1s',
      login_trusted_networks: [PROXY_OF_OURS, BALANCER_IP],
      limits: { max_prelogin_per_address: MAX_PRELOGIN },
    },
  });
});

afterAll(async () => {
  await front?.stop();
  await backend?.stop();
});

const ends = (remoteIp: string) => {
  return { remoteIp, remotePort: 40_000, localIp: '198.51.100.1', localPort: 993 };
};
const v1 = (remoteIp = '192.0.2.7') => encodeProxyV1(ends(remoteIp));
const v2 = (remoteIp = '192.0.2.7') =>
  encodeProxyV2(ends(remoteIp), { tls: null, authority: '', uniqueId: '' }).toString('latin1');

async function openRaw(index = 0, from = BALANCER_IP): Promise<RawClient> {
  return await RawClient.open(LISTEN_IP, front.director.portOf('imap', index), from);
}

/** Sends it in one segment; gives the client. */
async function opened(text: string): Promise<RawClient> {
  const client = await openRaw();
  client.send(text);
  return client;
}

/** Logs in behind what was sent; gives what the backend has heard of the client. */
async function login(client: RawClient, user: string): Promise<SessionInfo> {
  const seen = once(backend, 'login') as Promise<[SessionInfo]>;
  client.send(`a LOGIN ${user} pass\r\n`);
  await client.until(/^a OK .*\r\n/m);
  const [session] = await withDeadline(seen, DEADLINE_MS, 'login');
  client.close();
  return session;
}

async function refusal(msg: string, detail: string | undefined): Promise<void> {
  const line = await front.director.waitForLog(`${msg}: ${detail}`, (entry) => {
    return entry['msg'] === msg && entry['detail'] === detail;
  });
  expect(line).toMatchObject({
    protocol: 'imap',
    balancer: expect.stringMatching(new RegExp(`^${RegExp.escape(BALANCER_IP)}:\\d+$`)),
  });
}

describe('as recorded with Dovecot', () => {
  for (const { name, about, events } of readRecording('proxy-haproxy-header')) {
    const sent = events.find(({ dir, data }) => dir === 'C>P' && data !== undefined)?.data ?? '';
    const isGreeted = events.some(({ dir, data }) => dir === 'P>C' && data !== undefined);
    test(`${name}: ${about}`, async () => {
      const client = await opened(sent);
      if (!isGreeted) {
        expect(await client.untilEnd()).toBe('');
        return;
      }
      const greeting = await client.until(GREETING);
      // Dovecot 2.3 offers STARTTLS to those who have it already.
      expect(greeting.includes(' STARTTLS ')).toBe(name !== 'v2-tlv-ssl');
      const session = await login(client, 'alice');
      const isLocal = name === 'v1-unknown' || name === 'v2-local';
      const clientIp = name === 'v2-tcp6' ? '2001:db8::7' : '192.0.2.7';
      expect(session.originatingIp).toBe(isLocal ? BALANCER_IP : clientIp);
    });
  }

  test('… with a line in the log for each that was refused', async () => {
    await refusal('PROXY header refused', 'v1: invalid address');
    await refusal('PROXY header refused', 'v2: truncated TLV');
    await refusal('PROXY header refused', 'no PROXY header');
    await refusal('no PROXY header in time', undefined);
  });
});

describe('behind the header, in the same segment', () => {
  test.each([
    ['v1', v1()],
    ['v2', v2()],
  ])('%s: the first commands, answered once and in order', async (_name, header) => {
    const client = await opened(`${header}a NOOP\r\nb LOGIN alice pass\r\nc NOOP\r\nd LOGOUT\r\n`);
    const all = await client.untilEnd();
    const tagged = all.split('\r\n').filter((line) => /^[a-d] /.test(line));
    expect(tagged.map((line) => line.slice(0, 4))).toEqual(['a OK', 'b OK', 'c OK', 'd OK']);
    expect(all.match(/Postilion ready/g)).toHaveLength(1);
  });

  test.each([
    ['v1', v1()],
    ['v2', v2()],
  ])('%s: the first bytes of a TLS handshake', async (_name, header) => {
    const socket = connect({
      host: LISTEN_IP,
      port: front.director.portOf('imap', 1),
      localAddress: BALANCER_IP,
    });
    const first = new FirstWrites(socket, Buffer.from(header, 'latin1'));
    const client = tls.connect({ socket: first, rejectUnauthorized: false });
    let heard = '';
    client.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
    });
    await nextEvent(client, 'secureConnect');
    client.write('a LOGIN alice pass\r\nb LOGOUT\r\n');
    await nextEvent(client, 'end');
    expect(heard).toMatch(GREETING);
    expect(heard).toMatch(/^a OK .*\r\n(.*\r\n)*b OK /m);
    // The first segment had both.
    expect(first.segments[0]).toBeGreaterThan(header.length + 100);
    client.destroy();
    socket.destroy();
  });

  test('commands in the clear are no commands where TLS is to come', async () => {
    const client = await openRaw(1);
    client.send(`${v2()}a LOGIN injected pass\r\n`);
    const answer = await client.untilEnd();
    // An alert of TLS, if anything.
    expect(answer).not.toMatch(/OK|BAD|NO/);
    await front.director.waitForLog('failed handshake', ({ msg }) => {
      return msg === 'TLS handshake failed';
    });
    expect(front.director.log.filter(({ user }) => user === 'injected')).toEqual([]);
  });

  test('the end of the stream', async () => {
    const client = await openRaw();
    client.socket.end(v1(), 'latin1');
    expect(await client.untilEnd()).toMatch(GREETING);
  });
});

test.each([
  ['v1', v1()],
  ['v2', v2()],
])('%s: byte by byte', async (_name, header) => {
  const client = await openRaw();
  client.socket.setNoDelay(true);
  for (const byte of everyByte(header)) {
    await new Promise((resolve) => client.socket.write(byte, resolve));
  }
  await client.until(GREETING);
  expect((await login(client, 'alice')).originatingIp).toBe('192.0.2.7');
});

describe('the client of the header is the client', () => {
  const forwarded = 'i ID ("x-originating-ip" "192.0.2.99" "x-session-id" "told")\r\n';

  test('for trust: that of the balancer is not passed on to it', async () => {
    const client = await opened(v1() + forwarded);
    await client.until(/^i OK .*\r\n/m);
    const { originatingIp, sessionId } = await login(client, 'alice');
    expect(originatingIp).toBe('192.0.2.7');
    expect(sessionId).not.toBe('told');
  });

  test('for trust: it may speak for others when it is trusted', async () => {
    const client = await opened(v1(PROXY_OF_OURS) + forwarded);
    await client.until(/^i OK .*\r\n/m);
    expect(await login(client, 'alice')).toMatchObject({
      originatingIp: '192.0.2.99',
      sessionId: 'told',
    });
  });

  test(`for the number of those that are not logged in: ${MAX_PRELOGIN} of each`, async () => {
    const clients: RawClient[] = [];
    for (const ip of ['192.0.2.50', '192.0.2.51']) {
      for (let i = 0; i < MAX_PRELOGIN; i++) {
        const client = await opened(v2(ip));
        clients.push(client);
        await client.until(GREETING);
      }
      const refused = await opened(v2(ip));
      expect(await refused.untilEnd()).toMatch(/^\* BYE /);
      const line = await front.director.waitForLog(`limit of ${ip}`, ({ msg, client }) => {
        return msg === 'limits.max_prelogin_per_address reached' && `${client}`.startsWith(ip);
      });
      expect(line['client']).toBe(`${ip}:40000`);
    }
    for (const client of clients) client.close();
  });

  test('for its name: a unique id of the balancer that can be one is the session id', async () => {
    for (const [uniqueId, isTaken] of [
      ['lb-1/abc', true],
      ['has a blank', false],
      ['x'.repeat(65), false],
    ] as const) {
      const extras = { tls: null, authority: '', uniqueId };
      const client = await opened(encodeProxyV2(ends('192.0.2.7'), extras).toString('latin1'));
      await client.until(GREETING);
      const { sessionId } = await login(client, 'alice');
      expect(sessionId === uniqueId).toBe(isTaken);
      expect(sessionId).not.toBe('');
    }
  });
});

describe.each(OTHER_PROTOCOLS)('$protocol', ({ protocol, greeting, quit }) => {
  const open = async (): Promise<RawClient> => {
    return await RawClient.open(LISTEN_IP, front.director.portOf(protocol), BALANCER_IP);
  };

  test('a header, and what comes with it', async () => {
    for (const header of [v1(), v2()]) {
      const client = await open();
      client.send(header + quit);
      await client.until(greeting);
      // The answer to the command.
      expect(await client.untilEnd()).toMatch(/^(\+OK|221|OK) /);
    }
  });

  test('no header', async () => {
    const client = await open();
    client.send(quit);
    expect(await client.untilEnd()).toBe('');
    await front.director.waitForLog('refusal', (line) => {
      return line['msg'] === 'PROXY header refused' && line['protocol'] === protocol;
    });
  });
});

test('TLS with the balancer for another protocol is refused', async () => {
  const header = (alpn: string): string => {
    const addresses = Buffer.from('c0000207c63364019c4003e1', 'hex');
    const payload = Buffer.concat([addresses, tlv(0x01, Buffer.from(alpn))]);
    return v2Header(0x21, 0x11, payload).toString('latin1');
  };
  const good = await opened(header('imap'));
  await good.until(GREETING);
  good.close();
  for (const alpn of ['http/1.1', 'pop3', 'imap\0']) {
    const client = await opened(header(alpn));
    expect(await client.untilEnd()).toBe('');
    await refusal('PROXY header refused', `ALPN is ${JSON.stringify(alpn)}`);
  }
});

test('who is no balancer is closed without a word, header or not', async () => {
  for (const text of ['', v1(), v2()]) {
    const client = await openRaw(0, labAddress(5));
    client.send(text);
    expect(await client.untilEnd()).toBe('');
  }
  const lines = await front.director.waitForLogs('refusals', 3, ({ msg, balancer }) => {
    return msg === 'not in haproxy_trusted_networks' && `${balancer}`.startsWith(labAddress(5));
  });
  expect(lines).toHaveLength(3);
});

test('where no header is expected, one is not understood, whoever sends it', async () => {
  const client = await openRaw(2);
  client.send(`${v1()}a LOGIN alice pass\r\n`);
  const said = await client.until(/^a OK .*\r\n/m);
  expect(said).toMatch(/^PROXY BAD /m);
  client.close();
});

/** A client's side whose first segment has a header in front of it. */
class FirstWrites extends Duplex {
  readonly segments: number[] = [];
  readonly #socket: Socket;
  #header: Buffer | null;

  constructor(socket: Socket, header: Buffer) {
    super();
    this.#socket = socket;
    this.#header = header;
    socket.on('data', (chunk) => this.push(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const bytes = this.#header === null ? chunk : Buffer.concat([this.#header, chunk]);
    this.#header = null;
    this.segments.push(bytes.length);
    this.#socket.write(bytes, done);
  }

  override _read(): void {
    // Pushed as it comes.
  }
}
