import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { eventually, withDeadline } from './deadline.ts';
import { requireProgram } from './require-program.ts';

const TEMPLATE = new URL('../data/lab/dovecot-backend.conf', import.meta.url);
/** The same on every backend, as a director knows one port per protocol. */
export const IMAP_PORT = 23143;
export const POP3_PORT = 23110;
const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 10_000;
const MAX_BACKENDS = 14;
const DIRECTORY_PREFIX = 'postilion-lab-';

/**
 * Loopback addresses that no other test process on this machine uses: the process id and the
 * backend's number are in them. 127.0.x.y, which people use by hand, is left out.
 */
export function labAddress(number: number): string {
  if (number < 1 || number > MAX_BACKENDS) throw new RangeError(`backend number ${number}`);
  const bits = (((process.pid & 0xfffff) << 4) | number) ^ 0x400000;
  return `127.${bits >>> 16}.${(bits >>> 8) & 255}.${bits & 255}`;
}

/** One real Dovecot on its own loopback address. */
export class DovecotBackend {
  readonly name: string;
  readonly ip: string;
  readonly imapPort = IMAP_PORT;
  readonly pop3Port = POP3_PORT;
  readonly directory: string;
  readonly configPath: string;
  readonly logPath: string;
  #master: ChildProcess | null = null;

  constructor(name: string, ip: string, directory: string) {
    this.name = name;
    this.ip = ip;
    this.directory = directory;
    this.configPath = join(directory, 'dovecot.conf');
    this.logPath = join(directory, 'dovecot.log');
    for (const folder of [directory, join(directory, 'run'), join(directory, 'state')]) {
      mkdirSync(folder, { mode: 0o755 });
    }
    mkdirSync(join(directory, 'mail'));
    chmodSync(join(directory, 'mail'), 0o777);
    writeFileSync(this.configPath, fillTemplate({ name, ip, directory }));
    writeFileSync(this.logPath, '');
  }

  get isRunning(): boolean {
    return this.#master !== null;
  }

  /** Starts Dovecot, installed if it is missing (Debian), and waits until both protocols greet. */
  async start(): Promise<void> {
    const program = await requireProgram('dovecot', ['dovecot-imapd', 'dovecot-pop3d']);
    // A process group of its own: whatever Dovecot starts can be found again by it.
    const master = spawn(program, ['-F', '-c', this.configPath], {
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
    await eventually(`greetings of ${this.name}`, START_DEADLINE_MS, async () => {
      if (master.exitCode !== null) {
        throw new Error(`dovecot ended with ${master.exitCode}: ${said}${this.log().slice(-2000)}`);
      }
      const ports = [this.imapPort, this.pop3Port];
      const greetings = await Promise.all(ports.map((port) => greetingOf(this.ip, port)));
      return greetings.every((greeting) => greeting.includes(`${this.name} ready.`));
    });
  }

  /** An orderly end, sessions included. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** A crash: all processes at once. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  log(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const master = this.#master;
    if (master?.pid === undefined) return;
    this.#master = null;
    const ended = once(master, 'exit');
    if (signal === 'SIGKILL') killProcessGroup(master.pid);
    else master.kill(signal);
    try {
      await withDeadline(ended, STOP_DEADLINE_MS, `end of ${this.name}`);
    } finally {
      killProcessGroup(master.pid);
    }
    const groupId = master.pid;
    await eventually(`processes of ${this.name} are gone`, STOP_DEADLINE_MS, () => {
      return !hasLivingProcess(groupId);
    });
    // For whoever reads the log later: what had no end by itself has ended by now.
    appendFileSync(this.logPath, `${(Date.now() / 1000).toFixed(6)} lab: Info: all ended\n`);
  }
}

/** Several real backends that live and end together. */
export class DovecotLab {
  readonly backends: readonly DovecotBackend[];
  readonly directory: string;

  private constructor(directory: string, backends: readonly DovecotBackend[]) {
    this.directory = directory;
    this.backends = backends;
  }

  /** Starts backends named b1, b2, … */
  static async start(count: number, firstNumber = 1): Promise<DovecotLab> {
    if (process.getuid?.() !== 0) throw new Error('real Dovecot backends need root');
    const parent = searchableTemporaryDirectory();
    removeLeftovers(parent);
    const directory = mkdtempSync(join(parent, `${DIRECTORY_PREFIX}${process.pid}-`));
    // Login processes run as dovenull and have to get through.
    chmodSync(directory, 0o755);
    const backends: DovecotBackend[] = [];
    for (let number = firstNumber; number < firstNumber + count; number++) {
      const name = `b${number}`;
      backends.push(new DovecotBackend(name, labAddress(number), join(directory, name)));
    }
    const lab = new DovecotLab(directory, backends);
    try {
      await Promise.all(backends.map((backend) => backend.start()));
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  byIp(ip: string): DovecotBackend {
    const found = this.backends.find((backend) => backend.ip === ip);
    if (found === undefined) throw new Error(`no backend has the address ${ip}`);
    return found;
  }

  byName(name: string): DovecotBackend {
    const found = this.backends.find((backend) => backend.name === name);
    if (found === undefined) throw new Error(`no backend is called ${name}`);
    return found;
  }

  async stop(): Promise<void> {
    const ends = await Promise.allSettled(this.backends.map((backend) => backend.stop()));
    rmSync(this.directory, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

function fillTemplate(of: { name: string; ip: string; directory: string }): string {
  return readFileSync(TEMPLATE, 'utf8')
    .replaceAll('@IP@', of.ip)
    .replaceAll('@BASE@', of.directory)
    .replaceAll('@NAME@', of.name)
    .replaceAll('@IMAP_PORT@', `${IMAP_PORT}`)
    .replaceAll('@POP3_PORT@', `${POP3_PORT}`);
}

/** The first bytes a server sends, '' when it cannot be reached. */
async function greetingOf(host: string, port: number): Promise<string> {
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

/** TMPDIR if every user can search it and unix socket paths in it are short enough, else /tmp. */
function searchableTemporaryDirectory(): string {
  const wanted = tmpdir();
  for (let path = wanted; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return '/tmp';
    if (path === dirname(path)) return wanted.length <= 40 ? wanted : '/tmp';
  }
}

function killProcessGroup(groupId: number): void {
  try {
    process.kill(-groupId, 'SIGKILL');
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** A zombie that waits for its parent counts as gone: its sockets are closed. */
function hasLivingProcess(groupId: number): boolean {
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

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(ESRCH|ENOENT)$/.test(`${error.code}`);
}

/** What a test run left behind that was killed itself: its Dovecots and their directories. */
function removeLeftovers(parent: string): void {
  for (const entry of readdirSync(parent)) {
    const owner = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(entry)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    const directory = join(parent, entry);
    for (const backend of readdirSync(directory)) {
      const pid = Number(readIfThere(join(directory, backend, 'run', 'master.pid')));
      // The number may be another program's by now.
      const isOurs = pid > 1 && readIfThere(`/proc/${pid}/cmdline`).includes(`${directory}/`);
      if (isOurs) killProcessGroup(pid);
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isGone(error);
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}
