import { invariant } from '../../shared/errors.ts';
import {
  ANNOUNCED,
  createShard,
  EMPTY_SHARD,
  findSlot,
  KEY,
  MIN_SHARD_SLOTS,
  raiseStamp,
  SHARDS,
  STAMP,
  shardOf,
  shardSlots,
  WORD,
  WORDS_PER_SLOT,
} from '../../shared/memory/user-table.ts';

/** Called before the new words are used for anything: posts them to the workers, raises the epoch. */
export type PublishShard = (shard: number, words: Int32Array<SharedArrayBuffer>) => void;

/**
 * The writing side of one tag's user table (layout: shared/memory/user-table.ts). Main thread only.
 * Keeps no per-user objects; all counts are per shard.
 */
export class UserTableWriter {
  readonly shards: Int32Array<SharedArrayBuffer>[];
  readonly #used = new Int32Array(SHARDS);
  readonly #live = new Int32Array(SHARDS);
  readonly #publish: PublishShard;
  #size = 0;

  constructor(publish: PublishShard) {
    this.#publish = publish;
    this.shards = Array.from({ length: SHARDS }, () => EMPTY_SHARD);
  }

  /** Users in the table. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of all shards. */
  get byteLength(): number {
    return this.shards.reduce((sum, words) => sum + words.byteLength, 0);
  }

  /** Assignment word, 0 when the user is not there. */
  get(userHash: number): number {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    return index < 0 ? 0 : Atomics.load(words, index + WORD);
  }

  /** Last seen, Unix seconds; 0 when the user is not there. */
  stampSecs(userHash: number): number {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    if (index < 0 || Atomics.load(words, index + WORD) === 0) return 0;
    return Atomics.load(words, index + STAMP) >>> 0;
  }

  /** Adds a user or changes its word (neither hash nor word is 0), and raises its stamp. */
  set(userHash: number, word: number, stampSecs: number): void {
    invariant(userHash !== 0 && word !== 0, 'no user has the hash 0 or the word 0');
    const shard = shardOf(userHash);
    const index = findSlot(this.shards[shard], userHash);
    if (index >= 0) {
      const words = this.shards[shard];
      if (Atomics.load(words, index + WORD) === 0) {
        this.#live[shard]++;
        this.#size++;
        // A new life: a stamp of the old one must not make it look older or younger.
        Atomics.store(words, index + STAMP, stampSecs | 0);
        words[index + ANNOUNCED] = 0;
      } else {
        raiseStamp(words, index, stampSecs);
      }
      Atomics.store(words, index + WORD, word);
      return;
    }
    this.#makeRoom(shard);
    insertSlot(this.shards[shard], userHash | 0, word, stampSecs, 0);
    this.#used[shard]++;
    this.#live[shard]++;
    this.#size++;
  }

  /** Changes the word of a user that is there; leaves the stamp alone. */
  setWord(userHash: number, word: number): void {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    if (index >= 0 && Atomics.load(words, index + WORD) !== 0) {
      Atomics.store(words, index + WORD, word);
    }
  }

  /** The stamp that the ring knows, Unix seconds; 0 = none, or no such user. */
  announcedSecs(userHash: number): number {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    return index < 0 ? 0 : words[index + ANNOUNCED] >>> 0;
  }

  setAnnounced(userHash: number, stampSecs: number): void {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    if (index >= 0) words[index + ANNOUNCED] = stampSecs | 0;
  }

  touch(userHash: number, nowSecs: number): void {
    const words = this.shards[shardOf(userHash)];
    const index = findSlot(words, userHash);
    if (index >= 0) raiseStamp(words, index, nowSecs);
  }

  /** Removes a user. The key stays in place, so that no reader's chain breaks. */
  delete(userHash: number): void {
    const shard = shardOf(userHash);
    const words = this.shards[shard];
    const index = findSlot(words, userHash);
    if (index < 0 || Atomics.load(words, index + WORD) === 0) return;
    Atomics.store(words, index + WORD, 0);
    this.#live[shard]--;
    this.#size--;
  }

  /** Calls `visit` for every user of a shard. `visit` may set and delete words, but add no users. */
  forEachInShard(
    shard: number,
    visit: (userHash: number, word: number, stampSecs: number, announcedSecs: number) => void,
  ): void {
    const words = this.shards[shard];
    for (let index = 0; index < words.length; index += WORDS_PER_SLOT) {
      const word = Atomics.load(words, index + WORD);
      if (word === 0) continue;
      const key = words[index + KEY] >>> 0;
      visit(key, word, Atomics.load(words, index + STAMP) >>> 0, words[index + ANNOUNCED] >>> 0);
    }
  }

  /** Nothing was ever in the shard. */
  isUnused(shard: number): boolean {
    return this.shards[shard] === EMPTY_SHARD;
  }

  /** Gives back the memory of a shard that has become much too large. */
  shrink(shard: number): void {
    const slots = shardSlots(this.shards[shard]);
    if (slots > MIN_SHARD_SLOTS && this.#live[shard] < slots / 8) this.#rebuild(shard);
  }

  /** Keeps used slots (live and dead) at three quarters at most, so that chains stay short. */
  #makeRoom(shard: number): void {
    const slots = shardSlots(this.shards[shard]);
    if ((this.#used[shard] + 1) * 4 > slots * 3) this.#rebuild(shard);
  }

  #rebuild(shard: number): void {
    const old = this.shards[shard];
    let slots = MIN_SHARD_SLOTS;
    // Three eighths full after the copy, half at most: growth is rare and doubles the room.
    while ((this.#live[shard] + 1) * 2 > slots) slots *= 2;
    const words = createShard(slots);
    for (let index = 0; index < old.length; index += WORDS_PER_SLOT) {
      const word = old[index + WORD];
      if (word === 0) continue;
      const stampSecs = Atomics.load(old, index + STAMP) >>> 0;
      insertSlot(words, old[index + KEY], word, stampSecs, old[index + ANNOUNCED]);
    }
    this.#used[shard] = this.#live[shard];
    this.shards[shard] = words;
    this.#publish(shard, words);
    // A worker may have stamped the old words while they were copied; after the publication it
    // stamps the new ones (DirectoryReader.touch), so this catches every stamp.
    for (let index = 0; index < old.length; index += WORDS_PER_SLOT) {
      if (old[index + WORD] === 0) continue;
      const copy = findSlot(words, old[index + KEY] >>> 0);
      raiseStamp(words, copy, Atomics.load(old, index + STAMP) >>> 0);
    }
  }
}

/** Fills the first free slot of the key's chain: stamp and word first, the key last. */
function insertSlot(
  words: Int32Array,
  key: number,
  word: number,
  stampSecs: number,
  announcedSecs: number,
): void {
  const mask = shardSlots(words) - 1;
  let slot = key & mask;
  while (words[slot * WORDS_PER_SLOT + KEY] !== 0) slot = (slot + 1) & mask;
  const index = slot * WORDS_PER_SLOT;
  Atomics.store(words, index + STAMP, stampSecs | 0);
  words[index + ANNOUNCED] = announcedSecs | 0;
  Atomics.store(words, index + WORD, word);
  Atomics.store(words, index + KEY, key);
}
