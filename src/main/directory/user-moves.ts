import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { ringLookup } from '../../shared/memory/host-ring.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import type { MisplacedUsers, MoveOutcome } from '../moves/move-directory.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';
import { moveTogether } from './move-together.ts';
import { SessionFilter } from './session-filter.ts';
import type { KillState } from './user-kill.ts';

/**
 * While a user has a session, its director says so when the user was not seen for half of user_expire
 * (sweeper.ts, whose pass takes up to a tenth of it). Who was not seen for longer has none anywhere.
 */
const QUIET_SHARE = 0.6;
const QUIET_EXTRA_SECS = 2;
const STATE_NAMES = Object.keys(AssignmentState) as (keyof typeof AssignmentState)[];

/** What is known of a user besides its host. */
export interface UserFacts {
  /** `none`: not in the directory. */
  readonly state: keyof typeof AssignmentState | 'none';
  /** Null: its sessions are not being killed. */
  readonly killState: KillState | null;
  /** Unix seconds; 0 = never. */
  readonly stampSecs: number;
  /** Of this director, by backend. */
  readonly sessions: readonly { readonly ip: string; readonly sessions: number }[];
}

/** The part of the directory that long moves work on. */
export class UserMoves {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;
  readonly partCount = SHARDS;
  readonly #filter: SessionFilter;

  constructor(core: DirectoryCore, kills: Kills) {
    this.#core = core;
    this.#kills = kills;
    this.#filter = new SessionFilter(core.sessions);
  }

  get isSynced(): boolean {
    return this.#core.ring.isSynced;
  }

  get movingCount(): number {
    return this.#kills.size;
  }

  get tagCount(): number {
    return this.#core.users.tagCount;
  }

  get kickDelayMs(): number {
    return this.#core.options.userKickDelayMs;
  }

  /** Users of a part of a table that are not where their hash says. Changes nothing. */
  findMisplaced(tagIndex: number, shard: number, hostId: number, nowMs: number): MisplacedUsers {
    const { users, current } = this.#core;
    const found: MisplacedUsers = {
      ...{ idle: [], busy: [], unsettledCount: 0 },
      homelessHostIds: new Set(),
    };
    const table = users.table(tagIndex);
    if (table.isUnused(shard)) return found;
    const quietSecs = this.#quietSecs(nowMs);
    this.#filter.refresh(nowMs);
    table.forEachInShard(shard, (userHash, word, stampSecs) => {
      const state = assignmentState(word);
      const isThere = hostId === 0 || assignedHost(word) === hostId;
      if (!isThere || state === AssignmentState.expired) return;
      const homeId = ringLookup(current.ring, tagIndex, userHash);
      if (homeId === assignedHost(word)) return;
      if (homeId === 0) found.homelessHostIds.add(assignedHost(word));
      else if (state !== AssignmentState.assigned) found.unsettledCount++;
      else if (stampSecs <= quietSecs && !this.#filter.mayHave(userHash)) found.idle.push(userHash);
      else found.busy.push(userHash);
    });
    return found;
  }

  /** Of users last seen by then, our own registries tell all. */
  #quietSecs(nowMs: number): number {
    const { ring, options } = this.#core;
    if (ring.isAlone) return Number.POSITIVE_INFINITY;
    const quietSecs = Math.ceil(options.userExpireSecs * QUIET_SHARE) + QUIET_EXTRA_SECS;
    return toSecs(nowMs) - quietSecs;
  }

  /**
   * Moves users to where their hash says, those of them that are misplaced still: with one pass over the session
   * registries.
   * @returns what became of each, in their order
   */
  moveHome(
    tagIndex: number,
    userHashes: readonly number[],
    hostId: number,
    nowMs: number,
  ): MoveOutcome[] {
    const moves = new Map<number, Host>();
    for (const userHash of userHashes) {
      const home = this.#homeOf(tagIndex, userHash, hostId);
      if (home !== null) moves.set(userHash, home);
    }
    const outcomes = new Map<number, MoveOutcome>();
    moveTogether(this.#core, this.#kills, tagIndex, moves, nowMs, (userHash, isDone) => {
      outcomes.set(userHash, isDone ? 'moved' : 'moving');
    });
    return userHashes.map((userHash) => outcomes.get(userHash) ?? 'settled');
  }

  /** Null: it is there, or is not to be moved. */
  #homeOf(tagIndex: number, userHash: number, hostId: number): Host | null {
    const { users, current } = this.#core;
    const word = users.table(tagIndex).get(userHash);
    // It may have gone, or be moved by somebody else, since it was found.
    if (assignmentState(word) !== AssignmentState.assigned) return null;
    if (hostId !== 0 && assignedHost(word) !== hostId) return null;
    const home = current.hosts.byId(ringLookup(current.ring, tagIndex, userHash));
    return home === undefined || home.hostId === assignedHost(word) ? null : home;
  }

  /** -1: there is no such tag. */
  tagIndex(tag: string): number {
    return this.#core.current.hosts.tagIndex(tag);
  }

  /** Null: there is no such tag. */
  facts(tag: string, userHash: number): UserFacts | null {
    const { users, sessions, current } = this.#core;
    const tagIndex = this.tagIndex(tag);
    if (tagIndex < 0) return null;
    const table = users.table(tagIndex);
    const state = assignmentState(table.get(userHash));
    const counts = [...sessions.countOf(tagIndex, userHash)];
    return {
      state: STATE_NAMES.find((name) => AssignmentState[name] === state) ?? 'none',
      killState: this.#kills.stateOf(tagIndex, userHash),
      stampSecs: table.stampSecs(userHash),
      sessions: counts.map(([hostId, count]) => ({
        ...{ ip: hostId === 0 ? '' : current.hosts.ip(hostId), sessions: count },
      })),
    };
  }

  isMoving(tagIndex: number, userHash: number): boolean {
    return this.#kills.stateOf(tagIndex, userHash) !== null;
  }
}
