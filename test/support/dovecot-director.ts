import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DirectorClient } from '../../src/main/cli/director-client.ts';
import { DovecotProcess, greetingOf } from './dovecot-process.ts';
import { requireProgram } from './require-program.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

const TEMPLATE = new URL('../data/lab/dovecot-director.conf', import.meta.url);
/** Same port on every address, as admin commands that name a director by its address expect. */
export const RING_PORT = 9090;
const LOGIN_PORT = 23143;

export interface DovecotDirectorOptions {
  readonly name: string;
  readonly ip: string;
  /** Of its own; made by the constructor. */
  readonly directory: string;
  /** All ring members, "ip:port". Default: this one alone. */
  readonly servers?: readonly string[];
  /** Addresses, ranges, address@tag. */
  readonly mailServers: readonly string[];
  readonly backendImapPort: number;
  /** With unit; Dovecot refuses less than 10 s. Default 15m. */
  readonly userExpire?: string;
  /** With unit. Default 2s. */
  readonly userKickDelay?: string;
  /** Every line of the ring protocol goes to the log. Default false. */
  readonly logsWire?: boolean;
}

/** One real Dovecot 2.3 director with an IMAP login proxy. */
export class DovecotDirector {
  readonly name: string;
  readonly ip: string;
  readonly imapPort = LOGIN_PORT;
  readonly configPath: string;
  readonly logPath: string;
  readonly adminSocket: string;
  readonly #process: DovecotProcess;

  constructor(options: DovecotDirectorOptions) {
    const { name, ip, directory } = options;
    this.name = name;
    this.ip = ip;
    this.configPath = join(directory, 'dovecot.conf');
    this.logPath = join(directory, 'dovecot.log');
    this.adminSocket = join(directory, 'run', 'director-admin');
    for (const folder of [directory, join(directory, 'run'), join(directory, 'state')]) {
      mkdirSync(folder, { mode: 0o755 });
    }
    writeFileSync(this.configPath, fillTemplate(options));
    writeFileSync(this.logPath, '');
    this.#process = new DovecotProcess({
      name,
      configPath: this.configPath,
      logPath: this.logPath,
      packages: ['dovecot-imapd'],
    });
  }

  /** Of Dovecot's master process. */
  get pid(): number {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Waits until logins are greeted and the director itself works; not until it is in a ring. */
  async start(): Promise<void> {
    await this.#process.start(async () => {
      return (await greetingOf(this.ip, LOGIN_PORT)).includes(`${this.name} ready.`);
    });
    // Dovecot starts the director process at the first connection to one of its sockets, and only
    // then does it look for its ring.
    const client = await DirectorClient.connect(this.adminSocket);
    client.close();
  }

  /** An orderly end, sessions included. */
  async stop(): Promise<void> {
    await this.#process.end('SIGTERM');
  }

  /** A crash: director, login processes and all others at once. */
  async kill9(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  /** The real `doveadm director …` on this director. */
  async doveadm(...args: string[]): Promise<ProgramResult> {
    const program = await requireProgram('doveadm', ['dovecot-core']);
    return await runProgram(program, ['-c', this.configPath, 'director', ...args]);
  }

  /** Bytes that the director has written to its present neighbours. */
  async ringBytesSent(): Promise<number> {
    const program = await requireProgram('doveadm', ['dovecot-core']);
    const args = ['-f', 'tab', '-c', this.configPath, 'director', 'ring', 'status'];
    const { stdout } = await runProgram(program, args);
    const [header, ...rows] = stdout.split('\n').filter((line) => line !== '');
    const column = header.split('\t').indexOf('output');
    return rows.reduce((sum, row) => sum + (Number(row.split('\t')[column]) || 0), 0);
  }

  log(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  logLines(): string[] {
    return this.log().split('\n').slice(0, -1);
  }
}

function fillTemplate(options: DovecotDirectorOptions): string {
  const { name, ip, directory } = options;
  return readFileSync(TEMPLATE, 'utf8')
    .replaceAll('@IP@', ip)
    .replaceAll('@BASE@', directory)
    .replaceAll('@NAME@', name)
    .replaceAll('@RING_PORT@', `${RING_PORT}`)
    .replaceAll('@IMAP_PORT@', `${LOGIN_PORT}`)
    .replaceAll('@SERVERS@', (options.servers ?? [`${ip}:${RING_PORT}`]).join(' '))
    .replaceAll('@MAIL_SERVERS@', options.mailServers.join(' '))
    .replaceAll('@BACKEND_PORT@', `${options.backendImapPort}`)
    .replaceAll('@USER_EXPIRE@', options.userExpire ?? '15m')
    .replaceAll('@USER_KICK_DELAY@', options.userKickDelay ?? '2s')
    .replaceAll('@DEBUG@', options.logsWire === true ? 'category=director' : '');
}
