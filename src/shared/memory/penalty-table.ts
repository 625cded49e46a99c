/**
 * Failed logins by key (a network, a user), in memory that all workers share: any of them reads and writes, by one
 * atomic word per key. Bounded: a full set forgets its oldest key. A word of 64 bits holds tag (28 bits: which key
 * of its set), seconds of the last failure (32) and failures (4). The word behind it has checksums of what was tried
 * last; it is written without care for races, which cost one failure counted twice at most.
 */

const SETS = 4096;
const WAYS = 8;
const WORDS_PER_SLOT = 2;
/** Word 0 is the seed that keys are hashed with, so that nobody can choose keys that meet in one set. */
const HEADER_WORDS = 1;
/** A key without a failure for so long is forgotten: AUTH_PENALTY_TIMEOUT. */
export const PENALTY_FORGET_SECS = 29;
export const MAX_PENALTY_COUNT = 15;
const CHECKSUM_BITS = 16n;

export class PenaltyTable {
  readonly #words: BigUint64Array;
  readonly #seed: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new BigUint64Array(buffer);
    this.#seed = Number(BigInt.asUintN(32, this.#words[0]!));
  }

  /** @param seed random, 32 bits */
  static createBuffer(seed: number): SharedArrayBuffer {
    const bytes = (HEADER_WORDS + SETS * WAYS * WORDS_PER_SLOT) * BigUint64Array.BYTES_PER_ELEMENT;
    const buffer = new SharedArrayBuffer(bytes);
    new BigUint64Array(buffer)[0] = BigInt(seed >>> 0);
    return buffer;
  }

  /** Failures of a key, up to MAX_PENALTY_COUNT; 0 when the last one is long ago. */
  count(key: string, nowSecs: number): number {
    const { set, tag } = this.#place(key);
    const slot = this.#find(set, tag, nowSecs);
    return slot < 0 ? 0 : countOf(Atomics.load(this.#words, slot));
  }

  /**
   * Notes a failure.
   *
   * @param checksum of what was tried: the same again does not count; 0 = always counts
   */
  fail(key: string, checksum: number, nowSecs: number): void {
    const { set, tag } = this.#place(key);
    const found = this.#find(set, tag, nowSecs);
    const slot = found < 0 ? this.#victim(set, tag) : found;
    const mark = BigInt(checksum & 0xffff);
    const tried = found < 0 ? 0n : Atomics.load(this.#words, slot + 1);
    if (mark !== 0n && hasChecksum(tried, mark)) return;
    const before = Atomics.load(this.#words, slot);
    const count = found < 0 ? 1 : Math.min(MAX_PENALTY_COUNT, countOf(before) + 1);
    const after = (BigInt(tag) << 36n) | (BigInt(nowSecs >>> 0) << 4n) | BigInt(count);
    // Lost to another worker: its failure counts, and that is all this is for.
    if (Atomics.compareExchange(this.#words, slot, before, after) !== before) return;
    Atomics.store(this.#words, slot + 1, BigInt.asUintN(64, (tried << CHECKSUM_BITS) | mark));
  }

  /** After a success. */
  forget(key: string, nowSecs: number): void {
    const { set, tag } = this.#place(key);
    const slot = this.#find(set, tag, nowSecs);
    if (slot >= 0) Atomics.store(this.#words, slot, 0n);
  }

  /** Two hashes (FNV-1a, its bits mixed), of which one chooses the set and the other tells keys in it apart. */
  #place(key: string): { set: number; tag: number } {
    const set = hashKey(key, this.#seed) % SETS;
    const tag = hashKey(key, ~this.#seed) >>> 4;
    return { set, tag: tag === 0 ? 1 : tag };
  }

  #find(set: number, tag: number, nowSecs: number): number {
    for (let way = 0; way < WAYS; way++) {
      const slot = slotOf(set, way);
      const word = Atomics.load(this.#words, slot);
      if (Number(word >> 36n) !== tag) continue;
      const ageSecs = nowSecs - secsOf(word);
      return ageSecs < PENALTY_FORGET_SECS ? slot : -1;
    }
    return -1;
  }

  /** The key's own place if it has been there before (one key must not be in two), else the oldest one's. */
  #victim(set: number, tag: number): number {
    let victim = slotOf(set, 0);
    let oldest = Number.POSITIVE_INFINITY;
    for (let way = 0; way < WAYS; way++) {
      const slot = slotOf(set, way);
      const word = Atomics.load(this.#words, slot);
      if (Number(word >> 36n) === tag) return slot;
      const secs = secsOf(word);
      if (secs >= oldest) continue;
      oldest = secs;
      victim = slot;
    }
    return victim;
  }
}

function slotOf(set: number, way: number): number {
  return HEADER_WORDS + (set * WAYS + way) * WORDS_PER_SLOT;
}

function countOf(word: bigint): number {
  return Number(word & 15n);
}

function secsOf(word: bigint): number {
  return Number((word >> 4n) & 0xffffffffn);
}

function hasChecksum(tried: bigint, mark: bigint): boolean {
  for (let rest = tried; rest !== 0n; rest >>= CHECKSUM_BITS) {
    if ((rest & 0xffffn) === mark) return true;
  }
  return false;
}

function hashKey(key: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let i = 0; i < key.length; i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
