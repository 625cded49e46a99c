import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ProxyHeaderParser } from '../../src/shared/wire/proxy-header.ts';
import { RawClient } from '../embedded/raw-client.ts';
import { BackendWatch } from '../support/backend-watch.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { withDeadline } from '../support/deadline.ts';
import { DovecotLab, labAddress } from '../support/dovecot.ts';
import { curlOutput } from '../support/mail-clients.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { TlsFront } from '../support/tls-front.ts';

/** `backends.*.haproxy`: what backends are told of a client before anything else. */

const IMAP_PORT = 23144;
const POP3_PORT = 23111;
const IMAPS_PORT = 23994;
const CLIENT_IP = labAddress(11);
const DEADLINE_MS = 10_000;

let director: PostilionProcess | null = null;

afterEach(async () => {
  await director?.stop();
  director = null;
});

describe('real Dovecot', () => {
  let folder: string;
  let lab: DovecotLab;
  let watch: BackendWatch;
  let certificate: CertificateFiles;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'postilion-header-'));
    certificate = await makeCertificate(folder, 'b1.test', { names: `IP:${labAddress(1)}` });
    lab = await DovecotLab.start(2, 1, { config: () => listeners(certificate) });
    watch = new BackendWatch(lab.backends);
  });

  afterAll(async () => {
    await lab?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** We are trusted, clients are not: what the backend knows of them it has from the header. */
  function listeners({ cert, key }: CertificateFiles): string {
    const listener = (name: string, port: number, more = ''): string =>
      `inet_listener ${name} {\n port = ${port}\n haproxy = yes\n ${more}\n}`;
    return `
ssl = yes
ssl_cert = <${cert}
ssl_key = <${key}
haproxy_trusted_networks = 127.0.0.0/8
login_trusted_networks = 127.0.0.1
login_log_format_elements = "user=<%u> method=%m rip=%r real_rip=%{real_rip} lip=%l mpid=%e session=<%{session}> secured=<%c>"
service imap-login {
${listener('imap_haproxy', IMAP_PORT)}
${listener('imaps_haproxy', IMAPS_PORT, 'ssl = yes')}
}
service pop3-login {
${listener('pop3_haproxy', POP3_PORT)}
}
`;
  }

  async function start(imap: object, pop3: object = {}): Promise<PostilionProcess> {
    director = await PostilionProcess.start({
      mailServers: lab.backends.map(({ ip }) => ip),
      imapPort: IMAP_PORT,
      pop3Port: POP3_PORT,
      listenIp: labAddress(3),
      overrides: {
        backends: {
          imap: { port: IMAP_PORT, haproxy: 'v2', ...imap },
          pop3: { port: POP3_PORT, haproxy: 'v1', ...pop3 },
        },
      },
    });
    return director;
  }

  test.each([
    ['v1', { haproxy: 'v1' }, { haproxy: 'v2' }],
    ['v2', { haproxy: 'v2' }, { haproxy: 'v1' }],
    // Dovecot 2.3 asks whether the header's client is trusted, and then hears nothing else of it.
    ['v2, besides ID and XCLIENT', { trusted: true }, { trusted: true }],
    ['v2, then STARTTLS', { haproxy: 'v2', tls: 'starttls', verify: false }, {}],
    ['v1, then STARTTLS', { haproxy: 'v1', tls: 'starttls', verify: false }, {}],
    ['v2, then TLS', { haproxy: 'v2', tls: 'implicit', verify: false, port: IMAPS_PORT }, {}],
    ['v1, then TLS', { haproxy: 'v1', tls: 'implicit', verify: false, port: IMAPS_PORT }, {}],
  ])('%s', async (name, imap, pop3) => {
    const { imapPort, pop3Port } = await start(imap, pop3);
    const user = name.replaceAll(/\W+/g, '-').toLowerCase();
    for (const url of [
      `imap://${labAddress(3)}:${imapPort}/`,
      `pop3://${labAddress(3)}:${pop3Port}/`,
    ]) {
      await curlOutput(user, '--interface', CLIENT_IP, url);
    }
    const sessions = await watch.waitForSessions(user, 2);
    expect(sessions.map(({ protocol }) => protocol).sort()).toEqual(['imap', 'pop3']);
    for (const { clientIp, connectedIp, backend } of sessions) {
      expect({ clientIp, backend }).toEqual({ clientIp: CLIENT_IP, backend: sessions[0]!.backend });
      expect(connectedIp).not.toBe(CLIENT_IP);
    }
    await watch.waitUntilAllEnded();
    expect(watch.overlaps()).toEqual([]);
  });

  test('a client with TLS is one with TLS for the backend, too', async () => {
    const front = await TlsFront.start(
      lab.backends.map(({ ip }) => ip),
      { overrides: { backends: { imap: { port: IMAP_PORT, haproxy: 'v2' } } } },
    );
    try {
      const url = `imaps://${front.ip}:${front.port('imap', 'implicit')}/`;
      const from = ['--interface', CLIENT_IP, '--cacert', front.files.cert];
      await curlOutput('secured', ...from, url);
    } finally {
      await front.stop();
    }
    const [session] = await watch.waitForSessions('secured');
    const log = lab.byName(session!.backend).log();
    expect(log).toMatch(/Login: user=<secured>.* secured=<secured>/);
  });
});

describe('byte by byte', () => {
  let server: Server;
  let connections: Socket[];

  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      connections.push(socket);
      server.emit('next');
    });
    server.listen(0, labAddress(1));
    await once(server, 'listening');
  });

  afterAll(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });

  async function loginAttempt(haproxy: string): Promise<Buffer> {
    connections = [];
    const { port } = server.address() as AddressInfo;
    director = await PostilionProcess.start({
      mailServers: [labAddress(1)],
      imapPort: port,
      pop3Port: port,
      workers: 1,
      listenIp: labAddress(3),
      overrides: { backends: { imap: { port, haproxy } }, login_proxy_max_reconnects: 0 },
    });
    const client = await RawClient.open(labAddress(3), director.imapPort, CLIENT_IP);
    const next = once(server, 'next');
    client.send('a LOGIN alice pass\r\n');
    await withDeadline(next, DEADLINE_MS, 'connection');
    const [socket] = connections;
    // Nothing but the header comes before the backend's greeting, and that without being asked for.
    const [header] = (await withDeadline(once(socket!, 'data'), DEADLINE_MS, 'header')) as [Buffer];
    socket!.write('* BYE go away\r\n');
    await client.until(/^a NO /m);
    client.close();
    return header;
  }

  test('v1', async () => {
    const header = await loginAttempt('v1');
    const { imapPort } = director!;
    expect(header.toString('latin1')).toMatch(
      new RegExp(`^PROXY TCP4 ${CLIENT_IP} ${labAddress(3)} \\d+ ${imapPort}\\r\\n$`),
    );
  });

  test('v2, with the session id', async () => {
    const header = await loginAttempt('v2');
    const line = await director!.waitForLog('login', ({ msg }) => msg === 'login failed');
    expect(new ProxyHeaderParser().receive(header)).toEqual({
      kind: 'header',
      header: {
        endpoints: {
          remoteIp: CLIENT_IP,
          remotePort: Number(`${line['client']}`.split(':')[1]),
          localIp: labAddress(3),
          localPort: director!.imapPort,
        },
        tls: null,
        alpn: '',
        authority: '',
        uniqueId: line['session'],
      },
      rest: Buffer.alloc(0),
    });
  });
});
