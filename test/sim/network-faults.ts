import { Fault } from './fired-faults.ts';
import type { SimMember } from './sim-member.ts';
import type { Path } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorld } from './sim-world.ts';

/** Something that lasts until it is ended. */
interface LastingFault {
  end(): void;
}

const HEALED_WINDOW_BYTES = 4096;

/** What can happen to the paths between members. Each lasts for a time, or until everything is healed. */
export class NetworkFaults {
  readonly #world: SimWorld;
  readonly #random: SimRandom;
  readonly #lasting = new Set<LastingFault>();

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** Ends everything now. */
  heal(): void {
    const { network } = this.#world;
    for (const fault of [...this.#lasting]) fault.end();
    // On slow ways the smallest windows do not let through what the logins give to say; they go on.
    network.windowBytes = Math.max(network.windowBytes, HEALED_WINDOW_BYTES);
    for (const path of network.paths) {
      path.refusesUntilMs = 0;
      path.losesConnectsUntilMs = 0;
    }
  }

  happen(): void {
    const { members } = this.#world;
    if (members.length < 2) return;
    const kinds = [
      () => this.cutWithReset(),
      () => this.#cutSilently(),
      () => this.#halfOpen(),
      () => this.partition(this.#groups(), true),
      () => this.partition(this.#groups(), false),
      () => this.#isolate(),
      () => this.refuseConnects(),
      () => this.loseConnects(),
    ];
    kinds[this.#random.weighted([4, 3, 4, 3, 2, 3, 2, 2])]();
  }

  #pair(): [SimMember, SimMember] {
    const { members } = this.#world;
    const first = this.#random.pick(members);
    return [first, this.#random.pick(members.filter((member) => member !== first))];
  }

  #paths(from: readonly SimMember[], to: readonly SimMember[]): Path[] {
    const { network } = this.#world;
    return from.flatMap((a) => to.map((b) => network.path(a.host, b.host)));
  }

  #groups(): [SimMember[], SimMember[]] {
    const { members } = this.#world;
    const some = members.filter(() => this.#random.chance(0.5));
    if (some.length === 0 || some.length === members.length) {
      return [[members[0]], members.slice(1)];
    }
    return [some, members.filter((member) => !some.includes(member))];
  }

  #blockFor(paths: readonly Path[], ms: number, name: string, ended: () => void = () => {}): void {
    const world = this.#world;
    const what = paths.map(({ from, to }) => `${from.name}>${to.name}`).join(' ');
    world.trace(() => `${name}: ${what} for ${ms} ms`);
    for (const path of paths) world.network.block(path);
    this.#last(ms, () => {
      world.trace(() => `${name}: ${what} is over`);
      for (const path of paths) world.network.unblock(path);
      ended();
    });
  }

  #last(ms: number, end: () => void): void {
    const { disturbed, queue } = this.#world;
    const fault: LastingFault = {
      end: () => {
        if (!this.#lasting.delete(fault)) return;
        end();
        disturbed.end(fault);
      },
    };
    this.#lasting.add(fault);
    disturbed.begin(fault);
    queue.after(ms, fault.end);
  }

  /** Short ones are noticed by nobody, long ones by the time limit of PING. */
  #lengthMs(): number {
    const random = this.#random;
    return random.chance(0.4) ? random.int(100, 10_000) : random.int(10_000, 120_000);
  }

  cutWithReset(): void {
    const [a, b] = this.#pair();
    const { network, disturbed } = this.#world;
    this.#world.trace(() => `reset between ${a.name} and ${b.name}`);
    disturbed.disturb();
    if (!network.resetBetween(a.host, b.host)) return;
    this.#world.fired(Fault.cutWithReset);
    const paths = this.#paths([a], [b]).concat(this.#paths([b], [a]));
    if (this.#random.chance(0.5)) this.#blockFor(paths, this.#lengthMs(), 'cut');
  }

  #cutSilently(): void {
    const [a, b] = this.#pair();
    this.#world.fired(Fault.cutSilently);
    const paths = this.#paths([a], [b]).concat(this.#paths([b], [a]));
    this.#blockFor(paths, this.#lengthMs(), 'silent cut');
  }

  #halfOpen(): void {
    const [a, b] = this.#pair();
    this.#world.fired(Fault.halfOpen);
    this.#blockFor(this.#paths([a], [b]), this.#lengthMs(), 'half-open');
  }

  partition(
    [some, others]: [readonly SimMember[], readonly SimMember[]],
    isSymmetric: boolean,
    ms = this.#lengthMs(),
  ): void {
    this.#world.fired(isSymmetric ? Fault.partition : Fault.partitionAsymmetric);
    const paths = this.#paths(some, others);
    if (isSymmetric) paths.push(...this.#paths(others, some));
    this.#blockFor(paths, ms, 'partition', () => this.#world.fired(Fault.merge));
  }

  #isolate(): void {
    const { members } = this.#world;
    const one = this.#random.pick(members);
    const others = members.filter((member) => member !== one);
    this.#world.fired(Fault.isolated);
    const paths = this.#paths([one], others).concat(this.#paths(others, [one]));
    this.#blockFor(paths, this.#lengthMs(), 'isolated', () => this.#world.fired(Fault.merge));
  }

  /** As a host that is up without its process, or with a full queue. */
  refuseConnects(): void {
    const [a, b] = this.#pair();
    this.#breakConnects(a, b, 'refusesUntilMs');
  }

  loseConnects(): void {
    const [a, b] = this.#pair();
    this.#breakConnects(a, b, 'losesConnectsUntilMs');
  }

  #breakConnects(a: SimMember, b: SimMember, how: 'refusesUntilMs' | 'losesConnectsUntilMs'): void {
    const { network, queue } = this.#world;
    const ms = this.#lengthMs();
    const path = network.path(a.host, b.host);
    this.#world.trace(() => `${how} ${a.name}>${b.name} for ${ms} ms`);
    path[how] = queue.nowMs + ms;
    this.#last(ms, () => {});
    network.resetBetween(a.host, b.host);
  }
}
