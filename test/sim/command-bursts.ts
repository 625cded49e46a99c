import { SELF } from '../../src/main/directory/ring-link.ts';
import { Fault } from './fired-faults.ts';
import type { MemberRun } from './member-run.ts';
import type { SimPlan } from './sim-plan.ts';
import { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

const BURST_MS = 3000;

const Command = {
  addHost: 'addHost',
  weight: 'weight',
  upDown: 'upDown',
  removeHost: 'removeHost',
  flushHost: 'flushHost',
  tag: 'tag',
  moveUser: 'moveUser',
  kickUser: 'kickUser',
} as const;
type Command = (typeof Command)[keyof typeof Command];

const commands = Object.values(Command);
const weights = [4, 8, 10, 4, 4, 3, 14, 4];

/** An administrator, or several, at work on any member. */
export class CommandBursts {
  readonly #world: SimWorld;
  readonly #plan: SimPlan;
  readonly #random: SimRandom;
  isOn = false;

  constructor(world: SimWorld, plan: SimPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = new SimRandom(plan.world.seed, 4);
  }

  start(): void {
    this.isOn = true;
    this.#next();
  }

  stop(): void {
    this.isOn = false;
  }

  #next(): void {
    this.#world.queue.after(this.#random.interval(this.#plan.commandMs), () => {
      if (!this.isOn) return;
      const count = this.#random.chance(0.5) ? 1 : this.#random.int(2, 6);
      if (this.#random.chance(0.3)) this.#same();
      for (let i = 0; i < count; i++) {
        this.#world.queue.after(this.#random.int(0, BURST_MS), () => this.#command());
      }
      this.#next();
    });
  }

  #run(): MemberRun | null {
    const { runs } = this.#world;
    return runs.length === 0 ? null : this.#random.pick(runs);
  }

  #command(): void {
    const run = this.#run();
    if (run === null || !this.isOn) return;
    this.#do(run, commands[this.#random.weighted(weights)], this.#random.pick(this.#plan.hostIps));
  }

  /** The same host or user is changed on two members before either knows of the other. */
  #same(): void {
    const random = this.#random;
    const { runs } = this.#world;
    if (runs.length < 2) return;
    const first = random.pick(runs);
    const second = random.pick(runs.filter((run) => run !== first));
    const ip = random.pick(this.#plan.hostIps);
    if (random.chance(0.4)) {
      this.#world.fired(Fault.sameUserTwice);
      const user = random.pick(this.#plan.users);
      for (const run of [first, second]) this.#move(run, user.tag, user.hash);
      return;
    }
    this.#world.fired(Fault.sameHostTwice);
    const kinds = [
      Command.weight,
      Command.upDown,
      Command.tag,
      Command.removeHost,
      Command.addHost,
    ];
    const kind = random.pick(kinds);
    const other = random.chance(0.7) ? kind : random.pick(kinds);
    this.#do(first, kind, ip);
    this.#world.queue.after(random.pick([0, 0, 1, 50, 1000]), () => {
      if (second.isAlive) this.#do(second, other, ip);
    });
  }

  #do(run: MemberRun, command: Command, ip: string): void {
    const { directory, nowMs } = run;
    const random = this.#random;
    const world = this.#world;
    const note = (fault: Fault, isDone: boolean): void => {
      if (isDone) world.fired(fault);
    };
    run.busy();
    world.traceOf(run.member, () => `command ${command} ${ip}`);
    const forgets =
      command === Command.flushHost || command === Command.removeHost || command === Command.tag;
    if (forgets && world.disturbed.isDisturbed) world.hasForgottenInDisturbance = true;
    switch (command) {
      case Command.addHost:
        note(Fault.addHost, directory.addHost(ip, random.int(1, 8), this.#tag(), nowMs));
        break;
      case Command.weight:
        note(Fault.weightChange, directory.setVhostCount(ip, random.int(0, 8), nowMs));
        break;
      case Command.upDown: {
        const isDown = random.chance(0.5);
        note(isDown ? Fault.hostDown : Fault.hostUp, directory.setDown(ip, isDown, nowMs));
        break;
      }
      case Command.removeHost:
        // Somewhere the users must go.
        if (directory.hosts.length > 1) note(Fault.hostRemoved, directory.removeHost(ip, nowMs));
        break;
      case Command.flushHost:
        note(Fault.hostFlushed, directory.flushHost(ip, nowMs));
        break;
      case Command.tag:
        this.#changeTag(run, ip);
        break;
      case Command.moveUser: {
        const { tag, hash } = random.pick(this.#plan.users);
        this.#move(run, tag, hash);
        break;
      }
      case Command.kickUser:
        directory.kickUser(SELF, random.pick(this.#plan.users).name);
        note(Fault.userKicked, true);
        break;
    }
  }

  #tag(): string {
    return this.#random.pick(this.#plan.tags);
  }

  #changeTag({ directory, nowMs }: MemberRun, ip: string): void {
    const host = directory.host(ip);
    if (host === undefined || !this.#plan.hasTagChanges) return;
    const tag = this.#tag();
    if (tag === host.tag) return;
    directory.ringHost(SELF, { ...host, tag }, nowMs);
    this.#world.hasChangedTag = true;
    this.#world.fired(Fault.tagChange);
  }

  #move(run: MemberRun, tag: string, hash: number): void {
    const { directory, nowMs } = run;
    const hosts = directory.hosts.filter((host) => host.tag === tag);
    if (hosts.length === 0) return;
    const { ip } = this.#random.pick(hosts);
    const user = this.#plan.users.find((other) => other.tag === tag && other.hash === hash);
    run.busy();
    this.#world.traceOf(run.member, () => `command move ${user?.name} to ${ip}`);
    const outcome = directory.moveUser(tag, hash, ip, nowMs);
    if (outcome !== 'moved' && outcome !== 'moving') return;
    this.#world.fired(Fault.userMoved);
    if (user!.live.length > 0) this.#world.fired(Fault.userMovedWithSession);
  }
}
