import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './deadline.ts';
import type { ListedDirector } from './director-admin.ts';
import { labAddress } from './dovecot.ts';
import { makeLabDirectory } from './lab-directory.ts';
import { type BackendKind, type RingBackends, startRingBackends } from './ring-backends.ts';
import { createRingMember, type MemberKind, type RingMember } from './ring-member.ts';
import { type RingRoute, RingSession } from './ring-session.ts';

/** Lab addresses: members, backends and, one for each member, its clients. */
const MAX_MEMBERS = 4;
const FIRST_BACKEND = 5;
const MAX_BACKENDS = 6;
const FIRST_CLIENT = 11;
const SYNC_DEADLINE_MS = 30_000;

export interface RingLabOptions {
  /** In ring order. */
  readonly mix: readonly MemberKind[];
  readonly backendCount: number;
  /** How many of the backends all members are configured with. Default: all. */
  readonly configuredCount?: number;
  /** Default: embedded. */
  readonly backends?: BackendKind;
  /** With unit. Default 15m. */
  readonly userExpire?: string;
  /** With unit. Default 2s. */
  readonly userKickDelay?: string;
  /** Real directors log every line of the ring protocol. */
  readonly logsWire?: boolean;
  /** Where ours speak the director-admin protocol besides their unix socket. */
  readonly adminPort?: number;
}

/** A ring of any mixture of directors, with backends and clients. */
export class RingLab {
  readonly members: readonly RingMember[];
  readonly backends: RingBackends;
  readonly directory: string;
  readonly userKickDelay: string;

  private constructor(directory: string, backends: RingBackends, options: RingLabOptions) {
    this.directory = directory;
    this.backends = backends;
    this.userKickDelay = options.userKickDelay ?? '2s';
    const memberIps = options.mix.map((_kind, index) => labAddress(index + 1));
    this.members = options.mix.map((kind, index) => {
      const name = `${kind === 'real' ? 'r' : 'o'}${index + 1}`;
      return createRingMember(kind, {
        ...{ name, ip: memberIps[index], memberIps },
        directory: join(directory, name),
        mailServers: backends.ips.slice(0, options.configuredCount ?? options.backendCount),
        backendPorts: { imap: backends.imapPort, pop3: backends.pop3Port },
        userExpire: options.userExpire ?? '15m',
        userKickDelay: this.userKickDelay,
        logsWire: options.logsWire ?? false,
        ...(options.adminPort === undefined ? {} : { adminPort: options.adminPort }),
      });
    });
  }

  /** Backends run; no member does yet. */
  static async start(options: RingLabOptions): Promise<RingLab> {
    const { mix, backendCount } = options;
    if (mix.length > MAX_MEMBERS || backendCount > MAX_BACKENDS) throw new RangeError('too many');
    const kind = options.backends ?? 'embedded';
    const backends = await startRingBackends(kind, backendCount, FIRST_BACKEND);
    try {
      return new RingLab(makeLabDirectory(), backends, options);
    } catch (error) {
      await backends.stop();
      throw error;
    }
  }

  get live(): RingMember[] {
    return this.members.filter((member) => member.isRunning);
  }

  /** Where clients connect for logins through this member. */
  routeBy(member: RingMember): RingRoute {
    const localAddress = labAddress(FIRST_CLIENT + this.members.indexOf(member));
    return { host: member.ip, port: member.imapPort, localAddress };
  }

  /** By which member a session came, from the client's address; null: not through a member. */
  memberOf(clientIp: string): RingMember | null {
    return (
      this.members.find((_member, index) => labAddress(FIRST_CLIENT + index) === clientIp) ?? null
    );
  }

  async login(member: RingMember, user: string): Promise<RingSession> {
    return await RingSession.open(this.routeBy(member), user);
  }

