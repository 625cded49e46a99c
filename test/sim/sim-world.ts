import type { MailServer } from '../../src/main/directory/host-set.ts';
import { DisturbedTimes } from './disturbed-times.ts';
import { EventQueue } from './event-queue.ts';
import type { Fault, FaultCounts } from './fired-faults.ts';
import { type MemberRun, RING_PORT } from './member-run.ts';
import { PromiseWatch } from './promise-watch.ts';
import { SimFailure } from './sim-failure.ts';
import { SimMember } from './sim-member.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import type { SimSession } from './sim-session.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly members: number;
  readonly skewsMs: readonly number[];
  readonly workersPerMember: number;
  readonly mailServers: readonly MailServer[];
  readonly userExpireSecs: number;
  readonly userKickDelayMs: number;
  readonly hasFlushScript: boolean;
  readonly maxKickMs: number;
  readonly maxFlushMs: number;
  readonly maxWorkerDelayMs: number;
  readonly pingIdleTimeoutMs: number;
  readonly pingMaxTimeoutMs: number;
  readonly outputBufferBytes: number;
  readonly windowBytes: number;
  readonly splitChance: number;
  /** Members that are in nobody's list at the start. */
  readonly absentMembers?: number;
}

/**
 * A waiting login fails after 30 s; on top come the check each second, a late tick, a slow worker's messages: there and
 * back, and once more when it was told to look again just before.
 */
const LOGIN_WAIT_MS = 30_000 + 1000 + 1000 + 4 * 3000;

const HUNG_MS = 60_000;
/** Only where kicks are slow anyway. */
const HUNG_FROM_MS = 10_000;

export type TraceLine = (line: string) => void;

/** Members, network, clock; who is logged in where. */
export class SimWorld {
  readonly options: WorldOptions;
  readonly queue = new EventQueue();
  readonly network: SimNetwork;
  readonly members: SimMember[] = [];
  readonly timing: SimRandom;
  readonly promise: PromiseWatch;
  readonly disturbed: DisturbedTimes;
  readonly faults: FaultCounts = {};
  /** Members that the site's configuration names. */
  readonly listed = new Set<SimMember>();
  /** Users of one hash in two tags, as `tag/hash`. */
  readonly twinKeys = new Set<string>();
  /** A host got another tag: until now news of its users may be taken for news of the other tag's. */
  hasChangedTag = false;
  /**
   * Users were to be forgotten while the ring was disturbed: such an order is not repeated, and who has missed it keeps
   * them until they expire or are seen elsewhere. (So in Dovecot.)
   */
  hasForgottenInDisturbance = false;
  /** Calm: nothing is to be done but time is to pass. */
  isIdle = false;
  readonly #waiting = new Set<SimSession>();
  readonly #trace: TraceLine | null;

  constructor(options: WorldOptions, trace: TraceLine | null = null) {
    this.options = options;
    this.#trace = trace;
    this.timing = new SimRandom(options.seed, 1);
    this.network = new SimNetwork({
      queue: this.queue,
      random: new SimRandom(options.seed, 2),
      windowBytes: options.windowBytes,
      splitChance: options.splitChance,
      fired: (fault) => this.fired(fault),
      trace: trace === null ? null : (text) => this.#line('', text),
    });
    this.promise = new PromiseWatch(this);
    this.disturbed = new DisturbedTimes(this);
    for (let i = 0; i < options.members; i++) {
      const host = this.network.addHost(`10.1.0.${i + 1}`, String.fromCharCode(65 + i));
      this.members.push(new SimMember(this, host, options.skewsMs[i] ?? 0));
    }
    const present = options.members - (options.absentMembers ?? 0);
    for (const member of this.members.slice(0, present)) this.listed.add(member);
  }

  memberList(): { ip: string; port: number }[] {
    return [...this.listed].map(({ host }) => ({ ip: host.ip, port: RING_PORT }));
  }

  get runs(): MemberRun[] {
    const runs: MemberRun[] = [];
    for (const { run } of this.members) if (run !== null) runs.push(run);
    return runs;
  }

  // Events for the log

  fired(fault: Fault): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  fail(text: string): never {
    this.trace(() => `FAILURE: ${text}`);
    throw new SimFailure(`at ${(this.queue.nowMs / 1000).toFixed(3)} s: ${text}`);
  }

  trace(text: () => string): void {
    if (this.#trace !== null) this.#line('*', text);
  }

  traceOf(member: SimMember, text: () => string): void {
    if (this.#trace !== null) this.#line(member.name, text);
  }

  #line(who: string, text: () => string): void {
    this.#trace!(`${(this.queue.nowMs / 1000).toFixed(3).padStart(9)} ${who.padEnd(1)} ${text()}`);
  }

  // Choices

  tickMs(isBusy: boolean): number {
    if (this.isIdle) return 2000;
    return isBusy ? this.timing.int(100, 400) : this.timing.int(300, 1000);
  }

  kickDelayMs(): number {
    // Longer than main waits before it ends the worker.
    if (this.options.maxKickMs > HUNG_FROM_MS && this.timing.chance(0.002)) return HUNG_MS;
    return this.timing.int(0, this.options.maxKickMs);
  }

  flushMs(): number {
    return this.timing.int(0, this.options.maxFlushMs);
  }

  workerDelayMs(): number {
    return this.timing.int(0, this.options.maxWorkerDelayMs);
  }

  // Logins that wait

  get waitingLogins(): number {
    return this.#waiting.size;
  }

  loginBegun(session: SimSession): void {
    this.#waiting.add(session);
  }

  loginEnded(session: SimSession): void {
    if (!this.#waiting.delete(session)) return;
    this.#checkWait(session);
  }

  checkWaiting(): void {
    for (const session of this.#waiting) this.#checkWait(session);
  }

  #checkWait(session: SimSession): void {
    const waitedMs = this.queue.nowMs - session.createdMs;
    if (waitedMs <= LOGIN_WAIT_MS) return;
    const { user, worker } = session;
    this.fail(`login of ${user.name} on ${worker.member.name} has waited ${waitedMs} ms`);
  }

  /** Time passes; what must hold at all times is looked at every second. */
  pass(ms: number): void {
    const endMs = this.queue.nowMs + ms;
    while (this.queue.nowMs < endMs) {
      this.queue.runUntil(Math.min(endMs, this.queue.nowMs + 1000));
      this.checkWaiting();
      this.disturbed.check();
    }
  }

  /** Lets time pass until something is true, in steps. False: it was not in time. */
  passUntil(isTrue: () => boolean, maxMs: number, stepMs = 1000): boolean {
    const endMs = this.queue.nowMs + maxMs;
    while (!isTrue()) {
      if (this.queue.nowMs >= endMs) return false;
      this.pass(stepMs);
    }
    return true;
  }
}
