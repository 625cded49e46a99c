import { eventually, withDeadline } from './deadline.ts';
import type { RingLab } from './ring-lab.ts';
import type { RingMember } from './ring-member.ts';
import type { RingTraffic } from './ring-traffic.ts';
import type { Forgetting, Kill } from './ring-verdict.ts';
import type { ProgramResult } from './run-program.ts';

/** Sessions that a command ends have to be gone so soon after it. */
const CLOSE_DEADLINE_MS = 5_000;
/** A ring has to be whole again so soon. A real director that lost its ring tries again after 30 s. */
const HEAL_DEADLINE_MS = 45_000;
const REMOVED_DEADLINE_MS = 3_000;
const MAX_RING_REMOVALS = 5;
const DRAIN_DEADLINE_MS = 75_000;
const AGREE_DEADLINE_MS = 10_000;
/** Beyond user_kick_delay, until a move is over on every member: ours counts in whole seconds. */
const MOVE_SLACK_MS = { real: 300, ours: 1_300 };

interface ExpectedHost {
  vhosts: number;
  isDown: boolean;
}

export interface RingCommandsOptions {
  readonly userKickDelayMs: number;
  /**
   * Flushes also while moves are going on. A real Dovecot loses such moves: a member where the user
   * is still within user_kick_delay of the move before "restarts" that one and starts no kill, the others wait
   * 30 s for its end, and the members may keep different hosts for the user.
   */
  readonly flushesDuringMoves: boolean;
}

/** What can be done to a ring under traffic, each with what must be true after it. */
export class RingCommands {
  readonly #lab: RingLab;
  readonly #traffic: RingTraffic;
  /** What all members should have, by address. */
  readonly hosts = new Map<string, ExpectedHost>();
  readonly kills: Kill[] = [];
  readonly forgettings: Forgetting[] = [];
  slowestHealMs = 0;
  /** How often a member that was removed from the ring while it ran was in it again. */
  removedCameBack = 0;
  readonly #options: RingCommandsOptions;
  #lastMoveMs = Number.NEGATIVE_INFINITY;

  constructor(
    lab: RingLab,
    traffic: RingTraffic,
    configuredHosts: readonly string[],
    options: RingCommandsOptions,
  ) {
    this.#lab = lab;
    this.#traffic = traffic;
    this.#options = options;
    for (const ip of configuredHosts) this.hosts.set(ip, { vhosts: 100, isDown: false });
  }

  /** Where users can be sent. */
  usableHosts(): string[] {
    const usable = [...this.hosts].filter(([, { vhosts, isDown }]) => vhosts > 0 && !isDown);
    return usable.map(([ip]) => ip);
  }

  downHosts(): string[] {
    return [...this.hosts].filter(([, { isDown }]) => isDown).map(([ip]) => ip);
  }

  absentHosts(): string[] {
    return this.#lab.backends.ips.filter((ip) => !this.hosts.has(ip));
  }

  async move(by: RingMember, user: string, target: string): Promise<void> {
    const before = this.#traffic.sessionsOf(user);
    const isElsewhere = this.#lab.backends.open(user).every(({ backend }) => backend !== target);
    const result = await by.doveadm('move', user, target);
    // Still being moved by a command before.
    if (result.code === 75 && result.stderr.includes('already being moved')) return;
    mustBeSilent(result, `move of ${user} by ${by.name}`);
    this.#lastMoveMs = performance.now();
    if (isElsewhere) await this.#mustEnd(before, `move of ${user}`);
  }

  async kick(by: RingMember, user: string): Promise<void> {
    const before = this.#traffic.sessionsOf(user);
    await this.#run(by, 'kick', user);
    await this.#mustEnd(before, `kick of ${user}`);
  }

  async setHost(by: RingMember, verb: 'add' | 'update', ip: string, vhosts: number): Promise<void> {
    await this.#run(by, verb, ip, `${vhosts}`);
    const isDown = this.hosts.get(ip)?.isDown ?? false;
    this.hosts.set(ip, { vhosts, isDown });
  }

  async setDown(by: RingMember, ip: string, isDown: boolean): Promise<void> {
    await this.#run(by, isDown ? 'down' : 'up', ip);
    const host = this.hosts.get(ip);
    if (host !== undefined) host.isDown = isDown;
  }

  /** Moves users to where their hash says. */
  async flush(by: RingMember, ip: string | 'all'): Promise<void> {
    await this.#movesAreOver();
    await this.#run(by, 'flush', ip);
    this.#lastMoveMs = performance.now();
  }

