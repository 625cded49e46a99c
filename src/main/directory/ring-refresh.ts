import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import type { Kills } from './kills.ts';
import { SELF } from './ring-link.ts';
import type { WeakUsers } from './weak-users.ts';

/** A stamp further ahead of our clock than this is nobody's clock: it is not kept, and not passed on. */
const MAX_AHEAD_SECS = 300;

/** USER, U or USER-WEAK. */
export interface UserNews {
  readonly userHash: number;
  readonly host: Host;
  /** Unix seconds; null: an old director gave none. */
  readonly stampSecs: number | null;
  readonly isWeak: boolean;
  /** The last RingLink.barrier() that the neighbour it comes from has passed. */
  readonly barrier: number;
  /** The connection that it came by, never 0. */
  readonly via: number;
}

/** What the news made of the user. */
export interface UserOutcome {
  /** Others should hear of it. */
  readonly isNews: boolean;
  /** We know better than the sender, who shall hear that too. */
  readonly isObjection: boolean;
  readonly isWeak: boolean;
  readonly hostId: number;
  readonly stampSecs: number;
}

/**
 * Without a stamp, a user that was refreshed this recently is not refreshed again: else the same USER could
 * go round a slow ring for ever (DIRECTOR_SKIP_RECENT_REFRESH_MAX_SECS of 2.3.19.1).
 */
const SKIP_RECENT_MAX_SECS = 15;

/** What another director says of a user, and what becomes of it (director/director-connection.c). */
export class RingRefresh {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;
  readonly #weak: WeakUsers;

  constructor(core: DirectoryCore, kills: Kills, weak: WeakUsers) {
    this.#core = core;
    this.#kills = kills;
    this.#weak = weak;
  }

  /**
   * Null: the user has expired by what the sender says, or a question that we cannot answer now; it is
   * ignored, and asked again.
   */
  refresh(news: UserNews, nowMs: number): UserOutcome | null {
    const { users, options } = this.#core;
    const { userHash, host } = news;
    const { tagIndex } = host;
    const nowSecs = toSecs(nowMs);
    const isInsane = (news.stampSecs ?? 0) > nowSecs + MAX_AHEAD_SECS;
    const stampSecs = news.stampSecs === null || isInsane ? nowSecs : news.stampSecs;
    if (stampSecs + options.userExpireSecs <= nowSecs) return null;
    if (!news.isWeak && this.#core.staleNews.isOld(host, news)) return null;
    const table = users.table(tagIndex);
    const word = table.get(userHash);
    const state = assignmentState(word);
    const isNew = word === 0 || state === AssignmentState.expired;
    const before = { hostId: isNew ? 0 : assignedHost(word), stampSecs: table.stampSecs(userHash) };
    // Else a ghost would be news again and again, and go around for ever.
    if (state === AssignmentState.expired && this.#isOldGhost(news, before.stampSecs, nowMs))
      return null;
    const change = isNew
      ? this.#add(news, stampSecs, nowMs)
      : this.#meet(news, state, word, stampSecs, nowMs);
    if (change === 'unanswered') return null;
    if (change === 'passed') {
      const { hostId } = host;
      return { isNews: true, isObjection: false, isWeak: false, hostId, stampSecs };
    }
    const isRefreshed =
      !isNew &&
      !isInsane &&
      this.#isRefresh(news, before.stampSecs, stampSecs) &&
      change !== 'refused' &&
      // Ours would go on as news of the host that we move it to.
      (state !== AssignmentState.killing || before.hostId === host.hostId);
    if (isRefreshed) table.touch(userHash, stampSecs);
    const after = table.get(userHash);
    const outcome = {
      isNews: change !== 'none' || isRefreshed,
      isObjection: change === 'refused' || change === 'conflict',
      isWeak: assignmentState(after) === AssignmentState.weak,
      // A ghost may have none.
      hostId: assignedHost(after) || host.hostId,
      stampSecs: table.stampSecs(userHash),
    };
    if (outcome.isNews && !outcome.isWeak) table.setAnnounced(userHash, outcome.stampSecs);
    return outcome;
  }

  #isRefresh(news: UserNews, beforeSecs: number, stampSecs: number): boolean {
    if (stampSecs <= beforeSecs) return false;
    if (news.stampSecs !== null) return true;
    const quarter = Math.floor(this.#core.options.userExpireSecs / 4);
    return beforeSecs + Math.min(quarter, SKIP_RECENT_MAX_SECS) < stampSecs;
  }

  /** News that may be stale, of a user that we do not rely on anyway, and no newer than what we have of it. */
  #isOldGhost({ host, stampSecs, isWeak }: UserNews, beforeSecs: number, nowMs: number): boolean {
    if (isWeak || !this.#mayBeOld(host, nowMs)) return false;
    return stampSecs === null || stampSecs <= beforeSecs;
  }

  /** Where all members know BARRIER nobody passes old news on. */
  #mayBeOld(host: Host, nowMs: number): boolean {
    const { ring, staleNews } = this.#core;
    return !ring.allHaveBarriers && staleNews.mayBeOld(host, nowMs);
  }

  #add({ userHash, host, isWeak }: UserNews, stampSecs: number, nowMs: number): 'changed' {
    const { users } = this.#core;
    if (isWeak) {
      this.#weak.mark(host.tagIndex, userHash, host.hostId, nowMs);
      users.table(host.tagIndex).touch(userHash, stampSecs);
    } else if (this.#mayBeOld(host, nowMs)) {
      // With the stamp of the news: a later one would be news to the others, and go around for ever.
      this.#core.rememberUnsure(host.tagIndex, userHash, stampSecs);
    } else {
      users.assign(host.tagIndex, userHash, host.hostId, stampSecs);
    }
    // Logins may have waited: for a host, or for the ring.
    this.#core.wakeUser(host.tagIndex, userHash, nowMs);
    return 'changed';
  }

