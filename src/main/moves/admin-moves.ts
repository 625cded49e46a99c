import type { MoveEvent } from '../directory/core.ts';
import type { Directory } from '../directory/directory.ts';
import type { KillState } from '../directory/user-kill.ts';
import type { UserFacts } from '../directory/user-moves.ts';
import { MoveJobs, type MoveJobsOptions } from './move-jobs.ts';
import type { RecentMoves } from './recent-moves.ts';
import { RunningMoves } from './running-moves.ts';
import { type Found, UserSearch } from './user-search.ts';

/** A remembered move, for people. */
export interface ShownMove {
  readonly atMs: number;
  readonly kind: string;
  /** '' = none. */
  readonly oldIp: string;
  readonly newIp: string;
  readonly by: string;
}

/** Jobs and the memory of moves, as the admin commands see them. */
export class AdminMoves {
  readonly jobs: MoveJobs;
  readonly #recent: RecentMoves;
  readonly #directory: Directory;
  readonly #running: RunningMoves;
  readonly #now: () => number;

  /** @param recent what the directory's moves are noted in, by noteMove() */
  constructor(
    directory: Directory,
    recent: RecentMoves,
    options: Omit<MoveJobsOptions, 'directory' | 'recent'>,
  ) {
    this.#directory = directory;
    this.#recent = recent;
    this.#now = options.now;
    this.#running = new RunningMoves(directory, options.now);
    this.jobs = new MoveJobs({ ...options, ...{ directory: this.#running, recent } });
  }

  /** Null: no such tag. */
  facts(tag: string, userHash: number): UserFacts | null {
    return this.#directory.userMoves.facts(tag, userHash);
  }

  /** How far the kill of a user with this hash is, of whatever tag; null: none is being killed. */
  killState(userHash: number): KillState | null {
    for (let tagIndex = 0; tagIndex < this.#directory.tagCount; tagIndex++) {
      const state = this.#directory.killState(tagIndex, userHash);
      if (state !== null) return state;
    }
    return null;
  }

  /** Newest first. */
  recentOf(tag: string, userHash: number, limit: number): ShownMove[] {
    const tagIndex = this.#directory.userMoves.tagIndex(tag);
    return this.#recent.of(tagIndex, userHash, limit).map(({ oldHostId, newHostId, ...move }) => ({
      ...{ atMs: move.atMs, kind: move.kind, by: move.by },
      ...{ oldIp: this.#ip(oldHostId), newIp: this.#ip(newHostId) },
    }));
  }

  #ip(hostId: number): string {
    return hostId === 0 ? '' : this.#directory.hostIp(hostId);
  }

  /** Looks for users that are not where their hash says; of one backend that is there, or of all. */
  search(ip: string | null): { readonly isOver: boolean; readonly found: Found; next(): void } {
    const host = ip === null ? null : (this.#running.host(ip) ?? null);
    const search = new UserSearch(this.#running, host);
    return {
      ...{ found: search.found, next: () => void search.next(this.#now()) },
      get isOver() {
        return search.isOver;
      },
    };
  }

  /** Users whose sessions are being killed now, whoever ordered it. */
  get movingCount(): number {
    return this.#running.movingCount;
  }

  /** What `run` orders is remembered as ordered by `who`. */
  orderedBy<T>(who: string, run: () => T): T {
    return this.#recent.orderedBy(who, run);
  }
}

/**
 * @param ringBy names the director who gave an order of the ring; null: whoever gives orders here
 */
export function noteMove(
  recent: RecentMoves,
  event: MoveEvent,
  nowMs: number,
  ringBy: string | null,
): void {
  const { tagIndex, userHash, oldHostId, newHostId, kind, origin } = event;
  const facts = { atMs: nowMs, tagIndex, userHash, oldHostId, newHostId, kind };
  if (kind === 'purge') recent.add(facts, 'its backend was removed or flushed');
  else if (kind === 'conflict') recent.add(facts, 'the ring: it was on two backends');
  else recent.add(facts, origin?.isSelf === false ? ringBy : null);
}