  /** Nobody is on the host any more who could be forgotten with it. */
  async removeDrainedHost(by: RingMember, ip: string): Promise<void> {
    await this.setHost(by, 'update', ip, 0);
    await this.flush(by, ip);
    await eventually(`nobody is on ${ip}`, DRAIN_DEADLINE_MS, async () => {
      const maps = await Promise.all(this.#lab.live.map((member) => member.map()));
      const isLeft = maps.every((map) => ![...map.values()].includes(ip));
      return isLeft && this.#lab.backends.open().every(({ backend }) => backend !== ip);
    });
    await this.#run(by, 'remove', ip);
    this.hosts.delete(ip);
  }

  /** Its users are forgotten; a real director does not end their sessions. */
  async removeBusyHost(by: RingMember, ip: string): Promise<void> {
    await this.#forget(ip, () => this.#run(by, 'remove', ip));
    this.hosts.delete(ip);
  }

  async forgetAll(by: RingMember): Promise<void> {
    await this.#forget(null, () => this.#run(by, 'flush', '-F', 'all'));
  }

  async kill(member: RingMember): Promise<void> {
    this.kills.push({ member, atUs: nowUs() });
    await member.kill9();
  }

  /** A member leaves the ring for good: nobody uses it any more, it is removed and stopped. */
  async ringRemove(by: RingMember, member: RingMember, isStoppedFirst: boolean): Promise<void> {
    this.#traffic.close(member);
    await this.#traffic.release(member);
    await eventually(`no session by ${member.name}`, CLOSE_DEADLINE_MS, () => {
      const open = this.#lab.backends.open();
      return open.every(({ clientIp }) => this.#lab.memberOf(clientIp) !== member);
    });
    if (isStoppedFirst) {
      await member.stop();
      await this.#run(by, 'ring', 'remove', member.ip);
    } else {
      await this.#ringRemoveLive(by, member);
      await member.stop();
    }
  }

  /**
   * A real director that is removed connects again at once, and another that has not heard of the
   * removal yet lets it in and forgets that it was removed: then it is removed once more, there.
   */
  async #ringRemoveLive(by: RingMember, member: RingMember): Promise<void> {
    const others = this.#lab.live.filter((other) => other !== member);
    let at: RingMember | undefined = by;
    for (let tries = 1; at !== undefined && tries <= MAX_RING_REMOVALS; tries++) {
      if (tries > 1) this.removedCameBack++;
      await this.#run(at, 'ring', 'remove', member.ip);
      try {
        await this.#lab.waitForRing(others, REMOVED_DEADLINE_MS);
        return;
      } catch (error) {
        const listed = await Promise.all(others.map((other) => other.ringStatus()));
        const keepers = others.filter((_other, i) => listed[i].some(({ ip }) => ip === member.ip));
        if (keepers.length === 0) throw error;
        at = keepers.find((keeper) => keeper.commandable);
      }
    }
    // Its end will close what connections it still has.
  }

  async ringAdd(by: RingMember, member: RingMember, isStartedFirst: boolean): Promise<void> {
    if (isStartedFirst) await member.start();
    await this.#run(by, 'ring', 'add', member.ip);
    if (!isStartedFirst) await member.start();
    await this.heal();
    this.#traffic.reopen(member);
  }

  /** The members that run are one ring, and have the hosts that they should have. */
  async heal(members = this.#lab.live): Promise<void> {
    const start = performance.now();
    await this.#lab.waitForRing(members, HEAL_DEADLINE_MS);
    this.slowestHealMs = Math.max(this.slowestHealMs, performance.now() - start);
    const expected = [...this.hosts].map(([ip, { vhosts, isDown }]) => `${ip}=${vhosts}/${isDown}`);
    const wanted = expected.sort().join(' ');
    for (const member of members) {
      let found = '';
      try {
        await eventually('expected hosts', AGREE_DEADLINE_MS, async () => {
          const hosts = await member.hosts();
          const texts = hosts.map(({ ip, vhosts, isDown }) => `${ip}=${vhosts}/${isDown}`);
          found = texts.sort().join(' ');
          return found === wanted;
        });
      } catch (error) {
        throw new Error(`hosts of ${member.name}: ${found}, not ${wanted}`, { cause: error });
      }
    }
  }

  async #forget(host: string | null, act: () => Promise<void>): Promise<void> {
    const fromUs = nowUs();
    // Known at once: overlaps may come before all is over.
    const forgetting = { host, fromUs, toUs: Number.POSITIVE_INFINITY };
    this.forgettings.push(forgetting);
    await act();
    await this.#lab.waitForRing(this.#lab.live, HEAL_DEADLINE_MS);
    forgetting.toUs = nowUs();
  }

  /** No member tells when a move is over: it lasts as long as it lasts. */
  async #movesAreOver(): Promise<void> {
    if (this.#options.flushesDuringMoves) return;
    const slackMs = Math.max(...this.#lab.members.map(({ kind }) => MOVE_SLACK_MS[kind]));
    const leftMs = this.#lastMoveMs + this.#options.userKickDelayMs + slackMs - performance.now();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
  }

  /** A command that has to succeed. */
  async #run(by: RingMember, ...args: string[]): Promise<void> {
    mustBeSilent(await by.doveadm(...args), `${args.join(' ')} by ${by.name}`);
  }

  async #mustEnd(sessions: readonly { closed: Promise<void> }[], what: string): Promise<void> {
    const all = Promise.all(sessions.map((session) => session.closed));
    await withDeadline(all, CLOSE_DEADLINE_MS, `end of ${sessions.length} sessions by ${what}`);
  }
}

function mustBeSilent({ code, stdout, stderr }: ProgramResult, what: string): void {
  if (code !== 0 || stdout !== '' || stderr !== '') {
    throw new Error(`${what} ended with ${code}: ${stdout}${stderr}`);
  }
}

function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
