import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { JsonProcess } from '../../bench/json-process.ts';
import type { BackendReady } from '../../bench/wire-contract.ts';
import { startForwarder } from '../bench/forwarder.ts';
import { makeCertificate } from '../support/certificates.ts';
import { labAddress } from '../support/dovecot.ts';
import { EmbeddedDirector } from '../support/embedded-director.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';

/** `postilion bench` as a program, through `postilion serve` and at servers that do wrong. */

const BIN = new URL('../../src/main/cli/bin.ts', import.meta.url).pathname;
const LEAN = new URL('../../bench/backend/lean-backend.ts', import.meta.url).pathname;
const SHORT = ['--seconds', '0.5', '--warmup', '0.1', '--connections', '4', '--users', '50'];

let scratch: string;
let embedded: EmbeddedDirector;
let lean: JsonProcess;
let leanPorts: BackendReady;
const hosts = [labAddress(11), labAddress(12)];
const ip = labAddress(14);

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'postilion-bench-cli-'));
  const certificate = await makeCertificate(scratch, 'front.test', { names: `IP:${ip}` });
  const listen = `${ip}:0`;
  embedded = await EmbeddedDirector.start(2, {
    overrides: {
      services: [
        { protocol: 'imap', listen },
        { protocol: 'imap', listen, tls: 'implicit' },
        { protocol: 'pop3', listen },
      ],
      ssl: certificate,
    },
  });
  const listens = hosts.flatMap((host) => ['--listen', host]);
  lean = new JsonProcess(process.execPath, [LEAN, ...listens, '--body-bytes', '5000']);
  leanPorts = await lean.next<BackendReady>();
});

afterAll(async () => {
  await lean?.stop();
  await embedded?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

async function bench(...args: string[]): Promise<ProgramResult> {
  return await runProgram(process.execPath, [BIN, 'bench', ...args]);
}

function imap(index = 0): string {
  return `${index === 1 ? 'imaps' : 'imap'}://${ip}:${embedded.director.portOf('imap', index)}`;
}

function pop3(): string {
  return `pop3://${ip}:${embedded.director.portOf('pop3')}`;
}

test.each(['login', 'echo', 'fetch', 'mixed'])('%s through postilion serve', async (mode) => {
  const both = ['--target', imap(), '--target', pop3(), '--idle-seconds', '0.1'];
  const bodies = ['--body-bytes', '65536', '--body-sha256'];
  bodies.push(embedded.backends.map((backend) => backend.message.sha256).join(','));
  const out = join(scratch, mode);
  const result = await bench(mode, ...both, ...SHORT, ...bodies, '--threads', '2', '--out', out);
  expect([result.code, result.stdout]).toEqual([0, expect.stringContaining('0 wrong user')]);
  expect(result.stdout).not.toContain('errors:');
  expect(existsSync(join(out, 'percentiles.svg'))).toBe(true);
  // The embedded backends say in the bodies who they are.
  if (mode === 'fetch') expect(result.stdout).toMatch(/checks: [1-9]\d* logins said/);
});

test('STARTTLS, and TLS from the first byte with and without resumption', async () => {
  const starttls = await bench('login', '--target', imap(), '--starttls', ...SHORT);
  expect(starttls).toMatchObject({ code: 0 });
  expect(starttls.stdout).toMatch(/TLS: [1-9]\d* handshakes, 0 resumed/);
  const resumed = await bench('login', '--target', imap(1), '--tls-resume', ...SHORT);
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stdout).toMatch(/TLS: [1-9]\d* handshakes, [1-9]\d* resumed/);
});

test('a proxy that spreads a user over two backends, and a body that is another one, fail the run', async () => {
  const spread = await startForwarder(hosts, leanPorts.imapPort);
  try {
    const target = ['--target', `imap://127.0.0.1:${spread.port}`];
    const found = await bench('login', ...target, ...SHORT, '--users', '1', '--seed', '5');
    expect(found.code).toBe(1);
    expect(found.stdout).toMatch(/FAILED: [1-9]/);
    expect(found.stdout).toMatch(/, ([1-9]\d* wrong backend|\d+ wrong backend, [1-9]\d* moved)/);
    expect(found.stdout).toContain('--users 1 --seed 5');
    const body = await bench(
      'fetch',
      ...target,
      ...SHORT,
      '--body-bytes',
      '4999',
      '--max-errors',
      '5',
    );
    expect(body.code).toBe(1);
    expect(body.stdout).toContain('5000 bytes instead of 4999');
  } finally {
    spread.stop();
  }
});

test('mistakes on the command line have exit code 64; help has 0', async () => {
  expect(await bench('login')).toMatchObject({ code: 64, stdout: '' });
  expect(await bench('sleep', '--target', 'imap://x')).toMatchObject({ code: 64 });
  expect((await bench('login', '--nonsense')).stderr).toContain('--nonsense');
  const help = await bench('--help');
  expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('--rate')]);
});
