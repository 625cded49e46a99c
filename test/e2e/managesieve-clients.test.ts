import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../embedded/raw-client.ts';
import { type CertificateFiles, makeCertificate, opensslClient } from '../support/certificates.ts';
import { type DovecotOptions, IMAP_PORT, labAddress, POP3_PORT } from '../support/dovecot.ts';
import { LabDirector } from '../support/lab-director.ts';
import { labServices, SIEVE_PORT } from '../support/lab-services.ts';
import { PostilionProcess } from '../support/postilion.ts';
import { requireFile, requireProgram } from '../support/require-program.ts';
import { outputOf, runProgram } from '../support/run-program.ts';

/** Debian's dovecot-managesieved behind `postilion serve`, and clients that we did not write. */

const CLIENTS = new URL('./clients/', import.meta.url).pathname;
const LARGE_BYTES = 100 * 1024;
const HOST = '127.0.0.1';

/** Installation of the clients, when there is none. */
const SETUP_DEADLINE_MS = 600_000;

let scratch: string;
let certificate: CertificateFiles;
let backendCertificate: CertificateFiles;
let front: LabDirector;
/** A script that shows every slip of a byte, and where it is. */
let large: { path: string; content: Buffer };

/** The listeners, in the order of the configuration. */
const MODES = ['off', 'starttls', 'implicit'] as const;

function portOf(mode: (typeof MODES)[number]): number {
  return front.director.portOf('managesieve', MODES.indexOf(mode));
}

let sieveConnectPath: string;

beforeAll(async () => {
  sieveConnectPath = await requireProgram('sieve-connect', ['sieve-connect']);
  await requireFile('/usr/lib/python3/dist-packages/sievelib/managesieve.py', ['python3-sievelib']);
  await requireFile('/usr/share/perl5/Net/ManageSieve.pm', ['libnet-managesieve-perl']);
  scratch = mkdtempSync(join(tmpdir(), 'postilion-sieve-'));
  certificate = await makeCertificate(scratch, 'front.test', {
    names: `DNS:front.test,DNS:localhost,IP:${HOST}`,
  });
  large = writeLargeScript(join(scratch, 'large.sieve'));
  const listen = `${HOST}:0`;
  front = await LabDirector.start(
    3,
    {
      services: { managesieve: SIEVE_PORT },
      overrides: {
        // All clients here have one address, and some give a wrong password.
        ...{ auth_penalty: false, auth_failure_delay: '50ms' },
        ssl: certificate,
        services: [
          { protocol: 'imap', listen },
          { protocol: 'pop3', listen },
          ...MODES.map((tls) => ({ protocol: 'managesieve', listen, tls })),
        ],
      },
    },
    await backendOptions(),
  );
}, SETUP_DEADLINE_MS);

/** With TLS, so that a director may begin it. */
async function backendOptions(): Promise<DovecotOptions> {
  const addresses = [1, 2, 3].map((number) => `IP:${labAddress(number)}`);
  backendCertificate = await makeCertificate(scratch, 'backend.test', { names: `${addresses}` });
  const { cert, key } = backendCertificate;
  const services = await labServices('managesieve');
  const ssl = `ssl = yes\nssl_cert = <${cert}\nssl_key = <${key}\n`;
  return { ...services, config: (backend) => services.config!(backend) + ssl };
}

afterAll(async () => {
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  await front?.stop();
});

function writeLargeScript(path: string): { path: string; content: Buffer } {
  const lines: string[] = [];
  const starts = ['OK "', 'BYE "', 'NO (X) {5}', '{5}', '{3+}', '\u00e4\u20ac', '"', '\\'];
  for (let line = 0, bytes = 0; bytes < LARGE_BYTES; line++) {
    const text = `# ${starts[line % starts.length]}${line} `.padEnd(60 + (line % 17), '=/+');
    lines.push(text);
    bytes += Buffer.byteLength(text) + 2;
  }
  const content = Buffer.from(`${lines.join('\r\n')}\r\nkeep;\r\n`);
  writeFileSync(path, content);
  return { path, content };
}

interface SieveConnect {
  readonly user: string;
  readonly password?: string;
  readonly mode: 'off' | 'starttls';
  readonly action: readonly string[];
}

/** Debian's sieve-connect; all that it printed, and its exit code. */
async function sieveConnect(options: SieveConnect): Promise<{ code: number; output: string }> {
  const { user, mode, action } = options;
  const tls = mode === 'off' ? ['--clearchan'] : ['--tlscafile', certificate.cert];
  const args = ['-4', '--server', 'localhost', '--port', `${portOf(mode)}`, ...tls];
  const command = 'printf "%s\\n" "$0" | "$@" 2>&1';
  const { code, stdout } = await runProgram('bash', [
    ...['-c', command, options.password ?? 'pass', sieveConnectPath, ...args],
    ...['--user', user, '--passwordfd', '0', '--authmech', 'PLAIN', ...action],
  ]);
  return { code, output: stdout };
}

