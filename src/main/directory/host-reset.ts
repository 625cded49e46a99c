import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { ringLookup } from '../../shared/memory/host-ring.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import type { DirectoryCore } from './core.ts';
import type { HostChanges } from './host-changes.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';
import { SELF } from './ring-link.ts';

/** Users looked at in one step. */
const USERS_PER_STEP = 1000;

/**
 * Moves the users of one backend to where their hash says now: step by step, so that no more than a
 * number of users are being moved at a time and the event loop is not held. When the hash says that there
 * is no backend for them, they are forgotten on all directors, after their sessions have been killed.
 */
export class HostReset {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;
  readonly #hosts: HostChanges;
  readonly #host: Host;
  #nextShard = 0;
  /** Of one shard; the last one is next. */
  #userHashes: number[] = [];
  movedCount = 0;

  constructor(core: DirectoryCore, kills: Kills, hosts: HostChanges, host: Host) {
    this.#core = core;
    this.#kills = kills;
    this.#hosts = hosts;
    this.#host = host;
  }

  /** `blocked`: `maxMoving` users are being moved. `nowhere`: done, and there is no backend for them. */
  step(maxMoving: number, nowMs: number): 'more' | 'blocked' | 'done' | 'nowhere' {
    const { hosts } = this.#core.current;
    // Removed, or there anew with another tag: its users have been forgotten.
    if (hosts.byId(this.#host.hostId) !== this.#host) return 'done';
    for (let i = 0; i < USERS_PER_STEP; i++) {
      if (this.#kills.size >= maxMoving) return 'blocked';
      const userHash = this.#userHashes.pop();
      if (userHash === undefined) {
        if (this.#nextShard === SHARDS) return 'done';
        this.#userHashes = this.#usersOf(this.#nextShard++);
      } else if (!this.#move(userHash, nowMs)) {
        this.#hosts.flush(SELF, this.#host, nowMs);
        return 'nowhere';
      }
    }
    return 'more';
  }

  #usersOf(shard: number): number[] {
    const table = this.#core.users.table(this.#host.tagIndex);
    const userHashes: number[] = [];
    table.forEachInShard(shard, (userHash, word) => {
      if (this.#isHere(word)) userHashes.push(userHash);
    });
    return userHashes;
  }

  /** Also a user on its way to this backend; not one that has expired. */
  #isHere(word: number): boolean {
    return (
      assignedHost(word) === this.#host.hostId && assignmentState(word) !== AssignmentState.expired
    );
  }

  /** False: there is no backend for the user. */
  #move(userHash: number, nowMs: number): boolean {
    const { current, users } = this.#core;
    const { tagIndex, hostId } = this.#host;
    // It may have gone since the shard was read.
    if (!this.#isHere(users.table(tagIndex).get(userHash))) return true;
    const targetId = ringLookup(current.ring, tagIndex, userHash);
    if (targetId === hostId) return true;
    const target = current.hosts.byId(targetId);
    if (target === undefined) return false;
    this.#kills.move(SELF, userHash, target, nowMs);
    this.movedCount++;
    return true;
  }
}
