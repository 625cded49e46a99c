import { AssignmentState, assignedHost } from '../../shared/memory/assignment.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import { userKey } from './login-requests.ts';
import { type Origin, SELF } from './ring-link.ts';
import type { UserNews } from './ring-refresh.ts';
import { KillKind, KillState, type UserKill } from './user-kill.ts';
import { WorkerKicks } from './worker-kicks.ts';

/**
 * A move that takes longer does not wait for USER-KILLED any more (DIRECTOR_USER_MOVE_TIMEOUT_MSECS of
 * 2.3.19.1), but for a SYNC.
 */
export const MOVE_TIMEOUT_MS = 30_000;
/** A ring that does not become synced in this time is waited for no longer. */
export const MOVE_GIVE_UP_MS = 150_000;

/** News of one user that are passed on while it is being killed. */
const MAX_PASSED_ON = 8;

/**
 * Users whose sessions are being killed. For each: main has marked the word, tells the workers, and
 * waits until every worker has closed the user's sockets; a move then goes through the ring until
 * everybody has done the same; then user_kick_delay passes, and only then the user may log in.
 */
export class Kills {
  readonly #core: DirectoryCore;
  readonly #kills = new Map<number, UserKill>();
  readonly #workers: WorkerKicks<UserKill>;
  /** Moved users whose sessions here are closed; the neighbours may still send old news of them. */
  readonly #behindBarrier = new Set<UserKill>();
  #purges = 0;
  /** Users whose sockets are not all closed. */
  #open = 0;

  constructor(core: DirectoryCore) {
    this.#core = core;
    this.#workers = new WorkerKicks(core, (kills, nowMs) => this.#allClosed(kills, nowMs));
  }

  /** Users being killed. */
  get size(): number {
    return this.#kills.size;
  }

  /** Users of removed and flushed hosts are there, or any sessions still to be closed. */
  get isClosing(): boolean {
    return this.#purges > 0 || this.#open > 0;
  }

  stateOf(tagIndex: number, userHash: number): KillState | null {
    return this.#kills.get(userKey(tagIndex, userHash))?.state ?? null;
  }

  /** All users are forgotten, and nobody has a session. */
  clear(): void {
    this.#kills.clear();
    this.#behindBarrier.clear();
    this.#workers.clear();
    this.#purges = 0;
    this.#open = 0;
  }

  /** The user is being forgotten, because its host was removed or flushed. */
  isPurged(tagIndex: number, userHash: number): boolean {
    return this.#kills.get(userKey(tagIndex, userHash))?.kind === KillKind.purge;
  }

  /**
   * Moves a user, whatever it is doing. The caller has told nobody yet.
   * @returns true when the move was done at once: no session, and nobody else to ask
   */
  move(origin: Origin, userHash: number, host: Host, nowMs: number): boolean {
    const { users, ring, sessions, options } = this.#core;
    const { tagIndex, hostId } = host;
    const table = users.table(tagIndex);
    const word = table.get(userHash);
    const known = this.#kills.get(userKey(tagIndex, userHash));
    const target = known === undefined ? host : this.#agreedTarget(known, host, origin);
    const oldHost = this.#core.current.hosts.byId(assignedHost(word)) ?? null;
    const stampSecs = table.stampSecs(userHash);
    // First the word, then the registries: whoever reads the old host is found.
    users.put(tagIndex, userHash, AssignmentState.killing, target.hostId, toSecs(nowMs));
    table.setAnnounced(userHash, toSecs(nowMs));
    ring.userMove(origin, userHash, host.ip);
    if (target !== host) ring.userMove(SELF, userHash, target.ip);
    const barrier = ring.barrier();
    this.#tell(KillKind.move, { tagIndex, userHash, word, target, origin });
    if (known !== undefined) {
      known.barrier = barrier;
      this.#moveAgain(known, origin, target, nowMs);
      return false;
    }
    const isElsewhere = oldHost !== target;
    const isServed =
      sessions.has(tagIndex, userHash) ||
      (isElsewhere && this.#core.wasSeenJustNow(stampSecs, nowMs));
    // The script is run for users without sessions as well: their old backend may know them still.
    const hasScript = options.hasFlushScript === true && oldHost !== null;
    if (!isServed && ring.isAlone && !hasScript) {
      users.assign(tagIndex, userHash, hostId, toSecs(nowMs));
      this.#core.wakeUser(tagIndex, userHash, nowMs);
      return true;
    }
    const kill = this.#add(tagIndex, userHash, KillKind.move, origin.isSelf, oldHost, nowMs);
    kill.barrier = barrier;
    kill.isUnsure = this.#mayBeStale(origin, host);
    this.#doubtTwins(kill, nowMs);
    if (isServed) this.#tellWorkers([kill], isElsewhere ? 0 : hostId, nowMs);
    else this.#closed(kill, nowMs);
    return false;
  }

  /** The director that ordered it may hear only now that the host's users were forgotten. */
  #mayBeStale(origin: Origin, host: Host): boolean {
    return !origin.isSelf && this.#core.staleNews.mayCross(host);
  }

