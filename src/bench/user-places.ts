import { BENCH_LIMITS } from './bench-limits.ts';

/** What a login says about its user's earlier ones. */
export type Place =
  /** The first login, or the backend of the others. */
  | 'same'
  /** Another backend than before, where none of our sessions is open any more. */
  | 'moved'
  /** Another backend than that of sessions that are open now: the promise is broken. */
  | 'wrong'
  /** Not remembered: the user is beyond the limit. */
  | 'unknown';

const COUNT_BITS = 32n;
const COUNT_MASK = 0xffff_ffffn;

export function createUserPlaces(users: number): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * Math.min(users, BENCH_LIMITS.trackedUsers));
}

/**
 * Where each user is, for all threads: a 64-bit word per user, the hash of the backend's name above the
 * number of open sessions. All threads change it by compareExchange, so that both halves always belong together.
 */
export class UserPlaces {
  readonly #words: BigUint64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new BigUint64Array(memory);
  }

  /** A login was accepted. Where it gives 'wrong' or 'unknown' there must be no leave(). */
  enter(user: number, backend: string): Place {
    if (user >= this.#words.length) return 'unknown';
    const hash = BigInt(nameHash(backend));
    for (;;) {
      const word = Atomics.load(this.#words, user);
      const before = word >> COUNT_BITS;
      const open = word & COUNT_MASK;
      if (before !== 0n && before !== hash && open > 0n) return 'wrong';
      const next = (hash << COUNT_BITS) | (open + 1n);
      if (Atomics.compareExchange(this.#words, user, word, next) === word) {
        return before === 0n || before === hash ? 'same' : 'moved';
      }
    }
  }

  /** The session has ended, or is about to. */
  leave(user: number): void {
    Atomics.sub(this.#words, user, 1n);
  }
}

/** FNV-1a; never 0, which means that no backend is known. Two names of one hash would hide an error, not make one. */
function nameHash(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0 || 1;
}
