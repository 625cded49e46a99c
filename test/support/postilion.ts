import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { withDeadline } from './deadline.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

const BIN = new URL('../../src/main/cli/bin.ts', import.meta.url).pathname;
const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 15_000;
const LOG_DEADLINE_MS = 10_000;

/** One line of the director's log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface PostilionOptions {
  readonly mailServers: readonly (string | { host: string; vhost_count: number })[];
  readonly imapPort: number;
  readonly pop3Port: number;
  /** Protocols besides IMAP and POP3, with the backends' ports; see portOf(). */
  readonly services?: Readonly<Record<string, number>>;
  /** Default 2. */
  readonly workers?: number;
  /** The backends obey ID x-* and XCLIENT from us. Default true. */
  readonly isTrusted?: boolean;
  /** Where clients connect; the ports are free ones. Default 127.0.0.1. */
  readonly listenIp?: string;
  /** Further keys of the configuration, or other values for those set here. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  /** Further keys of `director`. */
  readonly director?: Readonly<Record<string, unknown>>;
}

/** The configuration a test needs, as the YAML file's content. */
export function labConfiguration(baseDir: string, options: PostilionOptions): object {
  const listen = `${options.listenIp ?? '127.0.0.1'}:0`;
  const trusted = options.isTrusted ?? true;
  const ports = { imap: options.imapPort, pop3: options.pop3Port, ...options.services };
  const protocols = Object.entries(ports);
  return {
    base_dir: baseDir,
    workers: options.workers ?? 2,
    services: protocols.map(([protocol]) => ({ protocol, listen })),
    disable_plaintext_auth: false,
    // All clients of a test have one address.
    auth_penalty: false,
    auth_user_penalty: false,
    login_greeting: 'Postilion ready.',
    director: { mail_servers: options.mailServers, ...options.director },
    backends: Object.fromEntries(protocols.map(([name, port]) => [name, { port, trusted }])),
    log: { level: 'info', format: 'json' },
    ...options.overrides,
  };
}

/** `postilion serve` as a process of its own, as a site runs it. */
export class PostilionProcess {
  readonly directory: string;
  readonly configPath: string;
  /** The log so far, oldest first. */
  readonly log: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #wakers = new Set<() => void>();
  readonly #killChild: () => void;
  /** Everything written to stdout and stderr, for searches of secrets. */
  #output = '';

  private constructor(directory: string, configPath: string) {
    this.directory = directory;
    this.configPath = configPath;
    const child = spawn(process.execPath, [BIN, 'serve', '-c', configPath], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#killChild = () => child.kill('SIGKILL');
    process.once('exit', this.#killChild);
    for (const stream of [child.stdout, child.stderr]) this.#readLines(stream);
    child.once('exit', () => this.#wake());
  }

  /** Starts a director and waits until all of its workers listen. */
  static async start(options: PostilionOptions): Promise<PostilionProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'postilion-e2e-'));
    const configPath = join(directory, 'postilion.yaml');
    writeFileSync(configPath, stringify(labConfiguration(join(directory, 'run'), options)));
    const director = new PostilionProcess(directory, configPath);
    try {
      await director.waitForLog('ready', (line) => line['msg'] === 'ready', START_DEADLINE_MS);
    } catch (error) {
      await director.stop();
      throw new Error(`postilion did not start: ${director.output.slice(-4000)}`, { cause: error });
    }
    return director;
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get imapPort(): number {
    return this.portOf('imap');
  }

  get pop3Port(): number {
    return this.portOf('pop3');
  }

  /** The admin socket, where doveadm can talk to it. */
  get adminSocket(): string {
    return join(this.directory, 'run', 'director-admin');
  }

  /** The first line that fits, already logged or still to come. */
  async waitForLog(
    what: string,
    fits: (line: LogLine) => boolean,
    deadlineMs = LOG_DEADLINE_MS,
  ): Promise<LogLine> {
    const [line] = await this.waitForLogs(what, 1, fits, deadlineMs);
    return line;
  }

  /** As waitForLog(), until there are at least so many. */
  async waitForLogs(
    what: string,
    count: number,
    fits: (line: LogLine) => boolean,
    deadlineMs = LOG_DEADLINE_MS,
  ): Promise<LogLine[]> {
    const search = async (): Promise<LogLine[]> => {
      for (;;) {
        const found = this.log.filter(fits);
        if (found.length >= count) return found;
        if (!this.isRunning) throw new Error(`postilion ended before it logged ${what}`);
        await new Promise<void>((resolve) => this.#wakers.add(resolve));
      }
    };
    return await withDeadline(search(), deadlineMs, `log line "${what}"`);
  }

  /** `postilion director …` on this director's admin socket. */
  async directorCommand(...args: string[]): Promise<ProgramResult> {
    const [verb, ...rest] = args;
    const command = [BIN, 'director', verb, '-a', this.adminSocket, ...rest];
    return await runProgram(process.execPath, command);
  }

  /** An orderly end by SIGTERM; being late or a bad exit code is an error. */
  async stop(): Promise<void> {
    try {
      if (!this.isRunning) return;
      const closed = once(this.#child, 'close') as Promise<[number | null, string | null]>;
      this.#child.kill('SIGTERM');
      const [code, signal] = await withDeadline(closed, STOP_DEADLINE_MS, 'end of postilion');
      if (code !== 0) {
        throw new Error(`postilion ended with ${code ?? signal}: ${this.#output.slice(-4000)}`);
      }
    } finally {
      this.#child.kill('SIGKILL');
      process.off('exit', this.#killChild);
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /** A crash. What it left in its directory is gone too, except where overrides put it elsewhere. */
  async kill(): Promise<void> {
    if (this.isRunning) {
      const closed = once(this.#child, 'close');
      this.#child.kill('SIGKILL');
      await withDeadline(closed, STOP_DEADLINE_MS, 'end of postilion');
    }
    await this.stop();
  }

  /** Of a protocol's first listener, or of another one in the order of the configuration. */
  portOf(protocol: string, index = 0): number {
    const lines = this.log.filter((entry) => {
      return entry['msg'] === 'listening' && entry['protocol'] === protocol;
    });
    const port = lines[index]?.['port'];
    if (typeof port !== 'number') throw new Error(`not listening for ${protocol} (${index})`);
    return port;
  }

  #readLines(stream: NodeJS.ReadableStream | null): void {
    if (stream === null) throw new Error('no pipe to postilion');
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      this.#output += chunk;
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const parsed = parseLine(line);
        if (parsed !== null) this.log.push(parsed);
      }
      this.#wake();
    });
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
    this.#wakers.clear();
  }
}

/** Null: no JSON object, e.g. a warning of Node's. */
function parseLine(line: string): LogLine | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as LogLine;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
