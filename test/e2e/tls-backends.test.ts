import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import {
  type DovecotFacts,
  DovecotLab,
  IMAP_PORT,
  labAddress,
  POP3_PORT,
} from '../support/dovecot.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { TlsBackend } from '../support/tls-backend.ts';

/**
 * TLS towards backends. That no user gets to two of them is the directory's doing and not touched by it; what
 * is shown here is that a login goes to the backend that was meant, or nowhere.
 */

const IMAPS_PORT = 23993;
const POP3S_PORT = 23995;

let folder: string;
let authority: CertificateFiles;
let stranger: CertificateFiles;
let director: PostilionProcess | null = null;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-tls-'));
  // Searchable for Dovecot's login processes.
  authority = await makeCertificate(folder, 'authority');
  stranger = await makeCertificate(folder, 'stranger');
});

afterEach(async () => {
  await director?.stop();
  director = null;
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface FrontOptions {
  readonly ip: string;
  readonly imap: Readonly<Record<string, unknown>> & { readonly port: number };
  readonly pop3?: Readonly<Record<string, unknown>>;
  readonly overrides?: Readonly<Record<string, unknown>>;
}

async function start({ ip, imap, pop3, overrides }: FrontOptions): Promise<PostilionProcess> {
  director = await PostilionProcess.start({
    mailServers: [ip],
    imapPort: imap.port,
    pop3Port: POP3_PORT,
    workers: 1,
    overrides: {
      backends: { imap: { trusted: true, ...imap }, pop3: { trusted: true, ...pop3 } },
      ...overrides,
    },
  });
  return director;
}

async function login(front: PostilionProcess, user: string): Promise<string> {
  const client = await RawClient.open('127.0.0.1', front.imapPort);
  try {
    await client.until(/^\* OK .*\r\n/);
    client.send(`a LOGIN ${user} pass\r\n`);
    const answer = await client.until(/^a .*\r\n/m);
    if (answer.startsWith('a OK')) {
      client.send('b NOOP\r\n');
      expect(await client.until(/^b .*\r\n/m)).toMatch(/^b OK NOOP completed/m);
    }
    return answer;
  } finally {
    client.socket.destroy();
  }
}

function fingerprint(files: CertificateFiles): string {
  return createHash('sha256')
    .update(new X509Certificate(readFileSync(files.cert)).raw)
    .digest('hex');
}

describe('real Dovecot', () => {
  let lab: DovecotLab;
  let certificate: CertificateFiles;

  beforeAll(async () => {
    certificate = await makeCertificate(folder, 'b1.test', {
      names: `IP:${labAddress(1)}`,
      authority,
    });
    lab = await DovecotLab.start(1, 1, { config: tlsConfiguration });
  });

  afterAll(async () => {
    await lab?.stop();
  });

  /** Only over TLS, except that our own network is trusted: a login in the clear would be seen in the log. */
  function tlsConfiguration(_backend: DovecotFacts): string {
    return `
ssl = yes
ssl_cert = <${certificate.cert}
ssl_key = <${certificate.key}
login_log_format_elements = "user=<%u> %c rip=%r session=<%{session}>"
service imap-login {
  inet_listener imaps {
    port = ${IMAPS_PORT}
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3s {
    port = ${POP3S_PORT}
    ssl = yes
  }
}
`;
  }

  function loginLine(user: string): string {
    const lines = lab.backends[0]!.log().split('\n');
    return lines.find((line) => line.includes(`Login: user=<${user}>`)) ?? '';
  }

  test.each(['starttls', 'implicit'] as const)('%s, verified by the address', async (tls) => {
    const isStartTls = tls === 'starttls';
    const [imap, pop3] = isStartTls ? [IMAP_PORT, POP3_PORT] : [IMAPS_PORT, POP3S_PORT];
    const ca = authority.cert;
    const front = await start({
      ip: lab.backends[0]!.ip,
      imap: { port: imap, tls, ca },
      pop3: { port: pop3, tls, ca },
    });
    expect(await login(front, `imap-${tls}`)).toMatch(/^a OK \[CAPABILITY /m);
    const client = await RawClient.open('127.0.0.1', front.pop3Port);
    await client.until(/^\+OK .*\r\n/);
    client.send(`USER pop3-${tls}\r\nPASS pass\r\n`);
    await client.until(/^\+OK\r\n/);
    expect(await client.until(/\r\n/)).toMatch(/^\+OK Logged in/);
    client.send('QUIT\r\n');
    await client.until(/^\+OK .*\r\n/);
    client.socket.destroy();
    for (const user of [`imap-${tls}`, `pop3-${tls}`]) {
      // Dovecot says TLS, and knows the client by XCLIENT or ID over it.
      expect(loginLine(user)).toMatch(/TLS.* rip=127\.0\.0\.1/);
    }
  });

  test('a certificate of another authority: [UNAVAILABLE] at once, and an error in the log', async () => {
    const { ip } = lab.backends[0]!;
    const front = await start({
      ip,
      imap: { port: IMAP_PORT, tls: 'starttls', ca: stranger.cert },
    });
    expect(await login(front, 'lost')).toMatch(/^a NO \[UNAVAILABLE\] Account is temporarily/m);
    const line = await front.waitForLog('failure', ({ msg }) => msg === 'login failed');
    expect(line).toMatchObject({ level: 50, attempts: 1, detail: expect.stringMatching(/^TLS: /) });
    expect(loginLine('lost')).toBe('');
  });

  test('verify: false takes any certificate, fingerprints only those that have them', async () => {
    const { ip } = lab.backends[0]!;
    const imap = { port: IMAPS_PORT, tls: 'implicit' };
    const lax = await start({ ip, imap: { ...imap, verify: false } });
    expect(await login(lax, 'lax')).toContain('a OK');
    await lax.stop();
    const pinned = await start({ ip, imap: { ...imap, fingerprints: [fingerprint(certificate)] } });
    expect(await login(pinned, 'pinned')).toContain('a OK');
    await pinned.stop();
    const other = await start({ ip, imap: { ...imap, fingerprints: [fingerprint(stranger)] } });
    expect(await login(other, 'unpinned')).toContain('a NO [UNAVAILABLE]');
    expect(loginLine('unpinned')).toBe('');
  });
});

describe('backends that a real one cannot be made to be', () => {
  const ip = labAddress(3);
  let backend: TlsBackend;

  afterEach(async () => {
    await backend?.close();
  });

  test('the certificate of another host is refused, though its authority is right', async () => {
    const files = await makeCertificate(folder, 'elsewhere', { authority });
    backend = await TlsBackend.listen({ ip, mode: 'implicit', ...files });
    const front = await start({
      ip,
      imap: { port: backend.port, tls: 'implicit', ca: authority.cert },
    });
    expect(await login(front, 'alice')).toContain('a NO [UNAVAILABLE]');
    expect(backend.connections).toHaveLength(1);
    expect(backend.connections[0]!.secured).toBe('');
  });

  test('words in the clear behind the consent are not believed, and no login follows', async () => {
    const files = await makeCertificate(folder, 'injector', { names: `IP:${ip}`, authority });
    const injected = '* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nC OK done\r\n';
    backend = await TlsBackend.listen({ ip, mode: 'starttls', injected, ...files });
    const front = await start({
      ip,
      imap: { port: backend.port, tls: 'starttls', ca: authority.cert },
      overrides: { login_proxy_max_reconnects: 0 },
    });
    expect(await login(front, 'alice')).toContain('a NO [UNAVAILABLE]');
    expect(backend.connections.map(({ clear, secured }) => clear + secured).join('')).not.toMatch(
      /LOGIN|alice/,
    );
  });

  test.each(['starttls', 'implicit'] as const)(
    '%s: the second session resumes the first',
    async (mode) => {
      const files = await makeCertificate(folder, `resume-${mode}`, {
        names: `IP:${ip}`,
        authority,
      });
      backend = await TlsBackend.listen({ ip, mode, ...files });
      const front = await start({
        ip,
        imap: { port: backend.port, tls: mode, ca: authority.cert },
      });
      for (const user of ['one', 'two']) expect(await login(front, user)).toContain('a OK');
      expect(backend.connections.map(({ isReused }) => isReused)).toEqual([false, true]);
      const isClear = backend.connections.some(({ clear }) => /LOGIN|one|two/.test(clear));
      expect(isClear).toBe(false);
    },
  );
});
