import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { DirectorClient } from '../../src/main/cli/director-client.ts';
import { eventually } from './deadline.ts';
import { labAddress } from './dovecot.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { requireProgram } from './require-program.ts';
import { type RingBackends, startRingBackends } from './ring-backends.ts';
import { createRingMember, type RingMember } from './ring-member.ts';
import { RingSession } from './ring-session.ts';
import { runProgram } from './run-program.ts';

const BIN = fileURLToPath(new URL('../../src/main/cli/bin.ts', import.meta.url));
/** In a list of all sub-commands: one that doveadm does not have. */
const OWN_COMMAND =
  /^ {2}(?!(?:add|down|dump|flush|kick|map|move|remove|ring|status|up|update) )[a-z]+ .*\n/gm;
const NAMES = ['real by doveadm', 'ours by doveadm', 'real by postilion', 'ours by postilion'];
const BACKENDS = 3;
const FIRST_BACKEND = 12;
/** Longer than user_kick_delay and the second that a stamp may be late. */
const MOVE_DEADLINE_MS = 15_000;

/** What a command printed and how it ended, without what cannot be the same. */
export interface Shown {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Command {
  /** Of doveadm itself: -v, -f. */
  readonly options?: readonly string[];
  /** The sub-command, without arguments. */
  readonly verb: string;
  readonly args?: readonly string[];
}

/**
 * Four directors in one state, each alone: two real ones and two of ours. The first of each kind is
 * commanded by the real doveadm, the second by our own command line.
 */
export class DirectorQuartet {
  readonly backends: RingBackends;
  readonly members: readonly RingMember[];
  readonly #directory: string;
  readonly #doveadm: string;
  readonly #sessions: RingSession[] = [];

