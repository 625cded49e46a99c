import type { Host } from './host-set.ts';
import { userKey } from './login-requests.ts';

/** SYNC goes around to the right; news may take the other way, and so much longer. */
const OTHER_WAY_ROUNDS = 5;
const OTHER_WAY_MIN_MS = 500;
const OTHER_WAY_MAX_MS = 30_000;

interface ForgottenHost {
  /** Whoever told us, by this connection, knows; 0: nobody is sure to have done it already. */
  via: number;
  /** RingLink.barrier() of the order. */
  barrier: number;
  /** Infinity until the ring is synced. */
  untilMs: number;
}

/**
 * Hosts whose users were forgotten so lately that news of one may be older than that: sent by a director that had
 * not heard of it yet, or coming by the longer way around. Of a neighbour that answers for what it says
 * (BARRIER) it is known which is which; of others it may be true or not, for a time.
 */
export class StaleNews {
  /** By tag and host id. */
  readonly #hosts = new Map<number, ForgottenHost>();

  /** `hasOthers`: somebody's SYNC will end the time of doubt. */
  note({ tagIndex, hostId }: Host, barrier: number, via: number, hasOthers: boolean): void {
    const untilMs = hasOthers ? Number.POSITIVE_INFINITY : 0;
    this.#hosts.set(userKey(tagIndex, hostId), { barrier, via, untilMs });
  }

  synced(roundMs: number, nowMs: number): void {
    const otherWayMs = Math.max(OTHER_WAY_MIN_MS, OTHER_WAY_ROUNDS * roundMs);
    const endMs = nowMs + Math.min(OTHER_WAY_MAX_MS, otherWayMs);
    for (const host of this.#hosts.values()) {
      if (host.untilMs === Number.POSITIVE_INFINITY) host.untilMs = endMs;
    }
  }

  /** The news was sent before its sender had forgotten the host's users. */
  isOld(
    { tagIndex, hostId }: Host,
    { barrier, via }: { readonly barrier: number; readonly via: number },
  ): boolean {
    const forgotten = this.#hosts.get(userKey(tagIndex, hostId));
    return forgotten !== undefined && forgotten.barrier > barrier && forgotten.via !== via;
  }

  /** The same, as far as can be known without BARRIER. */
  mayBeOld({ tagIndex, hostId }: Host, nowMs: number): boolean {
    return (this.#hosts.get(userKey(tagIndex, hostId))?.untilMs ?? 0) > nowMs;
  }

  /** An order may have been given before its giver had heard of it. Orders do not come later than our SYNC. */
  mayCross({ tagIndex, hostId }: Host): boolean {
    const until = this.#hosts.get(userKey(tagIndex, hostId))?.untilMs;
    return until === Number.POSITIVE_INFINITY;
  }
}
