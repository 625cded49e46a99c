import { expect } from 'vitest';
import type { MailServer } from '../../src/main/directory/host-set.ts';
import { SELF } from '../../src/main/directory/ring-link.ts';
import { disagreement } from './agreement.ts';
import { Fault } from './fired-faults.ts';
import type { MemberRun } from './member-run.ts';
import { ringFlaw, roundMs } from './ring-shape.ts';
import type { SimSession } from './sim-session.ts';
import { createUser, type SimUser } from './sim-user.ts';
import { SimWorld } from './sim-world.ts';

/** Backends, in the order of their addresses. */
export const HOST_1 = '10.2.0.1';
export const HOST_2 = '10.2.0.2';
export const HOST_3 = '10.2.0.3';
export const HOST_4 = '10.2.0.4';

const TICK_MS = 100;
const FORM_MS = 120_000;
/** All is done after this and the time that a few rounds take. */
const SETTLE_MS = 90_000;
const QUIET_MS = 45_000;
const SESSION_MS = 3_600_000;

export interface ScenarioOptions {
  readonly members?: number;
  /** One way between any two members, always the same. */
  readonly wayMs?: number;
  readonly skewsMs?: readonly number[];
  /** From a kick to the closed session. */
  readonly kickMs?: number;
  readonly mailServers?: readonly MailServer[];
  /** Every member is in every member's list twice. */
  readonly isListedTwice?: boolean;
}

export const EXPIRE_SECS = 180;
/** A user with less than 18 s left is near its expiry. */
const NEAR_SECS = 12;
export function mailServer(ip: string, tag = '', vhostCount = 10): MailServer {
  return { ip, hostname: '', vhostCount, tag };
}

/** Milliseconds one way: rounds of seconds, so that orders cross. */
export const SLOW_MS = 1500;
export const SHORT_MS = 500;
/** Two hosts without a tag, two with one. */
export const TAGGED = [
  mailServer(HOST_1),
  mailServer(HOST_2),
  mailServer(HOST_3, 'eu'),
  mailServer(HOST_4, 'eu'),
];

/** Nothing is left to chance. */
class ScriptedWorld extends SimWorld {
  isListedTwice = false;

  override tickMs(): number {
    return TICK_MS;
  }

  override kickDelayMs(): number {
    return this.options.maxKickMs;
  }

  override workerDelayMs(): number {
    return this.options.maxWorkerDelayMs;
  }

  override memberList(): { ip: string; port: number }[] {
    const list = super.memberList();
    return this.isListedTwice ? [...list, ...list] : list;
  }
}

interface Loss {
  readonly prefix: string;
  left: number;
}

/**
 * A ring in the simulator, and a script: what happens on which member (0 is A), and when. Two sessions of one
 * user on two backends fail the test by themselves (PromiseWatch).
 */
export class Scenario {
  readonly world: ScriptedWorld;
  /** Every line that has arrived, as "B USER\t…". */
  readonly heard: string[] = [];
  /** By member: lines that are on their way, and do not arrive. */
  readonly #losses = new Map<MemberRun, Loss[]>();

  constructor(options: ScenarioOptions = {}) {
    const { members = 3, wayMs = 200, kickMs = 50, skewsMs = [], mailServers } = options;
    this.world = new ScriptedWorld({
      seed: 1,
      members,
      skewsMs,
      workersPerMember: 1,
      mailServers: mailServers ?? [HOST_1, HOST_2].map((ip) => mailServer(ip)),
      userExpireSecs: EXPIRE_SECS,
      userKickDelayMs: 2000,
      hasFlushScript: false,
      maxKickMs: kickMs,
      maxFlushMs: 0,
      maxWorkerDelayMs: 1,
      pingIdleTimeoutMs: 30_000,
      pingMaxTimeoutMs: 60_000,
      outputBufferBytes: 1_000_000,
      windowBytes: 1_000_000,
      splitChance: 0,
    });
    this.world.isListedTwice = options.isListedTwice ?? false;
    for (const path of this.world.network.paths) path.baseMs = wayMs;
    for (const index of this.world.members.keys()) this.start(index);
    expect(this.passUntil(() => ringFlaw(this.world) === null, FORM_MS)).toBe(true);
    this.heard.length = 0;
  }

  /** Starts a member. */
  start(index: number): void {
    const member = this.world.members[index];
    member.start();
    this.#listen(member.run!);
  }

