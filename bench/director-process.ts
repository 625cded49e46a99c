import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackendReady } from './wire-contract.ts';

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 10_000;
const RETRY_MS = 50;

/** A director of its own process, as `postilion serve` runs it. */
export interface DirectorProcess {
  readonly pid: number;
  readonly imapPort: number;
  readonly pop3Port: number;
  /** Null: the setup has no HTTP API. */
  readonly httpPort: number | null;
  stop(): Promise<void>;
}

export interface DirectorSetup {
  readonly workers: number;
  readonly backendHosts: readonly string[];
  readonly backend: BackendReady;
  /** Further lines of the configuration: of `director`, and of the top. */
  /** TLS from the first byte, with a certificate of the director's own making. */
  readonly tls?: boolean;
  readonly directorLines?: readonly string[];
  readonly lines?: readonly string[];
}

/** The configuration of the director under test: defaults wherever a bench does not need others. */
export function directorYaml(setup: DirectorSetup, baseDir: string): string {
  return [
    `base_dir: ${baseDir}`,
    `workers: ${setup.workers}`,
    'services:',
    ...['imap', 'pop3'].map((protocol) => {
      const tls = setup.tls === true ? ', tls: implicit' : '';
      return `  - { protocol: ${protocol}, listen: "127.0.0.1:0"${tls} }`;
    }),
    ...(setup.tls === true ? [`ssl: { cert: ${baseDir}/cert.pem, key: ${baseDir}/key.pem }`] : []),
    'disable_plaintext_auth: false',
    'director:',
    ...(setup.directorLines ?? []).map((line) => `  ${line}`),
    '  mail_servers:',
    ...setup.backendHosts.map((host) => `    - ${host}`),
    'backends:',
    `  imap: { port: ${setup.backend.imapPort}, trusted: true }`,
    `  pop3: { port: ${setup.backend.pop3Port}, trusted: true }`,
    ...(setup.lines ?? []),
    '',
  ].join('\n');
}

/** Starts the director and waits until it says that all its workers listen. */
export async function startDirectorProcess(setup: DirectorSetup): Promise<DirectorProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'postilion-bench-'));
  const config = join(dir, 'postilion.yaml');
  const logPath = join(dir, 'log');
  writeFileSync(config, directorYaml(setup, dir));
  if (setup.tls === true) makeCertificate(dir);
  const bin = new URL('../src/main/cli/bin.ts', import.meta.url).pathname;
  // The log is written, as in service, but to a file that goes with the directory.
  const log = openSync(logPath, 'a');
  const child = spawn(process.execPath, [bin, 'serve', '-c', config], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const stop = async (): Promise<void> => {
    await stopChild(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const ports = await listeningPorts(logPath, child);
    const { imap: imapPort, pop3: pop3Port, http: httpPort } = ports;
    return { pid: child.pid ?? 0, imapPort, pop3Port, httpPort, stop };
  } catch (error) {
    const text = readFileSync(logPath, 'utf8').slice(-2000);
    await stop();
    throw new Error(`postilion serve did not start:\n${text}`, { cause: error });
  }
}

/** As openssl makes it; P-256, as most sites have by now. */
function makeCertificate(dir: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')];
  const args = ['req', '-x509', ...key, '-days', '2', '-subj', '/CN=bench.test', ...files];
  execFileSync('openssl', args, { stdio: 'pipe' });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}

/** The ports from the log's `listening` lines, once it says `ready`. */
async function listeningPorts(
  logPath: string,
  child: ChildProcess,
): Promise<{ imap: number; pop3: number; http: number | null }> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (child.exitCode === null) {
    const lines = readFileSync(logPath, 'utf8').split('\n').slice(0, -1).map(parseLogLine);
    if (lines.some((line) => line.msg === 'ready')) {
      const find = (protocol: string): number | null => {
        const line = lines.find((l) => l.msg === 'listening' && l.protocol === protocol);
        return line?.port ?? null;
      };
      const portOf = (protocol: string): number => {
        const port = find(protocol);
        if (port === null) throw new Error(`not listening for ${protocol}`);
        return port;
      };
      return { imap: portOf('imap'), pop3: portOf('pop3'), http: find('http') };
    }
    if (performance.now() > deadline) throw new Error('not ready in time');
    // A file gives no event that is worth its trouble here.
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new Error(`ended with code ${child.exitCode}`);
}

interface LogLine {
  readonly msg?: string;
  readonly protocol?: string;
  readonly port?: number;
}

/** Lines that are no JSON (warnings of Node's) count as empty. */
function parseLogLine(line: string): LogLine {
  return line.startsWith('{') ? (JSON.parse(line) as LogLine) : {};
}