  /** Waits until these members (default: all that run) and no others are one ring, and synced. */
  async waitForRing(members = this.live, deadlineMs = SYNC_DEADLINE_MS): Promise<void> {
    let last: string[] = [];
    try {
      await eventually('ring', deadlineMs, async () => {
        last = await Promise.all(members.map((member) => ringFault(member, members)));
        return last.every((fault) => fault === '');
      });
    } catch (error) {
      const faults = last.filter((fault) => fault !== '').join('\n');
      throw new Error(`no synced ring within ${deadlineMs} ms:\n${faults}`, { cause: error });
    }
  }

  /** Waits until these members (default: all that run) have the same hosts and the same users. */
  async waitForEqualState(members = this.live, deadlineMs = 10_000): Promise<void> {
    let difference = '';
    try {
      await eventually('equal state', deadlineMs, async () => {
        difference = await stateDifference(members);
        return difference === '';
      });
    } catch (error) {
      const text = `members differ after ${deadlineMs} ms:\n${difference}`;
      throw new Error(text, { cause: error });
    }
  }

  /** All that the members have logged, a file each. */
  saveLogs(folder: string): void {
    mkdirSync(folder, { recursive: true });
    for (const member of this.members) {
      writeFileSync(join(folder, member.name), `${member.logLines().join('\n')}\n`);
    }
  }

  async stop(): Promise<void> {
    const ends = await Promise.allSettled(this.members.map((member) => member.stop()));
    await this.backends.stop();
    rmSync(this.directory, { recursive: true, force: true });
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

/** '' when the member is synced and has the neighbours it should have among `members`. */
async function ringFault(member: RingMember, members: readonly RingMember[]): Promise<string> {
  let listed: ListedDirector[];
  try {
    listed = await member.ringStatus();
  } catch (error) {
    return `${member.name}: ${error}`;
  }
  const index = members.indexOf(member);
  const others = members.length - 1;
  const right = members[(index + 1) % members.length].ip;
  const left = members[(index + others) % members.length].ip;
  const shown = listed.map(({ ip, type, status }) => `${ip}/${type}/${status}`).sort();
  const isSynced = listed.some(({ type, status }) => type === 'self' && status === 'ring synced');
  const connected = listed.filter(({ type }) => /^(?:left|right|in|out)$/.test(type));
  const wanted = others === 0 ? [] : [`${left}/left/synced`, `${right}/right/synced`].sort();
  const found = connected.map(({ ip, type, status }) => `${ip}/${type}/${status}`).sort();
  if (isSynced && found.join() === wanted.join()) return '';
  return `${member.name} (${member.ip}): ${shown.join(' ')}`;
}

/** '' when all have the same hosts (weight, state, tag) and the same host for the same users. */
async function stateDifference(members: readonly RingMember[]): Promise<string> {
  const states = await Promise.all(
    members.map(async (member) => {
      const [hosts, users] = await Promise.all([member.hosts(), member.map()]);
      return { member, hosts, users };
    }),
  );
  const hostTexts = states.map(({ hosts }) => {
    return hosts.map((host) => `${host.ip}@${host.tag}=${host.vhosts}${host.isDown ? 'D' : 'U'}`);
  });
  const differences: string[] = [];
  for (let i = 1; i < states.length; i++) {
    if (hostTexts[i].join() === hostTexts[0].join()) continue;
    const [a, b] = [states[0].member.name, states[i].member.name];
    differences.push(`hosts: ${a} ${hostTexts[0].join(' ')}; ${b} ${hostTexts[i].join(' ')}`);
  }
  const hashes = new Set(states.flatMap(({ users }) => [...users.keys()]));
  for (const hash of hashes) {
    const homes = states.map(({ users }) => users.get(hash) ?? 'nowhere');
    if (new Set(homes).size === 1) continue;
    const seen = states.map(({ member }, i) => `${member.name} ${homes[i]}`);
    differences.push(`user ${hash}: ${seen.join(', ')}`);
    if (differences.length > 20) break;
  }
  return differences.join('\n');
}
