/**
 * Layout of the user table and its lock-free reader.
 *
 * One table per tag, cut into SHARDS parts by the top byte of the user hash so that growth copies a
 * small part and never stops the main thread for long. A shard is an open-addressed, linearly
 * probed array in a SharedArrayBuffer of four 32-bit words per slot:
 *
 *   key        user hash; 0 = never used. Written once per buffer, never changed or cleared.
 *   word       the assignment (assignment.ts); 0 = the user is gone, the key only keeps the chain whole.
 *   stamp      last seen, Unix seconds. Main and any worker may raise it.
 *   announced  the stamp that the other directors of the ring know. Main only.
 *
 * Main is the only writer of keys and words. It writes the word before the key, so a reader that
 * finds the key finds a word. Keys never move or vanish inside a buffer, so a probe chain that a
 * reader is on stays valid; growth and clean-up build a new buffer and publish that (see
 * directory-memory.ts). 16 bytes a slot at a load of 3/8 to 3/4: 22 to 43 bytes a user.
 */
export const SHARDS = 256;
export const WORDS_PER_SLOT = 4;
export const KEY = 0;
export const WORD = 1;
export const STAMP = 2;
export const ANNOUNCED = 3;
export const MIN_SHARD_SLOTS = 64;

/** Slots of a shard; a power of two. */
export function shardSlots(words: Int32Array): number {
  return words.length / WORDS_PER_SLOT;
}

export function createShard(slots: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(slots * WORDS_PER_SLOT * 4));
}

/** What an unused shard is, for all tables: nothing is ever written here. */
export const EMPTY_SHARD = createShard(1);

export function shardOf(userHash: number): number {
  return userHash >>> 24;
}

/**
 * Index of the user's first word in the shard, or -1. `userHash` is an unsigned 32-bit number.
 * Safe while main writes: it stops at the first slot that was never used, and main fills slots only
 * at the end of a chain.
 */
export function findSlot(words: Int32Array, userHash: number): number {
  const key = userHash | 0;
  const mask = words.length / WORDS_PER_SLOT - 1;
  let slot = userHash & mask;
  // Bounded: a shard is never full (load at most 3/4).
  for (;;) {
    const index = slot * WORDS_PER_SLOT;
    const found = Atomics.load(words, index + KEY);
    if (found === key) return index;
    if (found === 0) return -1;
    slot = (slot + 1) & mask;
  }
}

/** Raises the stamp; an older time never overwrites a newer one, whoever wrote that. */
export function raiseStamp(words: Int32Array, index: number, nowSecs: number): void {
  let seen = Atomics.load(words, index + STAMP);
  // Bounded: another turn means that somebody else has raised it.
  while (seen >>> 0 < nowSecs) {
    const found = Atomics.compareExchange(words, index + STAMP, seen, nowSecs | 0);
    if (found === seen) return;
    seen = found;
  }
}
