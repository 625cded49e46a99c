import { InvariantError } from '../../src/shared/errors.ts';
import { disagreement } from './agreement.ts';
import { CalmFaults } from './calm-faults.ts';
import { CommandBursts } from './command-bursts.ts';
import { Fault, type FaultCounts } from './fired-faults.ts';
import { LoginTraffic } from './login-traffic.ts';
import { MemberFaults } from './member-faults.ts';
import { NetworkFaults } from './network-faults.ts';
import { ringFlaw, roundMs } from './ring-shape.ts';
import { SimFailure } from './sim-failure.ts';
import { latencyOf, planOf, type SimPlan } from './sim-plan.ts';
import { SimRandom } from './sim-random.ts';
import { SimWorld, type TraceLine } from './sim-world.ts';

export interface SimResult {
  readonly seed: number;
  /** Null: all was well. */
  readonly failure: string | null;
  readonly isCalm: boolean;
  readonly members: number;
  readonly faults: FaultCounts;
  readonly events: number;
  readonly sessions: number;
  readonly simulatedMs: number;
}

/**
 * A ring whose members start together is one and synced in this time and some rounds: some find their
 * right neighbour only when they look for the preferred one, every 30 s.
 */
const FORM_MS = 120_000;
/**
 * After the last fault: 60 s until a PING finds a dead connection, 60 s until a member that failed is
 * tried again, 30 s until the preferred neighbour is, and the time of handshakes.
 */
/** When the postmaster looks after members that were added and are missing. */
const TELL_AGAIN_MS = [30_000, 90_000];
const SETTLE_MS = 240_000;
const ROUNDS_TO_SETTLE = 12;
/** Logins go on for so long after the ring has healed. */
const AFTERMATH_MS = 45_000;
/** Every waiting login has its answer. */
const LOGIN_END_MS = 40_000;
/** All is agreed on, sessions are closed. */
const QUIET_MS = 45_000;
/** Longest skew between two clocks, twice the pass of a sweep, and idle ticks. */
const EXPIRED_SLACK_MS = 60_000 + 20_000 + 10_000;
const GHOST_MS = 120_000;

/** Runs one simulation from its seed. */
export function simulate(seed: number, trace: TraceLine | null = null): SimResult {
  const plan = planOf(seed);
  const world = new SimWorld(plan.world, trace);
  const failure = run(world, plan);
  return {
    seed,
    failure,
    isCalm: plan.isCalm,
    members: plan.world.members,
    faults: world.faults,
    events: world.queue.ran,
    sessions: world.promise.sessionsStarted,
    simulatedMs: world.queue.nowMs,
  };
}

function run(world: SimWorld, plan: SimPlan): string | null {
  try {
    new Simulation(world, plan).run();
    return null;
  } catch (error) {
    if (error instanceof SimFailure) return error.message;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const kind = error instanceof InvariantError ? 'invariant' : 'exception';
    world.trace(() => `${kind}: ${text}`);
    return `${kind} at ${world.queue.nowMs} ms: ${text}`;
  }
}

/** The phases: form the ring, chaos, heal, agree, fall silent, forget. */
class Simulation {
  readonly #world: SimWorld;
  readonly #plan: SimPlan;
  readonly #random: SimRandom;
  readonly #traffic: LoginTraffic;
  readonly #commands: CommandBursts;
  readonly #calmFaults: CalmFaults;
  readonly #networkFaults: NetworkFaults;
  readonly #memberFaults: MemberFaults;
  #isChaos = false;

  constructor(world: SimWorld, plan: SimPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = new SimRandom(plan.world.seed, 5);
    for (const { tag, hash, hasTwin } of plan.users) {
      if (hasTwin) world.twinKeys.add(`${tag}/${hash}`);
    }
    this.#traffic = new LoginTraffic(world, plan);
    this.#commands = new CommandBursts(world, plan);
    this.#calmFaults = new CalmFaults(world, this.#random);
    this.#networkFaults = new NetworkFaults(world, this.#random);
    this.#memberFaults = new MemberFaults(world, this.#random);
  }

  run(): void {
    this.#form();
    this.#chaos();
    this.#heal();
    this.#agree();
    this.#fallSilent();
    this.#forget();
  }

