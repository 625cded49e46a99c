import { SlotIndex } from './slot-index.ts';

/**
 * The sessions of one worker, in a SharedArrayBuffer of its own: the one truth about who is logged
 * in. The worker writes, main scans. No per-user counter exists that a dying worker could leave
 * wrong: when it is gone its registry is cleared, and that is all.
 *
 *   word 0   high water: slots below it may be in use (rises only)
 *   then per slot two words:
 *     hash   user hash
 *     info   0 = free, else state (bits 0..1), tag index (2..15), host id (16..31)
 *
 * Order that makes kicks and expiry safe (all accesses are sequentially consistent): a worker enters
 * the session as `reading` BEFORE it loads the user's assignment, all in one tick. Main changes the
 * assignment BEFORE it scans or kicks. So either the worker sees the change, or main sees the session.
 */
export const SessionState = {
  /** The worker is about to read the assignment: may go to whatever it finds. */
  reading: 1,
  /** Waits for main's answer; holds no backend, and will read the assignment again. */
  waiting: 2,
  /** Holds (or is opening) a connection to the host in the info word. */
  active: 3,
} as const;
export type SessionState = (typeof SessionState)[keyof typeof SessionState];

const HIGH_WATER = 0;
const HEADER_WORDS = 1;
const WORDS_PER_SLOT = 2;
/** Two bits less than a half word: the info word has room for no more tags. */
export const MAX_TAGS = 1 << 14;

export function createRegistry(maxSessions: number): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER_WORDS + maxSessions * WORDS_PER_SLOT) * 4);
}

function packInfo(state: SessionState, tagIndex: number, hostId: number): number {
  return state | (tagIndex << 2) | (hostId << 16);
}

/** Worker side: enters and removes sessions. Slots are reused last in, first out. */
export class SessionRegistryWriter {
  readonly #words: Int32Array;
  readonly #free: Int32Array;
  #freeCount = 0;
  #used = 0;
  readonly #capacity: number;
  /** The worker's own: main only scans. */
  readonly #index: SlotIndex;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#capacity = (this.#words.length - HEADER_WORDS) / WORDS_PER_SLOT;
    this.#free = new Int32Array(this.#capacity);
    this.#index = new SlotIndex(this.#capacity);
  }

  /** Slots from here on have never been used. */
  get usedSlots(): number {
    return this.#used;
  }

  /** Enters a session as `reading`. Returns its slot, or -1 when the registry is full. */
  enter(tagIndex: number, userHash: number): number {
    let slot: number;
    if (this.#freeCount > 0) {
      slot = this.#free[--this.#freeCount];
    } else {
      if (this.#used === this.#capacity) return -1;
      slot = this.#used++;
      // Read by main before it looks at slots: raised before the slot is filled.
      Atomics.store(this.#words, HIGH_WATER, this.#used);
    }
    const index = HEADER_WORDS + slot * WORDS_PER_SLOT;
    Atomics.store(this.#words, index, userHash | 0);
    Atomics.store(this.#words, index + 1, packInfo(SessionState.reading, tagIndex, 0));
    this.#index.add(slot, userHash);
    return slot;
  }

  /** Changes the state of an entered session; `hostId` only with `active`. */
  setState(slot: number, state: SessionState, hostId = 0): void {
    const index = HEADER_WORDS + slot * WORDS_PER_SLOT + 1;
    const tagIndex = (this.#words[index] >>> 2) & (MAX_TAGS - 1);
    Atomics.store(this.#words, index, packInfo(state, tagIndex, hostId));
  }

  /** True for a session that holds a host; false for one that waits for main. */
  isActive(slot: number): boolean {
    return (this.#words[HEADER_WORDS + slot * WORDS_PER_SLOT + 1] & 3) === SessionState.active;
  }

  /** Host of an active session; 0 for another one. */
  hostOf(slot: number): number {
    return this.#words[HEADER_WORDS + slot * WORDS_PER_SLOT + 1] >>> 16;
  }

  /** Removes a session: only when its backend socket is closed. */
  leave(slot: number): void {
    const index = HEADER_WORDS + slot * WORDS_PER_SLOT;
    this.#index.remove(slot, this.#words[index]);
    Atomics.store(this.#words, index + 1, 0);
    this.#free[this.#freeCount++] = slot;
  }

  /** Slots of the sessions of one user, in the order in which they were entered. */
  slotsOf(tagIndex: number, userHash: number): number[] {
    return this.slotsOfHash(userHash).filter((slot) => this.#tagOf(slot) === tagIndex);
  }

  /** The same, whatever the tag. */
  slotsOfHash(userHash: number): number[] {
    const slots: number[] = [];
    const key = userHash | 0;
    for (let slot = this.#index.first(key); slot >= 0; slot = this.#index.following(slot)) {
      if (this.#words[HEADER_WORDS + slot * WORDS_PER_SLOT] === key) slots.push(slot);
    }
    return slots.reverse();
  }

  #tagOf(slot: number): number {
    return (this.#words[HEADER_WORDS + slot * WORDS_PER_SLOT + 1] >>> 2) & (MAX_TAGS - 1);
  }
}

/** Main side: reads what a worker has entered. */
export class SessionRegistryReader {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  /**
   * Calls `visit` for every session that holds a backend or may be about to (`reading`, `active`).
   * `hostId` is 0 while reading. A slot that changes meanwhile may be reported with the old hash and
   * the new info or the reverse: a false alarm at most, never a session missed.
   */
  scan(visit: (tagIndex: number, userHash: number, hostId: number) => void): void {
    const highWater = Atomics.load(this.#words, HIGH_WATER);
    for (let slot = 0; slot < highWater; slot++) {
      const index = HEADER_WORDS + slot * WORDS_PER_SLOT;
      const info = Atomics.load(this.#words, index + 1);
      const state = info & 3;
      if (state !== SessionState.reading && state !== SessionState.active) continue;
      const userHash = Atomics.load(this.#words, index) >>> 0;
      visit((info >>> 2) & (MAX_TAGS - 1), userHash, info >>> 16);
    }
  }

  /** True when the user may have a session here (see scan). */
  has(tagIndex: number, userHash: number): boolean {
    const highWater = Atomics.load(this.#words, HIGH_WATER);
    const key = userHash | 0;
    for (let slot = 0; slot < highWater; slot++) {
      const index = HEADER_WORDS + slot * WORDS_PER_SLOT;
      if (Atomics.load(this.#words, index) !== key) continue;
      const info = Atomics.load(this.#words, index + 1);
      const state = info & 3;
      if (state !== SessionState.reading && state !== SessionState.active) continue;
      if (((info >>> 2) & (MAX_TAGS - 1)) === tagIndex) return true;
    }
    return false;
  }
}
