import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ProxyHeader, ProxyHeaderParser } from '../../src/shared/wire/proxy-header.ts';
import { BackendWatch } from '../support/backend-watch.ts';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { DovecotLab, labAddress } from '../support/dovecot.ts';
import { type BalancedPort, HaproxyProcess } from '../support/haproxy.ts';
import { curlOutput, pythonClient } from '../support/mail-clients.ts';
import type { LogLine, PostilionProcess } from '../support/postilion.ts';
import { TlsFront } from '../support/tls-front.ts';

/** Debian's HAProxy in front of `postilion serve`, real Dovecot behind it. */

const BALANCER_IP = labAddress(4);
const CLIENT_IP = labAddress(11);
const Port = {
  imapV1: 10143,
  imapV2: 10144,
  imapTlsHere: 10993,
  imapTlsThere: 10994,
  imapTlsShown: 10995,
  pop3V1: 10110,
  pop3V2: 10111,
} as const;

let lab: DovecotLab;
let watch: BackendWatch;
let front: TlsFront;
let balancer: HaproxyProcess;
/** For those who want to see what the balancer says. */
const shown = createServer((socket) => void socket.on('error', () => {}));
let authority: CertificateFiles;
/** The balancer's own. */
let own: CertificateFiles;

beforeAll(async () => {
  lab = await DovecotLab.start(2);
  watch = new BackendWatch(lab.backends);
  front = await TlsFront.start(
    lab.backends.map(({ ip }) => ip),
    {
      overrides: {
        services: [
          { protocol: 'imap', listen: `${labAddress(3)}:0`, haproxy: true },
          { protocol: 'imap', listen: `${labAddress(3)}:0`, haproxy: true, tls: 'implicit' },
          { protocol: 'pop3', listen: `${labAddress(3)}:0`, haproxy: true },
        ],
        haproxy_trusted_networks: [BALANCER_IP],
      },
    },
  );
  authority = await makeCertificate(front.folder, 'authority');
  own = await makeCertificate(front.folder, 'balancer', { names: `IP:${BALANCER_IP}` });
  shown.listen(0, labAddress(3));
  await once(shown, 'listening');
  balancer = await HaproxyProcess.start(BALANCER_IP, ports(front.director));
});

afterAll(async () => {
  await balancer?.stop();
  shown.close();
  await front?.stop();
  await lab?.stop();
});

function ports(director: PostilionProcess): BalancedPort[] {
  const host = labAddress(3);
  const imap = { host, port: director.portOf('imap') };
  const imaps = { host, port: director.portOf('imap', 1) };
  const pop3 = { host, port: director.portOf('pop3') };
  const pair = join(front.folder, 'pair.pem');
  writeFileSync(pair, readFileSync(own.cert, 'utf8') + readFileSync(own.key, 'utf8'));
  const verified = `ssl crt ${pair} ca-file ${authority.cert} verify optional alpn imap`;
  const all =
    'proxy-v2-options ssl,cert-cn,ssl-cipher,cert-key,cert-sig,authority,crc32c,unique-id';
  const tls = { bind: verified, send: `send-proxy-v2-ssl-cn ${all}` };
  return [
    { port: Port.imapV1, server: imap, send: 'send-proxy' },
    { port: Port.imapV2, server: imap, send: 'send-proxy-v2' },
    { port: Port.imapTlsHere, ...tls, server: imap },
    {
      port: Port.imapTlsShown,
      ...tls,
      server: { host, port: (shown.address() as AddressInfo).port },
    },
    { port: Port.imapTlsThere, server: imaps, send: 'send-proxy-v2' },
    { port: Port.pop3V1, server: pop3, send: 'send-proxy' },
    { port: Port.pop3V2, server: pop3, send: 'send-proxy-v2' },
  ];
}

/** What the balancer sends to a server of ours that closes behind the header. */
async function nextHeader(connectClient: () => Promise<void>): Promise<ProxyHeader> {
  const connection = once(shown, 'connection') as Promise<[Socket]>;
  const header = connection.then(async ([socket]) => {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    socket.end();
    const result = new ProxyHeaderParser().receive(chunk);
    // Type and length of the checksum, which was good, then.
    expect(chunk.includes(Buffer.from([3, 0, 4]))).toBe(true);
    if (result.kind !== 'header') throw new Error(`no header: ${JSON.stringify(result)}`);
    return result.header;
  });
  await connectClient();
  return await header;
}

const isLoginOf = (user: string) => (line: LogLine) =>
  line['msg'] === 'login' && line['user'] === user;

/** The client's own address is everywhere, and the backend has the session under the same name. */
async function expectIdentity(user: string, clientIp: string): Promise<LogLine> {
  const [session] = await watch.waitForSessions(user);
  expect(session).toMatchObject({ clientIp, connectedIp: '127.0.0.1' });
  const line = await front.director.waitForLog('login', isLoginOf(user));
  expect(line).toMatchObject({
    client: expect.stringMatching(new RegExp(`^${RegExp.escape(clientIp)}:\\d+$`)),
    session: session!.sessionId,
    backend: lab.byName(session!.backend).ip,
  });
  return line;
}

