const MIN_BUCKETS = 16;

/**
 * Finds the slots of a user hash without looking at all of them: chains of slots by the low bits of the
 * hash, which are as good as random (it comes from an MD5). Twelve bytes a slot, no objects; memory that
 * was never used costs nothing.
 */
export class SlotIndex {
  /** All of these hold slot + 1, so that the zeros of a new array mean none. */
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #mask: number;

  constructor(capacity: number) {
    const buckets = 2 ** Math.ceil(Math.log2(Math.max(MIN_BUCKETS, capacity)));
    this.#mask = buckets - 1;
    this.#heads = new Int32Array(buckets);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
  }

  /** Enters a slot that is not entered. */
  add(slot: number, userHash: number): void {
    const bucket = userHash & this.#mask;
    const head = this.#heads[bucket];
    this.#next[slot] = head;
    this.#previous[slot] = 0;
    if (head !== 0) this.#previous[head - 1] = slot + 1;
    this.#heads[bucket] = slot + 1;
  }

  /** Takes out a slot that was entered under this hash. */
  remove(slot: number, userHash: number): void {
    const next = this.#next[slot];
    const previous = this.#previous[slot];
    if (next !== 0) this.#previous[next - 1] = previous;
    if (previous !== 0) this.#next[previous - 1] = next;
    else this.#heads[userHash & this.#mask] = next;
  }

  /** A slot whose hash has the same low bits, the latest first; -1: none. */
  first(userHash: number): number {
    return this.#heads[userHash & this.#mask] - 1;
  }

  /** The one that was entered before it; -1: none. */
  following(slot: number): number {
    return this.#next[slot] - 1;
  }
}
