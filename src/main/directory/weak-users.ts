import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import { userKey } from './login-requests.ts';
import { SELF } from './ring-link.ts';

/** Nothing is weak for longer: the directors that were asking are gone (DIRECTOR_REQUEST_TIMEOUT_SECS). */
export const WEAK_TIMEOUT_MS = 30_000;

/** A question that does not come back is asked again: a director gives no answer while it kills the user. */
const ASK_AGAIN_MS = 5000;

interface WeakUser {
  readonly tagIndex: number;
  readonly userHash: number;
  sinceMs: number;
  sentMs: number;
  /** We asked the ring; when our USER-WEAK has been everywhere, the user is ours to place. */
  isOurs: boolean;
}

/**
 * Users on whose host the directors are agreeing: near or behind their expiry here, so that another
 * director may hold them differently. None of them may log in anywhere until that is done.
 */
export class WeakUsers {
  readonly #core: DirectoryCore;
  readonly #weak = new Map<number, WeakUser>();

  constructor(core: DirectoryCore) {
    this.#core = core;
  }

  get size(): number {
    return this.#weak.size;
  }

  /**
   * Asks the ring whether the user may go to the host. False: it has a session here after all, and
   * nothing was changed.
   */
  ask(tagIndex: number, userHash: number, hostId: number, nowMs: number): boolean {
    if (!this.mark(tagIndex, userHash, hostId, nowMs)) return false;
    const weak = this.#weak.get(userKey(tagIndex, userHash))!;
    weak.isOurs = true;
    this.#send(weak, nowMs);
    return true;
  }

  /** Makes the user weak. False: it has a session here, and nothing was changed. */
  mark(tagIndex: number, userHash: number, hostId: number, nowMs: number): boolean {
    const { users, sessions } = this.#core;
    const table = users.table(tagIndex);
    const word = table.get(userHash);
    if (assignmentState(word) === AssignmentState.assigned) {
      // Marked first, looked for second: see session-registry.ts.
      users.mark(tagIndex, userHash, AssignmentState.weak, assignedHost(word));
      if (sessions.has(tagIndex, userHash)) {
        users.mark(tagIndex, userHash, AssignmentState.assigned, assignedHost(word));
        return false;
      }
    }
    const stampSecs = word === 0 ? toSecs(nowMs) : table.stampSecs(userHash);
    users.put(tagIndex, userHash, AssignmentState.weak, hostId, stampSecs);
    const key = userKey(tagIndex, userHash);
    const known = this.#weak.get(key);
    if (known === undefined) {
      this.#weak.set(key, { tagIndex, userHash, sinceMs: nowMs, sentMs: nowMs, isOurs: false });
    }
    return true;
  }

  /** A weak user whose asker does not come back: we ask in its place. */
  askAgain(tagIndex: number, userHash: number, nowMs: number): void {
    const weak = this.#weak.get(userKey(tagIndex, userHash));
    if (weak === undefined || weak.isOurs || nowMs - weak.sinceMs < WEAK_TIMEOUT_MS / 2) return;
    weak.sinceMs = nowMs;
    this.takeOver(tagIndex, userHash);
    this.#send(weak, nowMs);
  }

  /** A USER-WEAK whose sender is no member any more travels on as ours. */
  takeOver(tagIndex: number, userHash: number): void {
    const weak = this.#weak.get(userKey(tagIndex, userHash));
    if (weak !== undefined) weak.isOurs = true;
  }

  /**
   * Our USER-WEAK has been to every member and nobody objected: the user is placed. If another one who asks
   * wanted a lower host, it comes back with that, and goes around once more. (In Dovecot the user is placed on
   * the host that was asked for, by each of them on another.)
   */
  travelled(userHash: number, host: Host, nowMs: number): void {
    const { tagIndex } = host;
    const weak = this.#weak.get(userKey(tagIndex, userHash));
    const word = this.#core.users.table(tagIndex).get(userHash);
    if (!weak?.isOurs || assignmentState(word) !== AssignmentState.weak) return;
    const hostId = assignedHost(word);
    if (host.hostId !== hostId) {
      const { hosts } = this.#core.current;
      const present = hosts.byId(hostId);
      const isLower =
        present === undefined || hosts.hosts.indexOf(host) < hosts.hosts.indexOf(present);
      if (isLower) this.#core.users.mark(tagIndex, userHash, AssignmentState.weak, host.hostId);
      this.#send(weak, nowMs);
      return;
    }
    this.settle(tagIndex, userHash, hostId, toSecs(nowMs), nowMs);
    this.#core.announce(tagIndex, userHash, hostId);
  }

  /** The user is weak no more. */
  settle(
    tagIndex: number,
    userHash: number,
    hostId: number,
    stampSecs: number,
    nowMs: number,
  ): void {
    this.#weak.delete(userKey(tagIndex, userHash));
    this.#core.users.assign(tagIndex, userHash, hostId, stampSecs);
    this.#core.wakeUser(tagIndex, userHash, nowMs);
  }

  /** What we asked may have been lost while the ring was apart. */
  ringSynced(nowMs: number): void {
    for (const weak of this.#weak.values()) {
      if (!weak.isOurs) continue;
      weak.sinceMs = nowMs;
      this.#send(weak, nowMs);
    }
  }

  #send(weak: WeakUser, nowMs: number): void {
    const { tagIndex, userHash } = weak;
    weak.sentMs = nowMs;
    const word = this.#core.users.table(tagIndex).get(userHash);
    if (assignmentState(word) !== AssignmentState.weak) return;
    this.#core.ring.userWeak(SELF, userHash, this.#core.current.hosts.ip(assignedHost(word)));
  }

  /**
   * Nobody has settled the user: what we know of it is not to be relied on, and whoever logs it in asks
   * again. (In Dovecot such a user stays weak until it expires.)
   */
  tick(nowMs: number): void {
    const againMs = Math.max(ASK_AGAIN_MS, 2 * this.#core.ring.freeSyncRoundMs);
    for (const [key, weak] of this.#weak) {
      const { tagIndex, userHash, sinceMs } = weak;
      const word = this.#core.users.table(tagIndex).get(userHash);
      if (assignmentState(word) !== AssignmentState.weak) {
        this.#weak.delete(key);
      } else if (nowMs - sinceMs >= WEAK_TIMEOUT_MS || this.#core.ring.isAlone) {
        this.#weak.delete(key);
        // Without the host that was only asked about: it must be asked about again.
        this.#core.users.mark(tagIndex, userHash, AssignmentState.expired, 0);
        this.#core.wakeUser(tagIndex, userHash, nowMs);
      } else if (weak.isOurs && nowMs - weak.sentMs >= againMs) {
        this.#send(weak, nowMs);
      }
    }
  }
}
