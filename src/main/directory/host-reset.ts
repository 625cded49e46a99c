import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { ringLookup } from '../../shared/memory/host-ring.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import type { DirectoryCore } from './core.ts';
import type { HostChanges } from './host-changes.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';
import { moveTogether } from './move-together.ts';
import { SELF } from './ring-link.ts';

/** Users moved in one step: one pass over the session registries is for all of them. */
const MOVES_PER_STEP = 50;
/** Parts of the table looked at in one step that have users. */
const SHARDS_PER_STEP = 2;

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
  /** Of the shards read last; the last one is next. */
  readonly #userHashes: number[] = [];
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
    const room = Math.min(MOVES_PER_STEP, maxMoving - this.#kills.size);
    if (room <= 0) return 'blocked';
    const moves = new Map<number, Host>();
    for (let shards = 0; moves.size < room; ) {
      const userHash = this.#userHashes.pop();
      if (userHash === undefined) {
        if (this.#nextShard === SHARDS || shards === SHARDS_PER_STEP) break;
        if (this.#readShard(this.#nextShard++)) shards++;
        continue;
      }
      const target = this.#targetOf(userHash);
      if (target === 'none') {
        this.#hosts.flush(SELF, this.#host, nowMs);
        return 'nowhere';
      }
      if (target !== 'stays') moves.set(userHash, target);
    }
    moveTogether(this.#core, this.#kills, this.#host.tagIndex, moves, nowMs);
    this.movedCount += moves.size;
    return this.#userHashes.length === 0 && this.#nextShard === SHARDS ? 'done' : 'more';
  }

  /** False: it was never used. */
  #readShard(shard: number): boolean {
    const table = this.#core.users.table(this.#host.tagIndex);
    if (table.isUnused(shard)) return false;
    table.forEachInShard(shard, (userHash, word) => {
      if (this.#isHere(word)) this.#userHashes.push(userHash);
    });
    return true;
  }

  /** Also a user on its way to this backend; not one that has expired. */
  #isHere(word: number): boolean {
    return (
      assignedHost(word) === this.#host.hostId && assignmentState(word) !== AssignmentState.expired
    );
  }

  /** `none`: there is no backend for the user. */
  #targetOf(userHash: number): Host | 'stays' | 'none' {
    const { current, users } = this.#core;
    const { tagIndex, hostId } = this.#host;
    // It may have gone since the shard was read.
    if (!this.#isHere(users.table(tagIndex).get(userHash))) return 'stays';
    const targetId = ringLookup(current.ring, tagIndex, userHash);
    return targetId === hostId ? 'stays' : (current.hosts.byId(targetId) ?? 'none');
  }
}
