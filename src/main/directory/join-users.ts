import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';

/** What directors tell each other of users when one joins the other's ring, or two rings become one. */
export class JoinUsers {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;

  constructor(core: DirectoryCore, kills: Kills) {
    this.#core = core;
    this.#kills = kills;
  }

  /**
   * Users of one part of one table on whom this director does not rely, and whom others may have, for the
   * handshake with a new member: it is not to place them unasked.
   */
  visitUnsure(
    tagIndex: number,
    shard: number,
    visit: (userHash: number, ip: string, stampSecs: number) => void,
  ): void {
    const { users, current } = this.#core;
    // Which of the tag's hosts is named does not matter: the line has no place for a tag.
    const host = current.hosts.hosts.find((other) => other.tagIndex === tagIndex);
    if (host === undefined) return;
    users.table(tagIndex).forEachInShard(shard, (userHash, word, stampSecs) => {
      const state = assignmentState(word);
      const isPurged = (): boolean => this.#kills.isPurged(tagIndex, userHash);
      const isUnsure =
        state === AssignmentState.expired || (state === AssignmentState.killing && isPurged());
      if (isUnsure) visit(userHash, host.ip, stampSecs);
    });
  }

  /** The user is here, and not for a while more that has expired. */
  isKnown(tagIndex: number, userHash: number): boolean {
    const word = this.#core.users.table(tagIndex).get(userHash);
    return word !== 0 && assignmentState(word) !== AssignmentState.expired;
  }

  /**
   * Another director does not rely on what it knows of this user of the host's tag.
   * @returns true when we do not know the user, and shall ask about it
   */
  unsure(userHash: number, { tagIndex }: Host, stampSecs: number, nowMs: number): boolean {
    const { options, ghostSecs, users } = this.#core;
    // Remembered for no longer than our own: else it would go around for ever.
    const isOver = stampSecs + options.userExpireSecs + ghostSecs <= toSecs(nowMs);
    if (isOver) return false;
    const word = users.table(tagIndex).get(userHash);
    const isGhost = assignmentState(word) === AssignmentState.expired && assignedHost(word) !== 0;
    // The others may not come to the host that it had here.
    if (isGhost) users.mark(tagIndex, userHash, AssignmentState.expired, 0);
    else if (word === 0) this.#core.rememberUnsure(tagIndex, userHash, stampSecs);
    return isGhost || word === 0;
  }

  /**
   * Another director has the user on a backend that is not here, and may be again. Its tag is not known: the user
   * of each tag is meant.
   */
  elsewhere(userHash: number, stampSecs: number, nowMs: number): void {
    const tags = new Map(this.#core.current.hosts.hosts.map((host) => [host.tagIndex, host]));
    for (const host of tags.values()) this.unsure(userHash, host, stampSecs, nowMs);
  }

  /**
   * Users of one part of one table, for the handshake with a new member. Of those whose sessions are being killed,
   * where they will be then.
   */
  visit(
    tagIndex: number,
    shard: number,
    visit: (
      userHash: number,
      ip: string,
      stampSecs: number,
      state: { readonly isWeak: boolean; readonly isKilled: boolean },
    ) => void,
  ): void {
    const { users, current } = this.#core;
    users.table(tagIndex).forEachInShard(shard, (userHash, word, stampSecs) => {
      const state = assignmentState(word);
      const host = current.hosts.byId(assignedHost(word));
      // Users of a host that is gone, or has another tag, or is flushed, are about to be forgotten.
      if (state === AssignmentState.expired || host?.tagIndex !== tagIndex) return;
      const isKilled = state === AssignmentState.killing;
      if (isKilled && this.#kills.isPurged(tagIndex, userHash)) return;
      const isWeak = state === AssignmentState.weak;
      visit(userHash, host.ip, stampSecs, { isWeak, isKilled });
    });
  }
}