describe.each(['off', 'starttls'] as const)('sieve-connect, TLS %s', (mode) => {
  const user = `connect-${mode}`;

  async function run(...action: string[]): Promise<string> {
    const { code, output } = await sieveConnect({ user, mode, action });
    expect(code, output).toBe(0);
    return output;
  }

  test('100 kB up, listed, active, down again', async () => {
    await run('--upload', '--localsieve', large.path, '--remotesieve', 'large');
    await run('--activate', '--remotesieve', 'large');
    expect(await run('--list')).toMatch(/^"large" ACTIVE$/m);
    const copy = join(scratch, `${user}.sieve`);
    await run('--download', '--remotesieve', 'large', '--localsieve', copy);
    expect(readFileSync(copy).equals(large.content)).toBe(true);
    await run('--deactivate');
    await run('--delete', '--remotesieve', 'large');
    expect(await run('--list')).not.toContain('large');
  });

  test('a bad script is refused by the backend, in its words', async () => {
    const path = join(scratch, 'bad.sieve');
    writeFileSync(path, 'no sieve at all\r\n');
    const action = ['--upload', '--localsieve', path, '--remotesieve', 'bad'];
    const { output } = await sieveConnect({ user, mode, action });
    expect(output).toMatch(/bad: line 2: error: /);
  });

  test('bad password, then the good one', async () => {
    const refused = await sieveConnect({ user, password: 'wrong', mode, action: ['--list'] });
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain('Authentication failed.');
    await run('--list');
  });
});

test.each(['no', 'yes'])(
  'sievelib, STARTTLS %s: PLAIN and LOGIN, the whole tour',
  async (starttls) => {
    await requireFile('/usr/lib/python3/dist-packages/sievelib/managesieve.py', [
      'python3-sievelib',
    ]);
    const port = portOf(starttls === 'yes' ? 'starttls' : 'off');
    const args = [`${CLIENTS}managesieve_tour.py`, HOST, `${port}`, `lib-${starttls}`, starttls];
    const output = await outputOf('/usr/bin/python3', ['-W', 'ignore', ...args]);
    const refused = [false, 'Authentication failed.'];
    expect(JSON.parse(output)).toEqual({
      ...{ wrong_plain: refused, plain: true, wrong_login: refused, login: true },
      implementation_plain: 'Postilion Pigeonhole',
      implementation_login: 'Postilion Pigeonhole',
      havespace: true,
      putscript: true,
      bad_script: false,
      error: expect.stringMatching(/^b: line 2: error: .*b: error: parse failed\./s),
      setactive: true,
      listscripts: ['a', []],
      getscript: 'require "fileinto";\nfileinto "x";',
      deletescript: true,
    });
  },
);

test.each([
  ['no', 'off'],
  ['require', 'starttls'],
] as const)('Net::ManageSieve, TLS %s: 100 kB up and down', async (tls, mode) => {
  const args = ['localhost', `${portOf(mode)}`, `perl-${tls}`, large.path, tls, certificate.cert];
  const output = await outputOf('/usr/bin/perl', [`${CLIENTS}managesieve_tour.pl`, ...args]);
  expect(output.split('\n')).toEqual([
    'wrong password: refused',
    'password: accepted',
    `encrypted: ${tls === 'no' ? 'no' : 'yes'}`,
    'putscript: ok',
    'getscript: equal',
    'listscripts: large,',
    '',
  ]);
});

const RESPONSE = Buffer.from('\0openssl\0pass').toString('base64');