  #listen(run: MemberRun): void {
    const receive = run.received.bind(run);
    const losses: Loss[] = [];
    this.#losses.set(run, losses);
    run.received = (connectionId, bytes) => {
      const lines = bytes.toString('latin1').split('\n').slice(0, -1);
      const kept = lines.filter((line) => {
        const loss = losses.find(({ prefix, left }) => left > 0 && line.startsWith(prefix));
        if (loss !== undefined) loss.left--;
        return loss === undefined;
      });
      for (const line of kept) this.heard.push(`${run.member.name} ${line}`);
      const text = kept.map((line) => `${line}\n`).join('');
      if (text !== '') receive(connectionId, Buffer.from(text, 'latin1'));
    };
  }

  /** The next line that begins so does not come to this member, though the connection stays. */
  lose(index: number, prefix: string, count = 1): void {
    this.#losses.get(this.run(index))!.push({ prefix, left: count });
  }

  /** Lines of a kind that have arrived anywhere since the ring was formed. */
  countOf(prefix: string): number {
    return this.heard.filter((line) => line.slice(2).startsWith(prefix)).length;
  }

  run(index: number): MemberRun {
    return this.world.members[index].run!;
  }

  /** An administrator's order. */
  on(index: number, order: (run: MemberRun, nowMs: number) => void): void {
    const run = this.run(index);
    order(run, run.nowMs);
  }

  move(index: number, { tag, hash }: SimUser, ip: string): string {
    const run = this.run(index);
    return run.directory.moveUser(tag, hash, ip, run.nowMs);
  }

  changeTag(index: number, ip: string, tag: string): void {
    this.on(index, ({ directory }, nowMs) => {
      directory.ringHost(SELF, { ...directory.host(ip)!, tag }, nowMs);
    });
  }

  /** A user whom the hash gives this backend now. */
  userOf(ip: string, tag = ''): SimUser {
    const { status } = this.run(0).directory;
    for (let hash = 1; ; hash += 0x0100_0001) {
      if (status.hashedHost(tag, hash) === ip) return createUser(`${ip}@${tag}`, tag, hash);
    }
  }

  login(index: number, user: SimUser, lengthMs = SESSION_MS): SimSession {
    const [worker] = this.run(index).workers.values();
    return worker.login(user, lengthMs)!;
  }

  pass(ms: number): void {
    this.world.pass(ms);
  }

  passUntil(isTrue: () => boolean, maxMs: number): boolean {
    return this.world.passUntil(isTrue, maxMs, TICK_MS);
  }

  /** Until all members have the user near its expiry, and none has forgotten it. */
  passUntilNear({ tag, hash }: SimUser): void {
    const leftSecs = (): number[] => {
      return this.world.runs.map(({ directory, nowSecs }) => {
        return (directory.status.currentHost(tag, hash)?.expiresAtSecs ?? 0) - nowSecs;
      });
    };
    this.passUntil(() => Math.max(...leftSecs()) <= NEAR_SECS, EXPIRE_SECS * 1000);
    expect(Math.min(...leftSecs())).toBeGreaterThan(0);
  }

  // What all members say: one entry if they agree

  get hosts(): string[] {
    return this.#said(({ directory }) => {
      const texts = directory.hosts.map(({ ip, vhostCount, tag, isDown }) => {
        return `${ip}${tag === '' ? '' : `@${tag}`} ${vhostCount} ${isDown ? 'down' : 'up'}`;
      });
      return texts.join(', ');
    });
  }

  placesOf({ tag, hash }: SimUser): string[] {
    return this.#said(({ directory }) => {
      return directory.status.currentHost(tag, hash)?.ip ?? 'nowhere';
    });
  }

  get weakUsers(): number {
    return this.world.runs.reduce((sum, { directory }) => sum + directory.counts().weak, 0);
  }

  #said(say: (run: MemberRun) => string): string[] {
    return [...new Set(this.world.runs.map(say))];
  }

  /** Comes true for any script: one synced ring, one opinion, nobody waits, and then nothing more is said. */
  settle(): void {
    const { world } = this;
    const rounds = roundMs(world);
    const isAgreed = this.passUntil(() => disagreement(world) === null, SETTLE_MS + 4 * rounds);
    expect(isAgreed ? null : disagreement(world)).toBe(null);
    expect([world.waitingLogins, world.faults[Fault.overlap] ?? 0]).toEqual([0, 0]);
    for (const run of world.runs) {
      for (const worker of run.workers.values()) {
        for (const session of [...worker.sessions]) session.close();
      }
    }
    this.pass(20_000 + 2 * rounds);
    const before = world.network.linesWritten;
    this.pass(QUIET_MS);
    expect(world.network.linesWritten - before).toBe(0);
  }
}
