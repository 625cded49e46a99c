import type { Host } from './host-set.ts';
import { userKey } from './login-requests.ts';

/** SYNC goes around to the right; news may take the other way, and so much longer. */
const OTHER_WAY_ROUNDS = 5;
const OTHER_WAY_MIN_MS = 500;
const OTHER_WAY_MAX_MS = 30_000;

/**
 * Hosts whose users were forgotten so lately that news of one may be older than that: sent by a director that had
 * not heard of it yet, or coming by the longer way around. It may be true or not.
 */
export class StaleNews {
  /** By tag and host id: until when; Infinity until the ring is synced. */
  readonly #untilMs = new Map<number, number>();

  note({ tagIndex, hostId }: Host): void {
    this.#untilMs.set(userKey(tagIndex, hostId), Number.POSITIVE_INFINITY);
  }

  synced(roundMs: number, nowMs: number): void {
    const otherWayMs = Math.max(OTHER_WAY_MIN_MS, OTHER_WAY_ROUNDS * roundMs);
    const endMs = nowMs + Math.min(OTHER_WAY_MAX_MS, otherWayMs);
    for (const [key, untilMs] of this.#untilMs) {
      if (untilMs === Number.POSITIVE_INFINITY) this.#untilMs.set(key, endMs);
      else if (untilMs <= nowMs) this.#untilMs.delete(key);
    }
  }

  mayConcern({ tagIndex, hostId }: Host, nowMs: number): boolean {
    return (this.#untilMs.get(userKey(tagIndex, hostId)) ?? 0) > nowMs;
  }
}