  /** The user is known here. */
  #meet(
    news: UserNews,
    state: number,
    word: number,
    stampSecs: number,
    nowMs: number,
  ): 'none' | 'changed' | 'refused' | 'conflict' | 'unanswered' | 'passed' {
    const { userHash, host } = news;
    const hostId = assignedHost(word);
    if (state === AssignmentState.weak) {
      if (news.isWeak) return this.#bothWeak(news, hostId, nowMs);
      this.#weak.settle(host.tagIndex, userHash, host.hostId, stampSecs, nowMs);
      return 'changed';
    }
    if (state === AssignmentState.killing) {
      // Whoever asks would let the user in at once.
      if (news.isWeak) return 'unanswered';
      // On its way to where its word says; the sender does not know of that yet.
      if (this.#kills.adopt(userHash, host)) return 'changed';
      // One that is being forgotten here: where the other has it all the same, it is unsure.
      const isPurged = this.#kills.isPurged(host.tagIndex, userHash);
      if (hostId === host.hostId && !isPurged) return 'none';
      const winner = this.#kills.winnerOf(host.tagIndex, userHash);
      if (winner !== undefined) return this.#conflict(news, winner.hostId, nowMs);
      if (this.#kills.isContradicted(host.tagIndex, userHash, news.barrier)) {
        return this.#conflict(news, hostId, nowMs);
      }
      return this.#kills.heard(news) ? 'passed' : 'none';
    }
    if (news.isWeak) return this.#becomeWeak(news, nowMs);
    if (hostId === host.hostId) return 'none';
    if (this.#isNearExpiry(host.tagIndex, userHash, nowMs) && this.#takeIfIdle(news, hostId)) {
      return 'changed';
    }
    return this.#conflict(news, hostId, nowMs);
  }

  /** Two directors ask at once: all come to the lower address, whichever they hear first. */
  #bothWeak({ userHash, host }: UserNews, hostId: number, nowMs: number): 'none' | 'changed' {
    const { hosts } = this.#core.current.hosts;
    const present = this.#core.current.hosts.byId(hostId);
    if (present === host) return 'none';
    if (present !== undefined && hosts.indexOf(present) < hosts.indexOf(host)) return 'none';
    this.#weak.mark(host.tagIndex, userHash, host.hostId, nowMs);
    return 'changed';
  }

  /** Refused if the user was here lately or is here now: then everybody takes over what we know. */
  #becomeWeak(news: UserNews, nowMs: number): 'changed' | 'refused' {
    const { userHash, host } = news;
    const table = this.#core.users.table(host.tagIndex);
    const nowSecs = toSecs(nowMs);
    const half = Math.floor(this.#core.options.userExpireSecs / 2);
    if (table.stampSecs(userHash) + half >= nowSecs) return 'refused';
    if (this.#weak.mark(host.tagIndex, userHash, host.hostId, nowMs)) return 'changed';
    table.touch(userHash, nowSecs);
    return 'refused';
  }

  #isNearExpiry(tagIndex: number, userHash: number, nowMs: number): boolean {
    const { options, nearSecs, users } = this.#core;
    const stampSecs = users.table(tagIndex).stampSecs(userHash);
    return stampSecs + options.userExpireSecs - nearSecs < toSecs(nowMs);
  }

  /** The other director had already forgotten the user; so can we, unless it has a session. */
  #takeIfIdle({ userHash, host }: UserNews, hostId: number): boolean {
    const { users, sessions } = this.#core;
    const { tagIndex } = host;
    users.mark(tagIndex, userHash, AssignmentState.expiring, hostId);
    const isIdle = !sessions.has(tagIndex, userHash);
    users.mark(tagIndex, userHash, AssignmentState.assigned, isIdle ? host.hostId : hostId);
    return isIdle;
  }

  /** The lower address wins, on every director. The loser's sessions are killed. */
  #conflict({ userHash, host }: UserNews, hostId: number, nowMs: number): 'conflict' {
    const { users, current, effects, ring } = this.#core;
    const { tagIndex } = host;
    const present = current.hosts.byId(hostId);
    const table = users.table(tagIndex);
    const oldIp = current.hosts.ip(hostId);
    effects.log(
      'error',
      `User hash ${userHash} is being redirected to two hosts: ${oldIp} and ${host.ip} ` +
        `(old_ts=${table.stampSecs(userHash)})`,
    );
    const { hosts } = current.hosts;
    const keeps = present !== undefined && hosts.indexOf(present) < hosts.indexOf(host);
    const winner = keeps ? present : host;
    ring.userKickHash(SELF, userHash, winner.ip);
    this.#kills.conflict(userHash, winner, nowMs);
    return 'conflict';
  }
}
