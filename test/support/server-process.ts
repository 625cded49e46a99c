import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.ts';
import { eventually, withDeadline } from './deadline.ts';
import { outputOf } from './run-program.ts';

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 15_000;

export interface ServerCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Name of the user that it runs as; default: who runs the test. */
  readonly user?: string;
  readonly cwd?: string;
  /** That ends it in good order; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
}

/** A server that runs in the foreground, whatever it is. */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | null = null;
  #said = '';

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  /** Starts it and waits until it is ready. */
  async start(isReady: () => Promise<boolean>): Promise<void> {
    const { program, args, user, cwd } = this.#command;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : await idsOf(user)),
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#said = (this.#said + chunk.toString()).slice(-4000);
      });
    }
    const killChild = (): void => void child.kill('SIGKILL');
    process.once('exit', killChild);
    child.once('exit', () => process.off('exit', killChild));
    await eventually(`${program} is ready`, START_DEADLINE_MS, async () => {
      if (child.exitCode !== null) {
        throw new Error(`${program} ended with ${child.exitCode}: ${this.#said}`);
      }
      return await isReady();
    });
  }

  /** What it wrote last. */
  get said(): string {
    return this.#said;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(this.#command.stopSignal ?? 'SIGTERM');
    try {
      await withDeadline(ended, STOP_DEADLINE_MS, `end of ${this.#command.program}`);
    } finally {
      child.kill('SIGKILL');
    }
  }
}

export async function isPortOpen(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  socket.on('error', () => {});
  try {
    await Promise.race([
      once(socket, 'connect'),
      once(socket, 'close').then(() => Promise.reject(new Error('closed'))),
    ]);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Numbers of a user of this machine and of its group. */
export async function idsOf(user: string): Promise<{ uid: number; gid: number }> {
  const uid = Number(await outputOf('id', ['-u', user]));
  const gid = Number(await outputOf('id', ['-g', user]));
  return { uid, gid };
}

/** Copies of a certificate and its key that belong to a server's user: some want that. */
export function ownCertificate(
  directory: string,
  files: CertificateFiles,
  uid: number,
  gid: number,
): CertificateFiles {
  const folder = join(directory, 'tls');
  mkdirSync(folder, { recursive: true });
  const copies = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  for (const kind of ['cert', 'key'] as const) {
    copyFileSync(files[kind], copies[kind]);
    chmodSync(copies[kind], 0o600);
    chownSync(copies[kind], uid, gid);
  }
  return copies;
}
