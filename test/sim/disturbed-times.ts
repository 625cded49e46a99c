import { ringFlaw, roundMs } from './ring-shape.ts';
import type { SimWorld } from './sim-world.ts';

/** Once the ring is one and synced again: until every user's surplus sessions must be closed. */
const OVERLAP_END_MS = 60_000;

/**
 * When two members may hold one user differently. A disturbance begins with a fault of network or
 * member, and ends when all faults are over, all members that run are one synced ring, in order, have been so for a
 * time in which any message has gone around twice, and no user is on two backends. The last must come
 * about in OVERLAP_END_MS and the time of two rounds.
 */
export class DisturbedTimes {
  readonly #world: SimWorld;
  /** Faults that last and are not over. */
  readonly #lasting = new Set<object>();
  isDisturbed = false;
  #oneRingSinceMs: number | null = null;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  /** A fault that is over at once. */
  disturb(): void {
    this.isDisturbed = true;
    this.#oneRingSinceMs = null;
  }

  begin(fault: object): void {
    this.#lasting.add(fault);
    this.disturb();
  }

  end(fault: object): void {
    if (this.#lasting.delete(fault)) this.disturb();
  }

  get hasFaults(): boolean {
    return this.#lasting.size > 0;
  }

  check(): void {
    if (!this.isDisturbed || this.hasFaults) return;
    const world = this.#world;
    const { nowMs } = world.queue;
    if (ringFlaw(world) !== null) {
      this.#oneRingSinceMs = null;
      return;
    }
    this.#oneRingSinceMs ??= nowMs;
    const oneForMs = nowMs - this.#oneRingSinceMs;
    const twoRoundsMs = 2 * roundMs(world);
    const { overlapping } = world.promise;
    if (overlapping.size > 0) {
      if (oneForMs <= OVERLAP_END_MS + twoRoundsMs) return;
      const [user] = overlapping;
      const where = user.live.map(({ ip, worker }) => `${ip} by ${worker.member.name}`);
      world.fail(
        `user ${user.name} is on ${where.join(', ')} for ${nowMs - user.overlapSinceMs} ms, ` +
          `the ring is one again for ${oneForMs} ms`,
      );
    }
    if (oneForMs < twoRoundsMs + 2000) return;
    this.isDisturbed = false;
    world.trace(() => 'the disturbance is over');
  }
}
