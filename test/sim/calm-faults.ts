import { Fault } from './fired-faults.ts';
import type { Path } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimWorker } from './sim-worker.ts';
import type { SimWorld } from './sim-world.ts';

/** With the time of both ways shorter than the time limit of PING. */
const MAX_STALL_MS = 12_000;
/** From the end of one stall of a connection to the next one. */
const STALL_PAUSE_MS = 20_000;
const MAX_DELAY_MS = 4900;

/** Trouble that breaks no connection: the promise must hold through all of it. */
export class CalmFaults {
  readonly #world: SimWorld;
  readonly #random: SimRandom;

  constructor(world: SimWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  happen(): void {
    switch (this.#random.weighted([3, 2, 3, 3])) {
      case 0:
        this.#workerDies();
        break;
      case 1:
        this.#slowWorker();
        break;
      case 2:
        this.#slowReader();
        break;
      default:
        this.#delay();
        break;
    }
  }

  #worker(): SimWorker | null {
    const workers = this.#world.runs.flatMap((run) => [...run.workers.values()]);
    const alive = workers.filter(({ isAlive }) => isAlive);
    return alive.length === 0 ? null : this.#random.pick(alive);
  }

  #workerDies(): void {
    const worker = this.#worker();
    if (worker === null) return;
    this.#world.fired(Fault.workerDeath);
    worker.run.killWorker(worker);
  }

  #slowWorker(): void {
    const worker = this.#worker();
    if (worker === null) return;
    this.#world.fired(Fault.slowWorker);
    worker.delayMs = this.#random.int(500, 3000);
    this.#world.queue.after(this.#random.int(1000, 20_000), () => {
      worker.delayMs = this.#world.workerDelayMs();
    });
  }

  #slowReader(): void {
    const { network, queue } = this.#world;
    const sockets = [...network.sockets].filter(({ isOpen, stalledUntilMs }) => {
      return isOpen && stalledUntilMs + STALL_PAUSE_MS <= queue.nowMs;
    });
    if (sockets.length === 0) return;
    this.#random.pick(sockets).stall(queue.nowMs + this.#random.int(500, MAX_STALL_MS));
  }

  #delay(): void {
    const { network, queue } = this.#world;
    if (network.paths.length === 0) return;
    const path: Path = this.#random.pick(network.paths);
    const { baseMs } = path;
    path.baseMs = Math.min(MAX_DELAY_MS - path.jitterMs, baseMs + this.#random.int(200, 3000));
    queue.after(this.#random.int(1000, 30_000), () => {
      path.baseMs = Math.min(path.baseMs, baseMs);
    });
  }
}