  #form(): void {
    const world = this.#world;
    for (const path of world.network.paths) {
      Object.assign(path, latencyOf(this.#plan, this.#random));
    }
    if (world.options.skewsMs.some((ms) => Math.abs(ms) > 10_000)) world.fired(Fault.clockSkew);
    const { isCalm } = this.#plan;
    for (const member of world.listed) {
      const delayMs = isCalm ? this.#random.int(0, 3000) : this.#random.int(0, 20_000);
      world.queue.after(delayMs, () => member.start());
    }
    this.#traffic.start();
    if (!isCalm) {
      world.disturbed.disturb();
      world.pass(this.#random.int(0, 60_000));
      return;
    }
    const isOne = (): boolean =>
      world.runs.length === world.listed.size && ringFlaw(world) === null;
    if (!world.passUntil(isOne, FORM_MS + ROUNDS_TO_SETTLE * roundMs(world))) {
      world.fail(`the ring does not form: ${ringFlaw(world)}`);
    }
  }

  #chaos(): void {
    this.#isChaos = true;
    this.#commands.start();
    this.#nextCalmFault();
    if (!this.#plan.isCalm) this.#nextFault();
    this.#world.pass(this.#plan.chaosMs);
  }

  #nextCalmFault(): void {
    this.#world.queue.after(this.#random.interval(15_000), () => {
      if (!this.#isChaos) return;
      this.#calmFaults.happen();
      this.#nextCalmFault();
    });
  }

  #nextFault(): void {
    this.#world.queue.after(this.#random.interval(this.#plan.faultMs), () => {
      if (!this.#isChaos) return;
      const hasMemberFault = this.#random.chance(0.35);
      if (!hasMemberFault) this.#networkFaults.happen();
      else if (this.#plan.hasMemberChanges && this.#random.chance(0.6)) this.#memberFaults.change();
      else this.#memberFaults.crash();
      this.#nextFault();
    });
  }

  #heal(): void {
    const world = this.#world;
    world.trace(() => 'all faults end');
    this.#isChaos = false;
    this.#commands.stop();
    this.#networkFaults.heal();
    this.#memberFaults.heal();
    // An old DIRECTOR-REMOVE may have crossed that.
    for (const ms of TELL_AGAIN_MS) world.queue.after(ms, () => this.#memberFaults.heal());
    const maxMs = SETTLE_MS + ROUNDS_TO_SETTLE * roundMs(world);
    if (!world.passUntil(() => !world.disturbed.isDisturbed, maxMs)) {
      world.fail(`the ring does not heal in ${maxMs} ms: ${ringFlaw(world) ?? 'overlaps'}`);
    }
    world.pass(AFTERMATH_MS);
  }

  #agree(): void {
    const world = this.#world;
    this.#traffic.stop();
    const maxMs = 60_000 + world.options.maxKickMs + 4 * roundMs(world);
    if (world.passUntil(() => disagreement(world) === null, maxMs, 2000)) return;
    world.fail(`no agreement after ${maxMs} ms: ${disagreement(world)}`);
  }

  #fallSilent(): void {
    const world = this.#world;
    const sessions = world.runs
      .flatMap(({ workers }) => [...workers.values()])
      .flatMap((worker) => [...worker.sessions]);
    for (const session of sessions) {
      if (session.isWaiting) session.abandon();
      else session.close();
    }
    world.passUntil(() => world.waitingLogins === 0, LOGIN_END_MS);
    // Whatever was written before has gone around twice; the last refresh has been announced.
    world.pass(20_000 + 2 * roundMs(world));
    world.isIdle = true;
    const before = world.network.linesWritten;
    world.pass(QUIET_MS);
    const lines = world.network.linesWritten - before;
    if (lines > 0) world.fail(`${lines} lines in ${QUIET_MS} ms, and nothing is done`);
    const limit = world.options.outputBufferBytes + 65_536;
    if (world.network.peakWaitingBytes > limit) {
      world.fail(`${world.network.peakWaitingBytes} bytes were waiting on one connection`);
    }
  }

  #forget(): void {
    const world = this.#world;
    world.pass(world.options.userExpireSecs * 1000 + GHOST_MS + EXPIRED_SLACK_MS);
    const flaw = ringFlaw(world);
    if (flaw !== null) world.fail(`the ring is no longer one: ${flaw}`);
    for (const run of world.runs) {
      const { users, waiting } = run.directory.counts();
      const known = [...run.directory.status.users()].length;
      if (users > 0 || known > 0) world.fail(`${run.member.name} has ${known} expired users`);
      if (waiting > 0) world.fail(`${run.member.name} has ${waiting} waiting logins`);
    }
  }
}
