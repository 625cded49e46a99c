import { appendFileSync, chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DovecotProcess, greetingOf } from './dovecot-process.ts';
import { makeLabDirectory } from './lab-directory.ts';

const TEMPLATE = new URL('../data/lab/dovecot-backend.conf', import.meta.url);
/** The same on every backend, as a director knows one port per protocol. */
export const IMAP_PORT = 23143;
export const POP3_PORT = 23110;
const MAX_BACKENDS = 14;

/**
 * Loopback addresses that no other test process on this machine uses: the process id and the
 * backend's number are in them. 127.0.x.y, which people use by hand, is left out.
 */
export function labAddress(number: number): string {
  if (number < 1 || number > MAX_BACKENDS) throw new RangeError(`backend number ${number}`);
  const bits = (((process.pid & 0xfffff) << 4) | number) ^ 0x400000;
  return `127.${bits >>> 16}.${(bits >>> 8) & 255}.${bits & 255}`;
}

/** What one backend is told of itself. */
export interface DovecotFacts {
  readonly name: string;
  readonly ip: string;
  /** Its own; `directory`/mail has the mailboxes. */
  readonly directory: string;
}

/** What a lab has besides IMAP and POP3. */
export interface DovecotOptions {
  /** Text behind the template: what it sets again counts. Files that it names may be written meanwhile. */
  readonly config?: (backend: DovecotFacts) => string;
  /** Further Debian packages. */
  readonly packages?: readonly string[];
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
  readonly #process: DovecotProcess;

  constructor(name: string, ip: string, directory: string, options: DovecotOptions = {}) {
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
    const further = options.config?.({ name, ip, directory }) ?? '';
    writeFileSync(this.configPath, fillTemplate({ name, ip, directory }) + further);
    writeFileSync(this.logPath, '');
    this.#process = new DovecotProcess({
      name,
      configPath: this.configPath,
      logPath: this.logPath,
      packages: ['dovecot-imapd', 'dovecot-pop3d', ...(options.packages ?? [])],
    });
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Starts Dovecot, installed if it is missing (Debian), and waits until both protocols greet. */
  async start(): Promise<void> {
    await this.#process.start(async () => {
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
    if (!this.isRunning) return;
    await this.#process.end(signal);
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
  static async start(
    count: number,
    firstNumber = 1,
    options: DovecotOptions = {},
  ): Promise<DovecotLab> {
    if (process.getuid?.() !== 0) throw new Error('real Dovecot backends need root');
    const directory = makeLabDirectory();
    const backends: DovecotBackend[] = [];
    for (let number = firstNumber; number < firstNumber + count; number++) {
      const name = `b${number}`;
      backends.push(new DovecotBackend(name, labAddress(number), join(directory, name), options));
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

function fillTemplate(of: DovecotFacts): string {
  return readFileSync(TEMPLATE, 'utf8')
    .replaceAll('@IP@', of.ip)
    .replaceAll('@BASE@', of.directory)
    .replaceAll('@NAME@', of.name)
    .replaceAll('@IMAP_PORT@', `${IMAP_PORT}`)
    .replaceAll('@POP3_PORT@', `${POP3_PORT}`);
}
