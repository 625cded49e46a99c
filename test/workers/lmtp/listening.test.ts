import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../support/deadline.ts';
import { LmtpClient } from '../../support/lmtp-lab.ts';
import { LmtpRig } from '../../support/lmtp-rig.ts';

const MESSAGE = 'Subject: hi\r\n\r\nbody\r\n';
const LISTEN = '127.0.0.1:0';

let rig: LmtpRig | null = null;
let scratch: string;
let socketPath: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-unix-'));
  socketPath = join(scratch, 'lmtp');
});

afterEach(async () => {
  await rig?.stop();
  rig = null;
  rmSync(scratch, { recursive: true });
});

async function start(overrides: Readonly<Record<string, unknown>> = {}): Promise<LmtpRig> {
  rig = await LmtpRig.start({
    overrides: {
      services: [
        ...['imap', 'pop3'].map((protocol) => ({ protocol, listen: LISTEN })),
        { protocol: 'lmtp', listen: socketPath },
      ],
      ...overrides,
    },
  });
  return rig;
}

async function deliver(): Promise<void> {
  const client = new LmtpClient(connect({ path: socketPath }));
  await client.replies(1);
  await client.envelope('s@x.test', 'a@x.test');
  expect((await client.data(MESSAGE, 1))[0]).toMatch(/^250 2\.0\.0 <a@x\.test>/);
  client.close();
}

test('a unix socket is there again when its worker has died, and gone after a stop', async () => {
  const { front } = await start({ workers: 2 });
  await deliver();
  await front.director.killWorker(0);
  await front.waitForLogs('worker replaced', 1, ({ msg }) => msg === 'worker replaced');
  await deliver();
  await rig!.stop();
  rig = null;
  expect(existsSync(socketPath)).toBe(false);
});

test('a file in its place is left alone', async () => {
  writeFileSync(socketPath, 'precious');
  await expect(start()).rejects.toThrow('EADDRINUSE');
  expect(existsSync(socketPath)).toBe(true);
});

test('a second server does not take the socket of the first one', async () => {
  const first = await start();
  await expect(
    LmtpRig.start({
      overrides: { services: [{ protocol: 'lmtp', listen: `unix:${socketPath}` }] },
    }),
  ).rejects.toThrow('EADDRINUSE');
  await deliver();
  expect(first.peers[0].connections.length + first.peers[1].connections.length).toBe(1);
});

test('PROXY headers: the balancer’s client comes to the backend, by XCLIENT or by a header', async () => {
  rig = await LmtpRig.start({
    peers: 1,
    peer: { capabilities: ['XCLIENT ADDR PORT'] },
    backend: { trusted: true },
    overrides: {
      services: ['imap', 'pop3', 'lmtp'].map((protocol) => ({
        ...{ protocol, listen: LISTEN, haproxy: true },
      })),
      haproxy_trusted_networks: ['127.0.0.1'],
    },
  });
  const client = new LmtpClient(connect({ host: '127.0.0.1', port: rig.port }));
  client.send('PROXY TCP4 192.0.2.9 192.0.2.1 4711 24\r\nLHLO mta.test\r\n');
  await client.replies(2);
  await client.envelope('s@x.test', 'a@x.test');
  await client.data(MESSAGE, 1);
  client.close();
  const { commands, message } = await rig.peers[0].connection(0);
  expect(commands).toContain('XCLIENT PORT=4711 ADDR=192.0.2.9');
  expect(message.toString()).toContain('from mta.test ([192.0.2.9])');
  await eventually('end', 10_000, () => rig?.front.sessionCount() === 0);
});

test('PROXY headers towards the backends; a client by a unix socket has no address', async () => {
  rig = await LmtpRig.start({
    peers: 1,
    backend: { haproxy: 'v1' },
    overrides: {
      services: [
        ...['imap', 'pop3', 'lmtp'].map((protocol) => ({ protocol, listen: LISTEN })),
        { protocol: 'lmtp', listen: socketPath },
      ],
    },
  });
  const client = await rig.client();
  await client.envelope('s@x.test', 'a@x.test');
  await deliver();
  const headers = rig.peers[0].connections.map(({ commands }) => commands[0]);
  expect(headers[0]).toMatch(/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+$/);
  expect(headers[1]).toBe('PROXY UNKNOWN');
});
