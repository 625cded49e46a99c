import { Fault } from './fired-faults.ts';
import { RING_PORT } from './member-run.ts';
import { Death, type SimMember } from './sim-member.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

const MAX_DOWN_MS = 100_000;

/** What can happen to members: crash and return, restart in good order, being added and taken out. */
export class MemberFaults {
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  /** Not to be started again. */
  readonly #gone = new Set<SimMember>();

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  crash(): void {
    const world = this.#world;
    const running = world.members.filter(({ run }) => run !== null);
    if (running.length === 0) return;
    const member = this.#random.pick(running);
    world.disturbed.disturb();
    member.crash(this.#random.pick([Death.ended, Death.reset, Death.silent]));
    if (this.#random.chance(0.1) && running.length > 1) {
      world.fired(Fault.staysDown);
      this.#gone.add(member);
      return;
    }
    const downMs = this.#random.chance(0.5)
      ? this.#random.int(100, 10_000)
      : this.#random.int(10_000, MAX_DOWN_MS);
    world.queue.after(downMs, () => this.#start(member));
  }

  #start(member: SimMember): void {
    if (member.run !== null || !this.#world.listed.has(member)) return;
    this.#world.disturbed.disturb();
    member.start();
  }

  /** In good order: stopped, and taken out of the ring before or after; or only restarted; or added. */
  change(): void {
    const world = this.#world;
    const absent = world.members.filter((member) => !world.listed.has(member));
    if (absent.length > 0 && this.#random.chance(0.5)) {
      this.#add(this.#random.pick(absent));
      return;
    }
    const running = world.members.filter(({ run }) => run !== null);
    if (running.length < 2) return;
    const member = this.#random.pick(running);
    if (this.#random.chance(0.5)) {
      world.disturbed.disturb();
      member.stop();
      world.queue.after(this.#random.int(0, 20_000), () => this.#start(member));
    } else {
      this.#remove(member);
    }
  }

  #remove(member: SimMember): void {
    const world = this.#world;
    const order = (): void => {
      const other = world.members.find(({ run }) => run !== null && run !== member.run);
      world.traceOf(member, () => `is removed on ${other?.name}`);
      other?.run?.ring.removeMember(member.host.ip, RING_PORT, other.run.nowMs);
    };
    world.fired(Fault.memberRemoved);
    world.disturbed.disturb();
    world.listed.delete(member);
    const isStoppedFirst = this.#random.chance(0.5);
    if (isStoppedFirst) member.stop();
    else order();
    world.queue.after(this.#random.int(0, 5000), () => {
      world.disturbed.disturb();
      if (isStoppedFirst) order();
      else member.stop();
    });
  }

  #add(member: SimMember): void {
    const world = this.#world;
    const running = world.members.filter(({ run }) => run !== null);
    if (running.length === 0 || member.run !== null) return;
    const { run } = this.#random.pick(running);
    world.fired(Fault.memberAdded);
    world.disturbed.disturb();
    world.traceOf(member, () => `is added on ${run!.member.name}`);
    run!.ring.addMember(member.host.ip, RING_PORT, run!.nowMs);
    world.listed.add(member);
    world.queue.after(this.#random.int(0, 10_000), () => this.#start(member));
  }

  /** All that are not to stay away come back; who missed that one was added again is told once more. */
  heal(): void {
    for (const run of this.#world.runs) {
      for (const { host } of this.#world.listed) {
        if (run.ring.addMember(host.ip, RING_PORT, run.nowMs)) this.#world.disturbed.disturb();
      }
    }
    for (const member of this.#world.members) {
      if (member.run === null && !this.#gone.has(member)) this.#start(member);
    }
  }
}
