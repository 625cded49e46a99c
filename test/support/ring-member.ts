import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DirectorAdmin, type ListedDirector, type ListedHost } from './director-admin.ts';
import { DovecotDirector, RING_PORT } from './dovecot-director.ts';
import { PostilionProcess } from './postilion.ts';
import { requireProgram } from './require-program.ts';
import { protocolErrorsIn } from './ring-log.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

export type MemberKind = 'real' | 'ours';

const LAST_WORDS_CHARS = 2000;

export interface RingMemberOptions {
  readonly name: string;
  readonly ip: string;
  /** Of its own; made by the member. Outlives a crash, as base_dir does. */
  readonly directory: string;
  /** Addresses of all members, this one among them. */
  readonly memberIps: readonly string[];
  readonly mailServers: readonly string[];
  readonly backendPorts: { readonly imap: number; readonly pop3: number };
  /** With unit. */
  readonly userExpire: string;
  readonly userKickDelay: string;
  /** Real directors log every line of the ring protocol. */
  readonly logsWire: boolean;
  /** Of ours, besides the unix socket. */
  readonly adminPort?: number;
}

/** One director of a ring, with its login proxy: a real Dovecot or `postilion serve`. */
export interface RingMember {
  readonly kind: MemberKind;
  readonly name: string;
  readonly ip: string;
  /** Obeys commands that change something, on its admin socket. */
  readonly commandable: boolean;
  readonly isRunning: boolean;
  /** Where logins go; only while it runs. */
  readonly imapPort: number;
  start(): Promise<void>;
  /** An orderly end. */
  stop(): Promise<void>;
  /** A crash. */
  kill9(): Promise<void>;
  /** The real `doveadm director …` on this member's admin socket. */
  doveadm(...args: string[]): Promise<ProgramResult>;
  hosts(): Promise<ListedHost[]>;
  /** Host by user hash. */
  map(): Promise<Map<number, string>>;
  ringStatus(): Promise<ListedDirector[]>;
  /** Of all its lives, oldest first. */
  logLines(): string[];
  /** What it logged that no ring that works makes it log. */
  protocolErrors(): string[];
}

export function createRingMember(kind: MemberKind, options: RingMemberOptions): RingMember {
  return kind === 'real' ? new RealMember(options) : new OurMember(options);
}

/** What reads a director's state, the same for both kinds. */
abstract class Member {
  readonly name: string;
  readonly ip: string;
  readonly #admin: DirectorAdmin;

  constructor(options: RingMemberOptions, adminSocket: string) {
    this.name = options.name;
    this.ip = options.ip;
    this.#admin = new DirectorAdmin(() => adminSocket);
  }

  async hosts(): Promise<ListedHost[]> {
    return await this.#admin.hosts();
  }

  async map(): Promise<Map<number, string>> {
    return new Map((await this.#admin.users()).map((user) => [user.hash, user.host]));
  }

  async ringStatus(): Promise<ListedDirector[]> {
    return await this.#admin.directors();
  }

  abstract logLines(): string[];

  protocolErrors(): string[] {
    return protocolErrorsIn(this.logLines());
  }
}

class RealMember extends Member implements RingMember {
  readonly kind = 'real';
  readonly commandable = true;
  readonly #dovecot: DovecotDirector;

  constructor(options: RingMemberOptions) {
    const { name, ip, directory, mailServers, userExpire, userKickDelay, logsWire } = options;
    const dovecot = new DovecotDirector({
      ...{ name, ip, directory, mailServers, userExpire, userKickDelay, logsWire },
      servers: serversOf(options),
      backendImapPort: options.backendPorts.imap,
    });
    super(options, dovecot.adminSocket);
    this.#dovecot = dovecot;
  }

  get isRunning(): boolean {
    return this.#dovecot.isRunning;
  }

  get imapPort(): number {
    return this.#dovecot.imapPort;
  }

  async start(): Promise<void> {
    await this.#dovecot.start();
  }

  async stop(): Promise<void> {
    await this.#dovecot.stop();
  }

  async kill9(): Promise<void> {
    await this.#dovecot.kill9();
  }

  async doveadm(...args: string[]): Promise<ProgramResult> {
    return await this.#dovecot.doveadm(...args);
  }

  logLines(): string[] {
    return this.#dovecot.logLines();
  }
}

class OurMember extends Member implements RingMember {
  readonly kind = 'ours';
  readonly commandable = true;
  readonly #options: RingMemberOptions;
  readonly #baseDir: string;
  readonly #earlierLines: string[] = [];
  #process: PostilionProcess | null = null;

  constructor(options: RingMemberOptions) {
    const baseDir = join(options.directory, 'run');
    super(options, join(baseDir, 'director-admin'));
    this.#options = options;
    this.#baseDir = baseDir;
    mkdirSync(baseDir, { recursive: true, mode: 0o755 });
    // For doveadm, which reads a configuration in any case.
    writeFileSync(this.#doveadmConfig, `base_dir = ${baseDir}\nprotocols =\nssl = no\n`);
  }

  get isRunning(): boolean {
    return this.#process?.isRunning ?? false;
  }

  get imapPort(): number {
    return this.#running().imapPort;
  }

  async start(): Promise<void> {
    const options = this.#options;
    this.#process = await PostilionProcess.start({
      mailServers: options.mailServers,
      imapPort: options.backendPorts.imap,
      pop3Port: options.backendPorts.pop3,
      listenIp: this.ip,
      overrides: { base_dir: this.#baseDir },
      director: {
        listen: `${this.ip}:${RING_PORT}`,
        servers: serversOf(options),
        user_expire: options.userExpire,
        user_kick_delay: options.userKickDelay,
        admin_listen: options.adminPort === undefined ? [] : [`${this.ip}:${options.adminPort}`],
      },
    });
  }

  async stop(): Promise<void> {
    await this.#end((process) => process.stop());
  }

  async kill9(): Promise<void> {
    await this.#end((process) => process.kill());
  }

  async doveadm(...args: string[]): Promise<ProgramResult> {
    const program = await requireProgram('doveadm', ['dovecot-core']);
    const verbWords = args[0] === 'ring' ? 2 : 1;
    const verb = args.slice(0, verbWords);
    const socket = ['-a', join(this.#baseDir, 'director-admin')];
    const command = ['director', ...verb, ...socket, ...args.slice(verbWords)];
    return await runProgram(program, ['-c', this.#doveadmConfig, ...command]);
  }

  logLines(): string[] {
    return [...this.#earlierLines, ...linesOf(this.#process)];
  }

  override protocolErrors(): string[] {
    const errors = super.protocolErrors();
    const process = this.#process;
    if (process === null || process.isRunning) return errors;
    return [...errors, `${this.name} ended by itself: ${process.output.slice(-LAST_WORDS_CHARS)}`];
  }

  get #doveadmConfig(): string {
    return join(this.#options.directory, 'doveadm.conf');
  }

  #running(): PostilionProcess {
    if (this.#process === null) throw new Error(`${this.name} does not run`);
    return this.#process;
  }

  async #end(how: (process: PostilionProcess) => Promise<void>): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    try {
      await how(process);
    } finally {
      this.#process = null;
      this.#earlierLines.push(...linesOf(process));
    }
  }
}

function serversOf(options: RingMemberOptions): string[] {
  return options.memberIps.map((ip) => `${ip}:${RING_PORT}`);
}

function linesOf(process: PostilionProcess | null): string[] {
  return process === null ? [] : process.output.split('\n').slice(0, -1);
}