  private constructor(backends: RingBackends, doveadm: string) {
    this.backends = backends;
    this.#doveadm = doveadm;
    this.#directory = makeLabDirectory();
    const ips = addressesOfOneLength(4);
    this.members = (['real', 'ours', 'real', 'ours'] as const).map((kind, index) => {
      const name = `d${index + 1}`;
      return createRingMember(kind, {
        ...{ name, ip: ips[index], memberIps: [ips[index]] },
        directory: join(this.#directory, name),
        mailServers: [...backends.ips, '10.0.0.1@far'],
        backendPorts: { imap: backends.imapPort, pop3: backends.pop3Port },
        ...{ userExpire: '15m', userKickDelay: '2s', logsWire: false },
      });
    });
    writeFileSync(this.#path('doveadm.conf'), 'protocols =\nssl = no\n');
  }

  static async start(): Promise<DirectorQuartet> {
    const doveadm = await requireProgram('doveadm', ['dovecot-core']);
    const backends = await startRingBackends('embedded', BACKENDS, FIRST_BACKEND);
    const quartet = new DirectorQuartet(backends, doveadm);
    try {
      for (const member of quartet.members) await member.start();
    } catch (error) {
      await quartet.stop();
      throw error;
    }
    return quartet;
  }

  /** The file's path, in a folder that all commands run in. */
  #path(name: string): string {
    return join(this.#directory, name);
  }

  writeFile(name: string, text: string): string {
    writeFileSync(this.#path(name), text, 'latin1');
    return this.#path(name);
  }

  /** One session of the user through each director. */
  async login(user: string): Promise<RingSession[]> {
    const sessions = await Promise.all(
      this.members.map((member) => {
        const route = { host: member.ip, port: member.imapPort, localAddress: member.ip };
        return RingSession.open(route, user);
      }),
    );
    this.#sessions.push(...sessions);
    return sessions;
  }

  async logoutAll(): Promise<void> {
    await Promise.all(this.#sessions.splice(0).map((session) => session.logout()));
  }

  /** Waits until the user can be moved everywhere: nobody is being moved any more. */
  async settled(userHash: number, home: string): Promise<void> {
    for (let i = 0; i < this.members.length; i++) {
      const client = await DirectorClient.connect(this.#socketOf(i));
      try {
        await eventually(`user ${userHash} can be moved`, MOVE_DEADLINE_MS, async () => {
          client.send('USER-MOVE', String(userHash), home);
          return (await client.readLine()) === 'OK';
        });
      } finally {
        client.close();
      }
    }
  }

  #socketOf(index: number): string {
    return this.#path(join(`d${index + 1}`, 'run', 'director-admin'));
  }

  /** Runs it on all four and gives what it printed, which must be the same. */
  async run(command: Command): Promise<Shown> {
    return await this.#runOnAll([0, 1, 2, 3], command);
  }

  /** As run(), by doveadm on a real director and by our command line on one of ours only. */
  async runByClients(command: Command): Promise<Shown> {
    return await this.#runOnAll([0, 3], command);
  }

  async #runOnAll(indexes: readonly number[], command: Command): Promise<Shown> {
    const all = await Promise.all(indexes.map((index) => this.#runOn(index, command)));
    const shown = command.verb === 'map' ? all.map(inOrder) : all;
    const line = [...(command.options ?? []), command.verb, ...(command.args ?? [])].join(' ');
    for (const [i, other] of shown.entries()) {
      expect(other, `${line}: ${NAMES[indexes[i]]}`).toEqual(shown[0]);
    }
    return shown[0];
  }

  async #runOn(index: number, { options = [], verb, args = [] }: Command): Promise<Shown> {
    const { ip } = this.members[index];
    const socket = this.#socketOf(index);
    const director = ['director', ...verb.split(' '), '-a', socket, ...args];
    const [program, ...before] =
      index < 2 ? [this.#doveadm, '-c', this.#path('doveadm.conf')] : [process.execPath, BIN];
    const all = [...before, ...options, ...director];
    const settings = { cwd: this.#directory, encoding: 'latin1' } as const;
    const { code, stdout, stderr } = await runProgram(program, all, settings);
    const mask = (text: string): string => {
      return text
        .replaceAll(socket, '/lab/dN/run/director-admin'.padEnd(socket.length, '-'))
        .replace(new RegExp(`\\b${ip.replaceAll('.', '\\.')}(?!\\d)`, 'g'), 'x'.repeat(ip.length))
        .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD HH:MM:SS')
        .replace(/^(usage: )?postilion /gm, '$1doveadm ')
        .replace(OWN_COMMAND, '');
    };
    return { code, stdout: mask(stdout), stderr: mask(stderr) };
  }

  async stop(): Promise<void> {
    for (const session of this.#sessions) session.vanish();
    const ends = await Promise.allSettled(this.members.map((member) => member.stop()));
    await this.backends.stop();
    rmSync(this.#directory, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

/** Users come in no order; that of Dovecot is the order in which they were seen. */
function inOrder({ stdout, ...rest }: Shown): Shown {
  const separator = stdout.startsWith('[{') ? '},{' : stdout.includes('\f\n') ? '\f\n' : '\n';
  const entries = stdout.replace(/^\[\{|\}\]$/g, '').split(separator);
  const isTitled = /^user\b(?!=|:)/.test(stdout);
  const [title, listed] = isTitled ? [entries[0], entries.slice(1)] : ['', entries];
  const inOrder = isTitled ? [title, ...listed.sort()] : listed.sort();
  return { ...rest, stdout: inOrder.join(separator) };
}

/** So that tables have the same widths. */
function addressesOfOneLength(count: number): string[] {
  const all = Array.from({ length: FIRST_BACKEND - 1 }, (_value, i) => labAddress(i + 1));
  for (const { length } of all) {
    const fitting = all.filter((ip) => ip.length === length);
    if (fitting.length >= count) return fitting.slice(0, count);
  }
  throw new Error(`no ${count} addresses of one length among ${all.join(' ')}`);
}