describe('STARTTLS with us, through the balancer', () => {
  test.each([
    ['send-proxy', 'imap', Port.imapV1],
    ['send-proxy-v2', 'imap', Port.imapV2],
    ['send-proxy', 'pop3', Port.pop3V1],
    ['send-proxy-v2', 'pop3', Port.pop3V2],
  ] as const)('%s, %s: curl', async (send, protocol, port) => {
    const user = `${send}-${protocol}`;
    const tls = ['--ssl-reqd', '--cacert', front.files.cert, '--connect-to', `::${BALANCER_IP}:`];
    const url = `${protocol}://front.test:${port}/`;
    await curlOutput(user, '--interface', CLIENT_IP, ...tls, url);
    await expectIdentity(user, CLIENT_IP);
  });
});

test('implicit TLS with us, through the balancer: curl', async () => {
  const args = ['--interface', CLIENT_IP, '--cacert', front.files.cert];
  const to = ['--connect-to', `::${BALANCER_IP}:`];
  await curlOutput('through', ...args, ...to, `imaps://front.test:${Port.imapTlsThere}/`);
  await expectIdentity('through', CLIENT_IP);
});

describe('TLS with the balancer: send-proxy-v2-ssl-cn', () => {
  const address = `${BALANCER_IP}:${Port.imapTlsHere}`;
  const conversation = (user: string) => `a LOGIN ${user} pass\\r\\nb LOGOUT\\r\\n`;

  test('with a client certificate, SNI and ALPN: counts as TLS, under the name of the balancer', async () => {
    const alice = await makeCertificate(front.folder, 'alice', { authority });
    const output = await opensslClient(
      address,
      conversation('certified'),
      ...['-cert', alice.cert, '-key', alice.key, '-servername', 'mail.example.test'],
      ...['-alpn', 'imap', '-bind', CLIENT_IP],
    );
    expect(output).toMatch(/ALPN protocol: imap/);
    const greeting = /\* OK \[CAPABILITY (.*)\]/.exec(output)?.[1] ?? '';
    // Not in the clear, and not to be secured once more.
    expect(greeting).toContain('AUTH=PLAIN');
    expect(greeting).not.toMatch(/LOGINDISABLED|STARTTLS/);
    expect(output).toMatch(/^a OK /m);
    const line = await expectIdentity('certified', CLIENT_IP);
    expect(line['session']).toMatch(new RegExp(`^haproxy-${RegExp.escape(CLIENT_IP)}-\\d+-\\d+$`));
  });

  test('what of it is told, as it is told', async () => {
    const header = await nextHeader(async () => {
      const alice = await makeCertificate(front.folder, 'alice-2', { authority });
      await opensslClient(
        `${BALANCER_IP}:${Port.imapTlsShown}`,
        '',
        ...['-cert', alice.cert, '-key', alice.key, '-servername', 'mail.example.test'],
        ...['-alpn', 'imap', '-bind', CLIENT_IP],
      );
    });
    expect(header).toEqual({
      endpoints: {
        remoteIp: CLIENT_IP,
        remotePort: expect.any(Number),
        localIp: BALANCER_IP,
        localPort: Port.imapTlsShown,
      },
      alpn: 'imap',
      authority: 'mail.example.test',
      uniqueId: expect.stringContaining(`haproxy-${CLIENT_IP}-`),
      tls: {
        version: 'TLSv1.3',
        cipher: expect.stringMatching(/^TLS_/),
        certificateName: 'alice-2',
        hasCertificate: true,
      },
    });
  });

  test('without one: counts as TLS, too', async () => {
    const output = await opensslClient(address, conversation('plain'), '-bind', CLIENT_IP);
    expect(output).toMatch(/^a OK /m);
    await expectIdentity('plain', CLIENT_IP);
  });

  test('python imaplib: the whole tour', async () => {
    const large = join(front.folder, 'large.eml');
    writeFileSync(large, `Subject: large\r\n\r\n${'line of a large message\r\n'.repeat(100_000)}`);
    const seen = await pythonClient(
      'imap_tour.py',
      ...[BALANCER_IP, Port.imapTlsHere, 'tour', large, own.cert],
    );
    expect(seen).toMatchObject({ login: 'OK', append_large: 'OK', large_equal: true });
  });
});

test('a client in the clear is told to use TLS with us, and may not log in without', async () => {
  const url = `imap://${BALANCER_IP}:${Port.imapV2}/`;
  await expect(curlOutput('clear', '--interface', CLIENT_IP, url)).rejects.toThrow();
  expect(watch.of('clear')).toEqual([]);
});

test('a port that the balancer does not serve is closed without a word to all others', async () => {
  const url = `imap://${labAddress(3)}:${front.director.imapPort}/`;
  await expect(curlOutput('stranger', '--interface', CLIENT_IP, url)).rejects.toThrow();
  const line = await front.director.waitForLog('refusal', ({ msg }) => {
    return msg === 'not in haproxy_trusted_networks';
  });
  expect(line).toMatchObject({
    protocol: 'imap',
    balancer: expect.stringMatching(new RegExp(`^${RegExp.escape(CLIENT_IP)}:\\d+$`)),
  });
  expect(watch.of('stranger')).toEqual([]);
});

test('no user was on two backends', async () => {
  await watch.waitUntilAllEnded();
  expect(watch.overlaps()).toEqual([]);
});
