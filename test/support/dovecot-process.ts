import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { eventually, withDeadline } from './deadline.ts';
import { requireProgram } from './require-program.ts';

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 10_000;

export interface DovecotProcessOptions {
  /** For error texts. */
  readonly name: string;
  readonly configPath: string;
  readonly logPath: string;
  /** Debian packages that bring everything the configuration needs. */
  readonly packages: readonly string[];
}

/** `dovecot -F -c FILE` with all the processes that it starts. */
export class DovecotProcess {
  readonly #options: DovecotProcessOptions;
  #master: ChildProcess | null = null;

  constructor(options: DovecotProcessOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#master !== null;
  }

  /** Of the master; all others are its children. 0: it does not run. */
  get pid(): number {
    return this.#master?.pid ?? 0;
  }

  /** Starts Dovecot, installed if it is missing (Debian), and waits until it is ready. */
  async start(isReady: () => Promise<boolean>): Promise<void> {
    const { name, configPath, logPath, packages } = this.#options;
    const program = await requireProgram('dovecot', packages);
    // A process group of its own: whatever Dovecot starts can be found again by it.
    const master = spawn(program, ['-F', '-c', configPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#master = master;
    let said = '';
    master.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
    const { pid } = master;
    if (pid === undefined) throw new Error('dovecot could not be started');
    const killGroup = (): void => killProcessGroup(pid);
    process.once('exit', killGroup);
    master.once('exit', () => process.off('exit', killGroup));
    await eventually(`${name} is ready`, START_DEADLINE_MS, async () => {
      if (master.exitCode !== null) {
        const log = readFileSync(logPath, 'utf8').slice(-2000);
        throw new Error(`dovecot ended with ${master.exitCode}: ${said}${log}`);
      }
      return await isReady();
    });
  }

  /** SIGTERM: an orderly end; SIGKILL: a crash of all processes at once. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const master = this.#master;
    if (master?.pid === undefined) return;
    this.#master = null;
    const { name } = this.#options;
    const groupId = master.pid;
    const ended = once(master, 'exit');
    if (signal === 'SIGKILL') killProcessGroup(groupId);
    else master.kill(signal);
    try {
      await withDeadline(ended, STOP_DEADLINE_MS, `end of ${name}`);
    } finally {
      killProcessGroup(groupId);
    }
    await eventually(`processes of ${name} are gone`, STOP_DEADLINE_MS, () => {
      return !hasLivingProcess(groupId);
    });
  }
}

/** The first bytes a server sends, '' when it cannot be reached. */
export async function greetingOf(host: string, port: number): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(2000, () => socket.destroy());
    socket.once('data', (chunk) => {
      resolve(chunk.toString('latin1'));
      socket.destroy();
    });
    socket.once('error', () => resolve(''));
    socket.once('close', () => resolve(''));
  });
}

export function killProcessGroup(groupId: number): void {
  try {
    process.kill(-groupId, 'SIGKILL');
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** A process or a file is not there (any more). */
export function isGone(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^(?:ESRCH|ENOENT|ENOTDIR)$/.test(`${error.code}`)
  );
}

/** A zombie that waits for its parent counts as gone: its sockets are closed. */
export function hasLivingProcess(groupId: number): boolean {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    let stat: string;
    try {
      stat = readFileSync(`/proc/${entry}/stat`, 'latin1');
    } catch (error) {
      if (isGone(error)) continue;
      throw error;
    }
    // pid (name) state parent group …; the name may hold blanks and parentheses.
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(group) === groupId && state !== 'Z' && state !== 'X') return true;
  }
  return false;
}