test('openssl s_client: STARTTLS, and TLS from the start', async () => {
  const input = `AUTHENTICATE "PLAIN" "${RESPONSE}"\\r\\nLISTSCRIPTS\\r\\nLOGOUT\\r\\n`;
  const args = ['-CAfile', certificate.cert, '-verify_return_error', '-quiet'];
  for (const [mode, ...further] of [['starttls', '-starttls', 'sieve'], ['implicit']] as const) {
    const output = await opensslClient(`${HOST}:${portOf(mode)}`, input, ...args, ...further);
    expect(output).toMatch(/"SASL" "PLAIN LOGIN"\r\n"VERSION" "1\.0"\r\nOK /);
    expect(output).not.toContain('"STARTTLS"');
    expect(output).toMatch(/OK "Logged in\."\r\nOK "Listscripts completed\."\r\nOK "Logout/);
  }
});

function authenticate(user: string, password = 'pass'): string {
  const response = Buffer.from(`\0${user}\0${password}`).toString('base64');
  return `AUTHENTICATE "PLAIN" {${response.length}+}\r\n${response}\r\n`;
}

async function connected(port = portOf('off')): Promise<RawClient> {
  const client = await RawClient.open(HOST, port);
  await client.until(/^OK "Postilion ready\."\r\n/m);
  return client;
}

test('what is pipelined behind the login, literals too, reaches the backend once and in order', async () => {
  const client = await connected();
  const script = large.content.toString('latin1');
  client.send(
    `NOOP "before"\r\n${authenticate('piped', 'wrong')}${authenticate('piped')}` +
      `PUTSCRIPT "a" {${script.length}+}\r\n${script}\r\nGETSCRIPT "a"\r\nNOOP "after"\r\nLOGOUT\r\n`,
  );
  expect(await client.line()).toBe('OK (TAG "before") "Done"\r\n');
  expect(await client.line()).toBe('NO "Authentication failed."\r\n');
  expect(await client.line()).toBe('OK "Logged in."\r\n');
  expect(await client.line()).toMatch(/^OK "PUTSCRIPT completed\."\r\n$/i);
  expect(await client.line()).toBe(`{${script.length}}\r\n`);
  expect(await client.take(script.length)).toBe(script);
  expect(await client.untilEnd()).toMatch(
    /^\r\nOK "[^"]*"\r\nOK \(TAG "after"\) "Done"\r\nOK "Logout completed\."\r\n$/,
  );
});

test('a password that fits into no quoted string is a literal for the backend too', async () => {
  const client = await connected();
  client.send(authenticate('long', 'x'.repeat(3000)) + authenticate('long'));
  expect(await client.line()).toBe('NO "Authentication failed."\r\n');
  expect(await client.line()).toBe('OK "Logged in."\r\n');
  client.close();
});

test('commands in the clear behind STARTTLS end the connection, unanswered', async () => {
  const client = await connected(portOf('starttls'));
  client.send(`STARTTLS\r\nNOOP "injected"\r\n${authenticate('injected')}`);
  expect(await client.untilEnd()).toBe('OK "Begin TLS negotiation now."\r\n');
  expect(front.watch.of('injected')).toEqual([]);
});

test('IMAP and ManageSieve sessions of a user meet on one backend', async () => {
  const backends = new Set<string>();
  for (let number = 0; number < 12; number++) {
    const user = `both${number}`;
    const sieve = await connected();
    await sieve.ask(authenticate(user), /OK "Logged in\."\r\n/);
    const imap = await RawClient.open(HOST, front.director.imapPort);
    await imap.until(/ready\.\r\n/);
    await imap.ask(`a LOGIN ${user} pass\r\n`, /a OK .*\r\n/);
    const sessions = await front.watch.waitForSessions(user, 2);
    expect(sessions.map(({ protocol }) => protocol).sort()).toEqual(['imap', 'managesieve']);
    expect(new Set(sessions.map(({ backend }) => backend)).size).toBe(1);
    // Told by XCLIENT.
    expect(sessions.every(({ clientIp }) => clientIp === HOST)).toBe(true);
    backends.add(sessions[0]!.backend);
    sieve.close();
    imap.close();
  }
  expect(backends.size).toBeGreaterThan(1);
});

test('STARTTLS towards the backends, and none whose certificate is another one', async () => {
  const others = [
    { ca: backendCertificate.cert, answer: /^OK "Logged in\."\r\n$/ },
    {
      ca: certificate.cert,
      answer: /^NO \(TRYLATER\) "Account is temporarily unavailable\."\r\n$/,
    },
  ];
  for (const { ca, answer } of others) {
    const tls = { port: SIEVE_PORT, trusted: true, tls: 'starttls', ca };
    const director = await PostilionProcess.start({
      mailServers: front.lab.backends.map(({ ip }) => ip),
      ...{ imapPort: IMAP_PORT, pop3Port: POP3_PORT, services: { managesieve: SIEVE_PORT } },
      overrides: { backends: { managesieve: tls }, login_proxy_max_reconnects: 0 },
    });
    try {
      const client = await connected(director.portOf('managesieve'));
      client.send(authenticate('secured'));
      expect(await client.line()).toMatch(answer);
      client.close();
    } finally {
      await director.stop();
    }
  }
});

test('a session that is kicked is told so where a line ends', async () => {
  const client = await connected();
  await client.ask(authenticate('kicked'), /OK "Logged in\."\r\n/);
  const { code, stderr } = await front.director.directorCommand('kick', 'kicked');
  expect(code, stderr).toBe(0);
  expect(await client.untilEnd()).toBe('BYE "Kicked by admin"\r\n');
});

test('no user was on two backends', async () => {
  await front.watch.waitUntilAllEnded();
  expect(front.watch.intervals().length).toBeGreaterThan(40);
  expect(front.watch.overlaps()).toEqual([]);
});
