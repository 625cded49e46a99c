import { Fault } from './fired-faults.ts';
import type { SimPlan } from './sim-plan.ts';
import { SimRandom } from './sim-random.ts';
import type { SimUser } from './sim-user.ts';
import type { SimWorker } from './sim-worker.ts';
import type { SimWorld } from './sim-world.ts';

const BURST_MS = 1500;

/** Users that log in, by chance and in bursts, on any member. */
export class LoginTraffic {
  readonly #world: SimWorld;
  readonly #plan: SimPlan;
  readonly #random: SimRandom;
  isOn = false;

  constructor(world: SimWorld, plan: SimPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = new SimRandom(plan.world.seed, 3);
  }

  start(): void {
    this.isOn = true;
    this.#next();
  }

  stop(): void {
    this.isOn = false;
  }

  #next(): void {
    this.#world.queue.after(this.#random.interval(this.#plan.loginMs), () => {
      if (!this.isOn) return;
      if (this.#random.chance(0.1)) this.#burst();
      else this.#login(this.#random.pick(this.#plan.users));
      this.#next();
    });
  }

  /** One user, or two with one hash, on several members at almost the same time. */
  #burst(): void {
    const { users } = this.#plan;
    const user = this.#random.pick(users);
    const twin = users.find(({ hash, tag }) => hash === user.hash && tag !== user.tag);
    const count = this.#random.int(2, 5);
    for (let i = 0; i < count; i++) {
      const who = twin !== undefined && i % 2 === 1 ? twin : user;
      this.#world.queue.after(this.#random.int(0, BURST_MS), () => this.#login(who));
    }
  }

  #login(user: SimUser): void {
    const world = this.#world;
    const random = this.#random;
    const workers: SimWorker[] = [];
    for (const run of world.runs) workers.push(...run.workers.values());
    const alive = workers.filter(({ isAlive }) => isAlive);
    if (alive.length === 0 || !this.isOn) return;
    const worker = random.pick(alive);
    this.#noteAge(worker, user);
    const session = worker.login(user, this.#lengthMs());
    if (session?.isWaiting && random.chance(0.1)) {
      world.queue.after(random.int(0, 10_000), () => session.abandon());
    }
  }

  #lengthMs(): number {
    const random = this.#random;
    switch (random.weighted([30, 40, 20, 10])) {
      case 0:
        return random.int(0, 1000);
      case 1:
        return random.int(1000, 30_000);
      case 2:
        return random.int(30_000, 120_000);
      default:
        return random.int(120_000, 600_000);
    }
  }

  #noteAge(worker: SimWorker, user: SimUser): void {
    const { directory, nowMs } = worker.run;
    if (user.hasTwin) this.#world.fired(Fault.sameHashLogin);
    const known = directory.status.currentHost(user.tag, user.hash);
    if (known === null) return;
    const leftSecs = known.expiresAtSecs - nowMs / 1000;
    if (leftSecs <= 0) this.#world.fired(Fault.userExpired);
    else if (leftSecs <= this.#plan.world.userExpireSecs - directory.usableSecs) {
      this.#world.fired(Fault.userNearExpiry);
    }
  }
}
