import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import { type DirectoryCore, toSecs } from './core.ts';

/** A sweep visits the whole table in this time, or a tenth of user_expire if that is less. */
const SWEEP_PASS_MS = 10_000;
/** The edge calls tick() this often. */
export const TICK_MS = 100;

/**
 * Goes through the whole table again and again, a part at a time: users that have not been seen for
 * half of user_expire but have a session are kept young; users whose time is over and who have none are
 * removed; and the other directors are told of users who were seen since they heard of them last.
 */
export class Sweeper {
  readonly #core: DirectoryCore;
  readonly #passMs: number;
  /** A refresh is announced when it is this much newer than the last one announced. */
  readonly #announceSecs: number;
  #cursor = 0;
  #lastMs = 0;

  constructor(core: DirectoryCore) {
    this.#core = core;
    const { userExpireSecs, hasRing } = core.options;
    const passMs = Math.min(SWEEP_PASS_MS, userExpireSecs * 100);
    // What the others know is late by this and the pass, together half of the time that counts as near
    // expiry: so nobody forgets a user before he has been asked about it.
    this.#announceSecs = Math.floor(core.nearSecs / 4);
    this.#passMs = hasRing === true ? Math.min(passMs, core.nearSecs * 250) : passMs;
  }

  sweep(nowMs: number): void {
    const all = SHARDS * this.#core.users.tagCount;
    const elapsedMs = Math.max(TICK_MS, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    // After a long pause (or a jump of the clock) one whole pass is enough.
    const count = Math.min(all, Math.ceil((all * elapsedMs) / this.#passMs));
    for (let i = 0; i < count; i++) {
      this.#cursor = (this.#cursor + 1) % all;
      const tagIndex = Math.floor(this.#cursor / SHARDS);
      const shard = this.#cursor % SHARDS;
      if (!this.#core.users.table(tagIndex).isUnused(shard)) {
        this.#sweepShard(tagIndex, shard, nowMs);
      }
    }
  }

  #sweepShard(tagIndex: number, shard: number, nowMs: number): void {
    const { users, sessions, options, ghostSecs } = this.#core;
    const table = users.table(tagIndex);
    const nowSecs = toSecs(nowMs);
    const oldSecs = nowSecs - Math.floor(options.userExpireSecs / 2);
    const expiredSecs = nowSecs - options.userExpireSecs;
    const old = new Set<number>();
    const expired = new Map<number, number>();
    const news: number[] = [];
    const ghosts: number[] = [];
    table.forEachInShard(shard, (userHash, word, stampSecs, announcedSecs) => {
      const state = assignmentState(word);
      if (state === AssignmentState.expired && stampSecs + ghostSecs <= expiredSecs) {
        ghosts.push(userHash);
      }
      if (state !== AssignmentState.assigned) return;
      if (stampSecs > announcedSecs + this.#announceSecs) news.push(userHash);
      if (stampSecs > oldSecs) return;
      old.add(userHash);
      if (stampSecs > expiredSecs) return;
      expired.set(userHash, word);
      users.mark(tagIndex, userHash, AssignmentState.expiring, assignedHost(word));
    });
    for (const userHash of ghosts) users.delete(tagIndex, userHash);
    if (old.size > 0) {
      const withSession = sessions.among(tagIndex, old);
      for (const userHash of withSession) {
        table.touch(userHash, nowSecs);
        news.push(userHash);
      }
      this.#settleExpired(tagIndex, expired, expiredSecs, withSession);
    }
    if (this.#core.ring.hasRight) this.#announce(tagIndex, news);
    table.shrink(shard);
  }

  #settleExpired(
    tagIndex: number,
    expired: ReadonlyMap<number, number>,
    expiredSecs: number,
    withSession: ReadonlySet<number>,
  ): void {
    const { users, ghostSecs } = this.#core;
    const table = users.table(tagIndex);
    for (const [userHash, word] of expired) {
      // A session that has left since the stamp was read has raised it before.
      const isYoung = table.stampSecs(userHash) > expiredSecs;
      const hostId = assignedHost(word);
      if (isYoung || withSession.has(userHash)) {
        users.mark(tagIndex, userHash, AssignmentState.assigned, hostId);
      } else if (ghostSecs > 0) {
        users.mark(tagIndex, userHash, AssignmentState.expired, hostId);
      } else {
        users.delete(tagIndex, userHash);
      }
    }
  }

  #announce(tagIndex: number, userHashes: readonly number[]): void {
    const table = this.#core.users.table(tagIndex);
    for (const userHash of userHashes) {
      const word = table.get(userHash);
      if (assignmentState(word) !== AssignmentState.assigned) continue;
      if (table.announcedSecs(userHash) === table.stampSecs(userHash)) continue;
      this.#core.announce(tagIndex, userHash, assignedHost(word));
    }
  }
}
