import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
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
  stop(): Promise<void>;
}

export interface DirectorSetup {
  readonly workers: number;
  readonly backendHosts: readonly string[];
  readonly backend: BackendReady;
}

/** The configuration of the director under test: defaults wherever a bench does not need others. */
export function directorYaml(
  setup: DirectorSetup,
  baseDir: string,
  ports: { imap: number; pop3: number },
): string {
  return [
    `base_dir: ${baseDir}`,
    `workers: ${setup.workers}`,
    'services:',
    `  - { protocol: imap, listen: "127.0.0.1:${ports.imap}" }`,
    `  - { protocol: pop3, listen: "127.0.0.1:${ports.pop3}" }`,
    'disable_plaintext_auth: false',
    'director:',
    '  mail_servers:',
    ...setup.backendHosts.map((host) => `    - ${host}`),
    'backends:',
    `  imap: { port: ${setup.backend.imapPort}, trusted: true }`,
    `  pop3: { port: ${setup.backend.pop3Port}, trusted: true }`,
    '',
  ].join('\n');
}

/** Starts the director and waits until it accepts connections. */
export async function startDirectorProcess(setup: DirectorSetup): Promise<DirectorProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'postilion-bench-'));
  const ports = { imap: await freePort(), pop3: await freePort() };
  const config = join(dir, 'postilion.yaml');
  writeFileSync(config, directorYaml(setup, dir, ports));
  const bin = new URL('../src/main/cli/bin.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [bin, 'serve', '-c', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // The log is written, as in service, but to a file that goes with the directory.
  const log = createWriteStream(join(dir, 'log'));
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const stop = async (): Promise<void> => {
    await stopChild(child);
    log.end();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await Promise.all(Object.values(ports).map((port) => accepting(port, child)));
  } catch (error) {
    const text = readFileSync(join(dir, 'log'), 'utf8').slice(-2000);
    await stop();
    throw new Error(`postilion serve did not start:\n${text}`, { cause: error });
  }
  return { pid: child.pid ?? 0, imapPort: ports.imap, pop3Port: ports.pop3, stop };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address.port;
}

async function accepting(port: number, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (child.exitCode === null) {
    const socket = connect({ host: '127.0.0.1', port });
    try {
      // The greeting, not the connection: it shows that a worker serves the port.
      await once(socket, 'data', { signal: AbortSignal.timeout(START_DEADLINE_MS) });
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`ended with code ${child.exitCode}`);
}
