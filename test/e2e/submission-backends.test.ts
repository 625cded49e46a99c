import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts';
import { DovecotLab, labAddress } from '../support/dovecot.ts';
import { labServices, SUBMISSION_PORT } from '../support/lab-services.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { RelayTarget } from '../support/relay-target.ts';

/** Submission towards real backends: by TLS, and through two of us. */

const SUBMISSIONS_PORT = 23465;
const CLIENT_IP = labAddress(11);
const FRONT_IP = labAddress(3);
/** What a connection to a 127 address comes from, unless it is said otherwise. */
const DIRECTORS_IP = '127.0.0.1';

let folder: string;
let authority: CertificateFiles;
let lab: DovecotLab;
/** Backends connect to it as soon as somebody is logged in. */
let relay: RelayTarget;
const directors: PostilionProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postilion-tls-'));
  authority = await makeCertificate(folder, 'authority');
  const names = `IP:${labAddress(1)}`;
  const certificate = await makeCertificate(folder, 'b1.test', { names, authority });
  relay = await RelayTarget.start();
  const services = await labServices('submission');
  lab = await DovecotLab.start(1, 1, {
    config: (backend) => `${services.config?.(backend)}
ssl = yes
ssl_cert = <${certificate.cert}
ssl_key = <${certificate.key}
login_log_format_elements = "user=<%u> %c rip=%r real_rip=%{real_rip} session=<%{session}>"
service submission-login {
  inet_listener submissions {
    port = ${SUBMISSIONS_PORT}
    ssl = yes
  }
}
`,
  });
});

afterEach(async () => {
  await Promise.all(directors.splice(0).map((director) => director.stop()));
});

afterAll(async () => {
  await lab?.stop();
  await relay?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface FrontOptions {
  readonly mailServer: string;
  readonly port: number;
  readonly submission?: Readonly<Record<string, unknown>>;
  readonly listen?: string;
  readonly overrides?: Readonly<Record<string, unknown>>;
}

async function start(options: FrontOptions): Promise<PostilionProcess> {
  const { mailServer, port, submission, listen = '127.0.0.1:0', overrides } = options;
  const director = await PostilionProcess.start({
    mailServers: [mailServer],
    imapPort: 0,
    pop3Port: 0,
    workers: 1,
    overrides: {
      hostname: 'front.test',
      services: [{ protocol: 'submission', listen }],
      backends: { submission: { port, trusted: true, ...submission } },
      ...overrides,
    },
  });
  directors.push(director);
  return director;
}

/** The answer to AUTH, and to a command behind it. */
async function login(ip: string, port: number, user: string): Promise<string> {
  const client = await RawClient.open(ip, port, CLIENT_IP);
  await client.until(/^220 .*\r\n/);
  const response = Buffer.from(`\0${user}\0pass`).toString('base64');
  client.send(`EHLO client.test\r\nAUTH PLAIN ${response}\r\nQUIT\r\n`);
  return (await client.untilEnd()).replaceAll(/^250.*\r\n/gm, '');
}

function loginLine(user: string): string {
  const lines = lab.backends[0]!.log().split('\n');
  return lines.find((line) => line.includes(`Login: user=<${user}>`)) ?? '';
}

const LOGGED_IN = '235 2.7.0 Logged in.\r\n221 2.0.0 Bye\r\n';
const UNAVAILABLE = '454 4.7.0 Account is temporarily unavailable.\r\n221 2.0.0 Bye\r\n';

describe('TLS', () => {
  test.each([
    ['starttls', SUBMISSION_PORT],
    ['implicit', SUBMISSIONS_PORT],
  ])('%s, verified by the address; XCLIENT goes through it', async (tls, port) => {
    const mailServer = lab.backends[0]!.ip;
    const front = await start({ mailServer, port, submission: { tls, ca: authority.cert } });
    const user = `secret-${tls}`;
    expect(await login('127.0.0.1', front.portOf('submission'), user)).toBe(LOGGED_IN);
    const line = loginLine(user);
    expect(line).toContain('TLS');
    expect(line).toContain(`rip=${CLIENT_IP}`);
  });

  test('a certificate that nobody vouches for', async () => {
    const mailServer = lab.backends[0]!.ip;
    const stranger = await makeCertificate(folder, 'stranger');
    const submission = { tls: 'starttls', ca: stranger.cert };
    const front = await start({ mailServer, port: SUBMISSION_PORT, submission });
    expect(await login('127.0.0.1', front.portOf('submission'), 'nobody')).toBe(UNAVAILABLE);
    expect(loginLine('nobody')).toBe('');
  });
});

test('a director behind another one hears who the client is', async () => {
  const { ip } = lab.backends[0]!;
  const overrides = { login_trusted_networks: [DIRECTORS_IP] };
  const listen = `${FRONT_IP}:0`;
  const back = await start({ mailServer: ip, port: SUBMISSION_PORT, listen, overrides });
  const front = await start({ mailServer: FRONT_IP, port: back.portOf('submission') });
  expect(await login('127.0.0.1', front.portOf('submission'), 'chained')).toBe(LOGGED_IN);
  expect(loginLine('chained')).toContain(`rip=${CLIENT_IP}`);
  const isLogin = (line: Readonly<Record<string, unknown>>): boolean => line['msg'] === 'login';
  const [atFront, atBack] = await Promise.all(
    [front, back].map((director) => director.waitForLog('login', isLogin)),
  );
  expect(atBack).toMatchObject({ client: atFront!['client'], session: atFront!['session'] });
});