  /** A user whose sessions are being killed is moved by another order. */
  #moveAgain(kill: UserKill, origin: Origin, target: Host, nowMs: number): void {
    if (this.#mayBeStale(origin, target)) kill.isUnsure = true;
    if (kill.kind === KillKind.move) {
      // Two members have begun a round of USER-KILLED, and each would take the other's for its own.
      kill.isDoubtful = true;
    } else {
      this.#leavePurge(kill);
      kill.kind = KillKind.move;
      kill.isOurs = origin.isSelf;
      this.#doubtTwins(kill, nowMs);
    }
    this.#beginAnew(kill);
    if (kill.exceptHostId !== 0 && kill.exceptHostId !== target.hostId) {
      this.#tellWorkers([kill], 0, nowMs);
    } else if (kill.openBatches === 0) {
      this.#closed(kill, nowMs);
    }
    this.#released(nowMs);
  }

  /** Whatever state it is in: from now on sessions are closed (again), and then the others are asked. */
  #beginAnew(kill: UserKill): void {
    kill.state = KillState.killing;
    kill.awaitsSync = false;
    kill.readyMs = Number.POSITIVE_INFINITY;
  }

  /**
   * Users of these hosts are forgotten; this one is being killed. If it was to go to one of them, others may
   * hear of both in the other order. Its sessions there, left alone till now, are closed.
   */
  hostsPurged(
    tagIndex: number,
    userHash: number,
    hostIds: ReadonlySet<number>,
    nowMs: number,
  ): void {
    const kill = this.#kills.get(userKey(tagIndex, userHash));
    if (kill === undefined || kill.kind === KillKind.purge) return;
    const word = this.#core.users.table(tagIndex).get(userHash);
    if (hostIds.has(assignedHost(word))) kill.isUnsure = true;
    if (!hostIds.has(kill.exceptHostId)) return;
    // The others may have been told that we have none.
    kill.isDoubtful = true;
    this.#beginAnew(kill);
    this.#tellWorkers([kill], 0, nowMs);
  }

  /**
   * Another director has the user, which is being forgotten here, or of which we are unsure.
   * @returns true when those behind us shall hear of that: they may be sure of something else. Once.
   */
  heard({ userHash, host, stampSecs, barrier }: UserNews): boolean {
    const kill = this.#kills.get(userKey(host.tagIndex, userHash));
    if (kill === undefined) return false;
    if (kill.kind === KillKind.purge) kill.isUnsure = true;
    if (!kill.isUnsure || !isFresh(kill, barrier) || kill.passedOn.size === MAX_PASSED_ON)
      return false;
    const isFirst = !kill.passedOn.has(`${host.hostId} ${stampSecs}`);
    kill.passedOn.add(`${host.hostId} ${stampSecs}`);
    return isFirst;
  }

  /**
   * Another director says another host of a user that is moved, and it is not that it has not heard of the move
   * yet: it has joined since, or has answered the barrier behind the order.
   */
  isContradicted(tagIndex: number, userHash: number, newsBarrier: number): boolean {
    const kill = this.#kills.get(userKey(tagIndex, userHash));
    // Who is unsure has nothing to set against it, and will ask.
    if (kill?.kind !== KillKind.move || kill.isUnsure) return false;
    const isKnown = kill.neighbourChanges === this.#core.ring.neighbourChanges;
    return !isKnown || isFresh(kill, newsBarrier);
  }

  /** A move to a host that is not there, any more or yet. No tag is known: each tag's user is meant. */
  moveToUnknown(userHash: number, nowMs: number): void {
    const { users, sessions } = this.#core;
    for (let tagIndex = 0; tagIndex < users.tagCount; tagIndex++) {
      const table = users.table(tagIndex);
      const word = table.get(userHash);
      const known = this.#kills.get(userKey(tagIndex, userHash));
      if (known !== undefined) {
        known.isUnsure = true;
        continue;
      }
      const stampSecs = table.stampSecs(userHash);
      users.put(tagIndex, userHash, AssignmentState.killing, assignedHost(word), stampSecs);
      if (sessions.has(tagIndex, userHash) || this.#core.wasSeenJustNow(stampSecs, nowMs)) {
        this.purge(tagIndex, [userHash], nowMs);
        this.#kills.get(userKey(tagIndex, userHash))!.isUnsure = true;
      } else {
        this.#core.rememberUnsure(tagIndex, userHash, toSecs(nowMs));
        this.#core.wakeUser(tagIndex, userHash, nowMs);
      }
    }
  }

  /**
   * Two directors move one user at once: both, and all others, come to the lower address. (In Dovecot
   * each takes the move that it heard last, and they end up apart.)
   */
  #agreedTarget(known: UserKill, host: Host, origin: Origin): Host {
    const { hosts } = this.#core.current;
    const word = this.#core.users.table(known.tagIndex).get(known.userHash);
    const present = hosts.byId(assignedHost(word));
    const isFree = origin.isSelf || known.kind !== KillKind.move || present?.tag !== host.tag;
    if (isFree || present === undefined) return host;
    const { hosts: sorted } = hosts;
    return sorted.indexOf(present) < sorted.indexOf(host) ? present : host;
  }

  /** Kills the users of a removed or flushed host that have (or just had) a session. */
  purge(tagIndex: number, userHashes: readonly number[], nowMs: number): void {
    const kills = userHashes.map((userHash) => {
      const word = this.#core.users.table(tagIndex).get(userHash);
      this.#tell(KillKind.purge, { tagIndex, userHash, word, target: null, origin: null });
      return this.#add(tagIndex, userHash, KillKind.purge, false, null, nowMs);
    });
    this.#purges += kills.length;
    this.#tellWorkers(kills, 0, nowMs);
  }

  /**
   * Directors have had the user on two hosts, and this one prevails: its sessions elsewhere are killed. Nobody
   * logs in before every director has done that, not even where nothing changes. (In Dovecot each lets
   * the user in when its own sessions are closed.)
   */
  conflict(userHash: number, host: Host, nowMs: number): void {
    const { tagIndex, hostId } = host;
    const { users, sessions } = this.#core;
    const table = users.table(tagIndex);
    const word = table.get(userHash);
    const isElsewhere = assignedHost(word) !== hostId;
    this.#tell(KillKind.conflict, { tagIndex, userHash, word, target: host, origin: null });
    const stampSecs = table.stampSecs(userHash);
    users.put(tagIndex, userHash, AssignmentState.killing, hostId, stampSecs || toSecs(nowMs));
    const kill =
      this.#kills.get(userKey(tagIndex, userHash)) ??
      this.#add(tagIndex, userHash, KillKind.conflict, false, null, nowMs);
    this.#leavePurge(kill);
    kill.kind = KillKind.conflict;
    this.#beginAnew(kill);
    // The SYNC that ends this goes behind it on every director.
    kill.barrier = this.#core.ring.barrier();
    const isServed =
      sessions.has(tagIndex, userHash) ||
      (isElsewhere && this.#core.wasSeenJustNow(stampSecs, nowMs));
    if (isServed) this.#tellWorkers([kill], hostId, nowMs);
    else if (kill.openBatches === 0) this.#closed(kill, nowMs);
  }

  /**
   * The host that a moved user was to go to is gone. Another director has forgotten the user sooner than we
   * and has placed it anew: it goes there, for us too. False: our target is there, and stays.
   */
  adopt(userHash: number, host: Host): boolean {
    const { tagIndex, hostId } = host;
    const { users, current } = this.#core;
    const kill = this.#kills.get(userKey(tagIndex, userHash));
    const target = current.hosts.byId(assignedHost(users.table(tagIndex).get(userHash)));
    if (kill === undefined || kill.kind === KillKind.purge) return false;
    if (target?.tagIndex === tagIndex) return false;
    users.mark(tagIndex, userHash, AssignmentState.killing, hostId);
    return true;
  }

  /** The host that a conflict is being resolved to; undefined: there is none, or another kill. */
  winnerOf(tagIndex: number, userHash: number): Host | undefined {
    const kill = this.#kills.get(userKey(tagIndex, userHash));
    if (kill?.kind !== KillKind.conflict) return undefined;
    return this.#core.current.hosts.byId(
      assignedHost(this.#core.users.table(tagIndex).get(userHash)),
    );
  }

  /** For whoever keeps a record of what happens to users. */
  #tell(
    kind: KillKind,
    facts: {
      readonly tagIndex: number;
      readonly userHash: number;
      /** As it was before. */
      readonly word: number;
      readonly target: Host | null;
      readonly origin: Origin | null;
    },
  ): void {
    const { tagIndex, userHash, word, target, origin } = facts;
    const oldHostId = assignedHost(word);
    const newHostId = target?.hostId ?? 0;
    this.#core.effects.moving?.({ kind, tagIndex, userHash, oldHostId, newHostId, origin });
  }

  #add(
    tagIndex: number,
    userHash: number,
    kind: KillKind,
    isOurs: boolean,
    old: UserKill['old'],
    nowMs: number,
  ): UserKill {
    const kill: UserKill = {
      tagIndex,
      userHash,
      kind,
      state: KillState.killing,
      isOurs,
      old: old === null ? null : { ip: old.ip, isDown: old.isDown, vhostCount: old.vhostCount },
      openBatches: 0,
      exceptHostId: 0,
      isDoubtful: false,
      isUnsure: false,
      passedOn: new Set(),
      awaitsSync: false,
      neighbourChanges: this.#core.ring.neighbourChanges,
      barrier: 0,
      createdMs: nowMs,
      readyMs: Number.POSITIVE_INFINITY,
    };
    this.#kills.set(userKey(tagIndex, userHash), kill);
    return kill;
  }

  #leavePurge(kill: UserKill): void {
    if (kill.kind === KillKind.purge) this.#purges--;
  }

  /** SYNCs that were held back until sessions are closed may go on. */
  #released(nowMs: number): void {
    if (!this.isClosing) this.#core.ring.purged(nowMs);
  }

  /** USER-KILLED does not say which tag's user it is about. */
  #doubtTwins(kill: UserKill, nowMs: number): void {
    for (const other of this.#withHash(kill.userHash)) {
      if (other === kill || other.kind !== KillKind.move) continue;
      other.isDoubtful = true;
      kill.isDoubtful = true;
      this.#doubtRound(other, nowMs);
    }
  }

  /** It has told the others already, and waits for a round that says nothing now. */
  #doubtRound(kill: UserKill, nowMs: number): void {
    const isWaiting =
      kill.state === KillState.waitingForEveryone || kill.state === KillState.waitingForNotify;
    if (isWaiting && kill.openBatches === 0 && !kill.awaitsSync) this.#awaitSync(kill, nowMs);
  }

  *#withHash(userHash: number): Generator<UserKill> {
    for (let tagIndex = 0; tagIndex < this.#core.users.tagCount; tagIndex++) {
      const kill = this.#kills.get(userKey(tagIndex, userHash));
      if (kill !== undefined) yield kill;
    }
  }

  #tellWorkers(kills: readonly UserKill[], exceptHostId: number, nowMs: number): void {
    for (const kill of kills) {
      kill.exceptHostId = exceptHostId;
      if (kill.openBatches++ === 0) this.#open++;
    }
    this.#workers.order(kills, exceptHostId, nowMs);
  }

  /** A worker has closed all sessions of an order. */
  acknowledge(killId: number, workerId: number, nowMs: number): void {
    this.#workers.acknowledge(killId, workerId, nowMs);
  }

  /** A worker is gone, and its sockets with it: that acknowledges everything. */
  workerGone(workerId: number, nowMs: number): void {
    this.#workers.workerGone(workerId, nowMs);
  }

  #allClosed(kills: readonly UserKill[], nowMs: number): void {
    for (const kill of kills) {
      if (--kill.openBatches > 0) continue;
      this.#open--;
      this.#closed(kill, nowMs);
    }
    this.#released(nowMs);
  }

  /** Our own sessions of the user are closed. */
  #closed(kill: UserKill, nowMs: number): void {
    switch (kill.kind) {
      case KillKind.move:
        this.#killedHere(kill, kill.isOurs, nowMs);
        break;
      case KillKind.conflict:
        if (this.#core.ring.isAlone) this.#startDelay(kill, nowMs);
        else this.#awaitSync(kill, nowMs);
        break;
      case KillKind.purge:
        this.#startDelay(kill, nowMs);
        break;
    }
  }

  #killedHere(kill: UserKill, isFirst: boolean, nowMs: number): void {
    const { ring } = this.#core;
    if (ring.isAlone) {
      this.#flush(kill, nowMs);
    } else if (kill.isDoubtful) {
      this.#awaitSync(kill, nowMs);
    } else if (!ring.hasPassed(kill.barrier)) {
      // Old news of it could come when all is over, and undo the move.
      this.#behindBarrier.add(kill);
    } else if (isFirst || kill.state === KillState.notifyReceived) {
      kill.state = KillState.waitingForEveryone;
      ring.userKilled(kill.userHash);
    } else {
      kill.state = KillState.waitingForNotify;
    }
  }

  /** The neighbours have passed more barriers. */
  barriersPassed(nowMs: number): void {
    for (const kill of this.#behindBarrier) {
      const { tagIndex, userHash, state, openBatches } = kill;
      const isThere = this.#kills.get(userKey(tagIndex, userHash)) === kill;
      const isWaiting = state === KillState.killing || state === KillState.notifyReceived;
      if (isThere && isWaiting && openBatches === 0) {
        if (!this.#core.ring.hasPassed(kill.barrier)) continue;
        this.#behindBarrier.delete(kill);
        this.#closed(kill, nowMs);
      } else {
        this.#behindBarrier.delete(kill);
      }
    }
  }

  /** USER-KILLED: the director to our left, and all before it, have closed the user's sessions. */
  userKilled(userHash: number, nowMs: number): void {
    const { ring } = this.#core;
    for (const kill of [...this.#withHash(userHash)]) {
      if (kill.kind !== KillKind.move || kill.isDoubtful) continue;
      switch (kill.state) {
        case KillState.killing:
          kill.state = KillState.notifyReceived;
          break;
        case KillState.notifyReceived:
          break;
        case KillState.waitingForNotify:
          this.#killedHere(kill, true, nowMs);
          break;
        case KillState.waitingForEveryone:
          this.#killedEverywhere(SELF, kill, nowMs);
          break;
        case KillState.flushing:
        case KillState.delay:
          // They may wait for a round that is over: tell them.
          ring.userKilledEverywhere(SELF, userHash);
          break;
      }
    }
  }

  /** USER-KILLED-EVERYWHERE: every director has closed the user's sessions. */
  userKilledEverywhere(origin: Origin, userHash: number, nowMs: number): void {
    for (const kill of [...this.#withHash(userHash)]) {
      const isWaiting = kill.state === KillState.waitingForEveryone && !kill.isDoubtful;
      if (kill.kind === KillKind.move && isWaiting) this.#killedEverywhere(origin, kill, nowMs);
    }
  }

  #killedEverywhere(origin: Origin, kill: UserKill, nowMs: number): void {
    this.#flush(kill, nowMs);
    this.#core.ring.userKilledEverywhere(origin, kill.userHash);
  }

  /** Only the director that ordered the move runs the script, and only for a user that was somewhere. */
  #flush(kill: UserKill, nowMs: number): void {
    const { options, effects, current, users } = this.#core;
    const { tagIndex, userHash, old } = kill;
    const target = current.hosts.byId(assignedHost(users.table(tagIndex).get(userHash)));
    const isWanted = options.hasFlushScript === true && kill.isOurs;
    if (!isWanted || old === null || target === undefined) {
      this.#startDelay(kill, nowMs);
      return;
    }
    kill.state = KillState.flushing;
    effects.flush({
      tagIndex,
      userHash,
      oldIp: old.ip,
      oldIsDown: old.isDown,
      oldVhostCount: old.vhostCount,
      newIp: target.ip,
      newHostname: target.hostname,
    });
  }

  /** The script has ended. If it says that all is well, user_kick_delay need not pass. */
  flushed(tagIndex: number, userHash: number, isWell: boolean, nowMs: number): void {
    const kill = this.#kills.get(userKey(tagIndex, userHash));
    if (kill?.state !== KillState.flushing) return;
    if (isWell) this.#finish(kill, nowMs);
    else this.#startDelay(kill, nowMs);
  }

  #startDelay(kill: UserKill, nowMs: number): void {
    kill.state = KillState.delay;
    kill.readyMs = nowMs + this.#core.options.userKickDelayMs;
  }

  #finish(kill: UserKill, nowMs: number): void {
    const { tagIndex, userHash } = kill;
    const { users, current, sessions } = this.#core;
    this.#kills.delete(userKey(tagIndex, userHash));
    const word = users.table(tagIndex).get(userHash);
    // The target may have been removed meanwhile, or be back with another tag, where this user does
    // not belong: then the ring decides at the next login.
    const target = current.hosts.byId(assignedHost(word));
    const isUsable = kill.kind !== KillKind.purge && target?.tagIndex === tagIndex;
    const isServed = kill.exceptHostId !== 0 && sessions.has(tagIndex, userHash);
    const isUnsure = kill.isUnsure && !isServed && this.#core.ghostSecs > 0;
    if (isUnsure) this.#core.rememberUnsure(tagIndex, userHash, toSecs(nowMs));
    else if (isUsable) this.#settle(kill, target.hostId, nowMs);
    else users.delete(tagIndex, userHash);
    this.#leavePurge(kill);
    if (kill.kind === KillKind.purge) this.#released(nowMs);
    this.#core.wakeUser(tagIndex, userHash, nowMs);
  }

  #settle(kill: UserKill, hostId: number, nowMs: number): void {
    const { users, ring } = this.#core;
    users.assign(kill.tagIndex, kill.userHash, hostId, toSecs(nowMs));
    // Whoever has joined since may have it elsewhere: the lower address prevails then.
    const isKnown = kill.neighbourChanges === ring.neighbourChanges;
    if (!ring.hasRight || (kill.kind !== KillKind.conflict && isKnown)) return;
    this.#core.announce(kill.tagIndex, kill.userHash, hostId);
  }

  /** Our SYNC has been everywhere, and nobody lets it pass while he closes sessions; or we are alone. */
  synced(nowMs: number): void {
    const { ring } = this.#core;
    for (const kill of [...this.#kills.values()]) {
      const isWaiting =
        kill.state === KillState.waitingForEveryone || kill.state === KillState.waitingForNotify;
      if (!isWaiting || kill.openBatches > 0) continue;
      if (kill.kind === KillKind.conflict) this.#startDelay(kill, nowMs);
      else if (ring.isAlone) this.#flush(kill, nowMs);
      else if (kill.awaitsSync) this.#killedEverywhere(SELF, kill, nowMs);
    }
  }

  /**
   * USER-KILLED has not come around, or says nothing: a SYNC finds out. It goes behind the order of the
   * move, and every director holds it back while it closes sessions. (In Dovecot the user is let in.)
   */
  #awaitSync(kill: UserKill, nowMs: number): void {
    kill.state = KillState.waitingForEveryone;
    kill.awaitsSync = true;
    this.#core.ring.desync(nowMs);
  }

  tick(nowMs: number): void {
    for (const kill of this.#kills.values()) {
      if (kill.readyMs <= nowMs) this.#finish(kill, nowMs);
      else if (kill.kind !== KillKind.purge) this.#checkTime(kill, nowMs);
    }
    this.#workers.tick(nowMs);
  }

  /** The user is never let in while a session of our own is still open. */
  #checkTime(kill: UserKill, nowMs: number): void {
    const { state, createdMs } = kill;
    const isEnding = state === KillState.delay || state === KillState.flushing;
    if (isEnding || kill.openBatches > 0 || createdMs + MOVE_TIMEOUT_MS > nowMs) return;
    if (!kill.awaitsSync) {
      this.#awaitSync(kill, nowMs);
    } else if (createdMs + MOVE_GIVE_UP_MS <= nowMs) {
      this.#core.effects.log(
        'error',
        `Finishing user ${kill.userHash} ${kill.kind} timed out, its state may now be inconsistent (state=${state})`,
      );
      this.#startDelay(kill, nowMs);
    }
  }
}

/** The neighbour that the news comes from has passed the barrier of the order; of those that know none it is not known. */
function isFresh(kill: UserKill, newsBarrier: number): boolean {
  return newsBarrier >= kill.barrier && newsBarrier !== Number.POSITIVE_INFINITY;
}
