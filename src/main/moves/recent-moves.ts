import { moveLimits } from './move-limits.ts';

/** A user that had to go, as it began. */
export interface RecentMove {
  readonly atMs: number;
  readonly tagIndex: number;
  readonly userHash: number;
  /** Host ids; 0 = none. */
  readonly oldHostId: number;
  readonly newHostId: number;
  /** `move`, `purge` (the host was removed or flushed), `conflict` (of two directors). */
  readonly kind: string;
  readonly by: string;
}

/** The last moves of users, and who ordered them. What is older than the limit is forgotten. */
export class RecentMoves {
  readonly #capacity: number;
  /** A ring: the oldest is at #next when it is full. */
  readonly #moves: RecentMove[] = [];
  #next = 0;
  #orderedBy = '';

  constructor(capacity: number = moveLimits.recentMoves) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#moves.length;
  }

  /** What `run` orders counts as ordered by `who`. */
  orderedBy<T>(who: string, run: () => T): T {
    const before = this.#orderedBy;
    this.#orderedBy = who;
    try {
      return run();
    } finally {
      this.#orderedBy = before;
    }
  }

  /** @param by null: whoever is giving orders now */
  add(move: Omit<RecentMove, 'by'>, by: string | null): void {
    this.#moves[this.#next] = { ...move, by: by ?? this.#orderedBy };
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Newest first. */
  of(tagIndex: number, userHash: number, limit: number): RecentMove[] {
    const found: RecentMove[] = [];
    const count = this.#moves.length;
    for (let i = 1; i <= count && found.length < limit; i++) {
      const move = this.#moves[(this.#next - i + count) % count];
      if (move.userHash === userHash && move.tagIndex === tagIndex) found.push(move);
    }
    return found;
  }
}
