import { AssignmentState, assignedHost } from '../../shared/memory/assignment.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host } from './host-set.ts';
import { userKey } from './login-requests.ts';
import { type Origin, SELF } from './ring-link.ts';

/** A move that takes longer is given up (DIRECTOR_USER_MOVE_TIMEOUT_MSECS of 2.3.19.1). */
export const MOVE_TIMEOUT_MS = 30_000;
/** A worker that has not closed a kicked session by then hangs, and is ended. */
export const KICK_TIMEOUT_MS = 20_000;

export const KillKind = {
  /** Ordered by somebody; every director of the ring kills the user's sessions and says so. */
  move: 'move',
  /** The user's host was removed or flushed: forgotten when its sessions here are closed. */
  purge: 'purge',
  /** Another director knew another host for the user, and that one prevails. */
  conflict: 'conflict',
} as const;
export type KillKind = (typeof KillKind)[keyof typeof KillKind];

/** Dovecot's states and names (director/director.c of 2.3.19.1). */
export const KillState = {
  killing: 'killing',
  notifyReceived: 'notify-received',
  waitingForNotify: 'waiting-for-notify',
  waitingForEveryone: 'waiting-for-everyone',
  flushing: 'flushing',
  delay: 'delay',
} as const;
export type KillState = (typeof KillState)[keyof typeof KillState];

/** One user whose sessions are being killed; its word in the table says `killing`. */
interface UserKill {
  readonly tagIndex: number;
  readonly userHash: number;
  kind: KillKind;
  state: KillState;
  /** We ordered the move: we run the flush script, and start the round of USER-KILLED. */
  isOurs: boolean;
  /** Where the user came from, for the flush script. */
  readonly old: {
    readonly ip: string;
    readonly isDown: boolean;
    readonly vhostCount: number;
  } | null;
  /** All workers have closed the user's sockets. */
  isClosed: boolean;
  /** Another tag's user with the same hash is moved as well: USER-KILLED does not say whose it is. */
  isAmbiguous: boolean;
  /** When a move is given up. */
  deadlineMs: number;
  /** When user_kick_delay is over; Infinity before it has begun. */
  readyMs: number;
}

interface Batch {
  readonly kills: readonly UserKill[];
  readonly waitingFor: Set<number>;
  readonly hangMs: number;
}

/**
 * Users whose sessions are being killed. For each: main has marked the word, tells the workers, and
 * waits until every worker has closed the user's sockets; a move then goes through the ring until
 * everybody has done the same; then user_kick_delay passes, and only then the user may log in.
 */
export class Kills {
  readonly #core: DirectoryCore;
  readonly #kills = new Map<number, UserKill>();
  readonly #batches = new Map<number, Batch>();
  #purges = 0;

  constructor(core: DirectoryCore) {
    this.#core = core;
  }

  /** Users being killed. */
  get size(): number {
    return this.#kills.size;
  }

  /** Users of removed and flushed hosts among them. */
  get purgeCount(): number {
    return this.#purges;
  }

  stateOf(tagIndex: number, userHash: number): KillState | null {
    return this.#kills.get(userKey(tagIndex, userHash))?.state ?? null;
  }

  /**
   * Moves a user, whatever it is doing. The caller has told nobody yet.
   * @returns true when the move was done at once: no session, and nobody else to ask
   */
  move(origin: Origin, userHash: number, host: Host, nowMs: number): boolean {
    const { users, ring, sessions } = this.#core;
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
    if (known !== undefined) {
      if (known.kind !== KillKind.move) this.#becomeMove(known, origin, nowMs);
      return false;
    }
    const isElsewhere = oldHost !== target;
    const isServed =
      sessions.has(tagIndex, userHash) ||
      (isElsewhere && this.#core.wasSeenJustNow(stampSecs, nowMs));
    if (!isServed && ring.isAlone) {
      users.assign(tagIndex, userHash, hostId, toSecs(nowMs));
      this.#core.wakeUser(tagIndex, userHash, nowMs);
      return true;
    }
    const kill = this.#add(tagIndex, userHash, KillKind.move, origin.isSelf, oldHost, nowMs);
    this.#markAmbiguous(kill);
    if (isServed) this.#tellWorkers([kill], isElsewhere ? 0 : hostId, nowMs);
    else this.#closed(kill, nowMs);
    return false;
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
      return this.#add(tagIndex, userHash, KillKind.purge, false, null, nowMs);
    });
    this.#purges += kills.length;
    this.#tellWorkers(kills, 0, nowMs);
  }

  /** The user goes to the host that its word names; sessions elsewhere are killed first. */
  conflict(tagIndex: number, userHash: number, hostId: number, nowMs: number): void {
    const kill = this.#add(tagIndex, userHash, KillKind.conflict, false, null, nowMs);
    this.#tellWorkers([kill], hostId, nowMs);
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
      isClosed: false,
      isAmbiguous: false,
      deadlineMs: nowMs + MOVE_TIMEOUT_MS,
      readyMs: Number.POSITIVE_INFINITY,
    };
    this.#kills.set(userKey(tagIndex, userHash), kill);
    return kill;
  }

  /** A user that we are killing for reasons of our own is moved by order: the ring takes part now. */
  #becomeMove(kill: UserKill, origin: Origin, nowMs: number): void {
    this.#leavePurge(kill, nowMs);
    kill.kind = KillKind.move;
    kill.isOurs = origin.isSelf;
    kill.state = KillState.killing;
    kill.deadlineMs = nowMs + MOVE_TIMEOUT_MS;
    kill.readyMs = Number.POSITIVE_INFINITY;
    this.#markAmbiguous(kill);
    if (kill.isClosed) this.#closed(kill, nowMs);
  }

  #leavePurge(kill: UserKill, nowMs: number): void {
    if (kill.kind !== KillKind.purge) return;
    this.#purges--;
    if (this.#purges === 0) this.#core.ring.purged(nowMs);
  }

  /** Then neither trusts USER-KILLED, and both end by their time limit. */
  #markAmbiguous(kill: UserKill): void {
    for (const other of this.#withHash(kill.userHash)) {
      if (other === kill || other.kind !== KillKind.move) continue;
      other.isAmbiguous = true;
      kill.isAmbiguous = true;
    }
  }

  *#withHash(userHash: number): Generator<UserKill> {
    for (let tagIndex = 0; tagIndex < this.#core.users.tagCount; tagIndex++) {
      const kill = this.#kills.get(userKey(tagIndex, userHash));
      if (kill !== undefined) yield kill;
    }
  }

  #tellWorkers(kills: readonly UserKill[], exceptHostId: number, nowMs: number): void {
    const killId = this.#core.nextKillId();
    const { tagIndex } = kills[0];
    const userHashes = kills.map(({ userHash }) => userHash);
    const batch: Batch = {
      kills,
      waitingFor: new Set(this.#core.sessions.workerIds()),
      hangMs: nowMs + KICK_TIMEOUT_MS,
    };
    if (batch.waitingFor.size === 0) {
      for (const kill of kills) this.#closed(kill, nowMs);
      return;
    }
    this.#batches.set(killId, batch);
    for (const workerId of [...batch.waitingFor]) {
      this.#core.effects.kick(workerId, killId, tagIndex, userHashes, exceptHostId);
    }
  }

  /** A worker has closed all sessions of the batch. */
  acknowledge(killId: number, workerId: number, nowMs: number): void {
    const batch = this.#batches.get(killId);
    if (batch !== undefined) this.#strike(killId, batch, workerId, nowMs);
  }

  /** A worker is gone, and its sockets with it: that acknowledges everything. */
  workerGone(workerId: number, nowMs: number): void {
    for (const [killId, batch] of this.#batches) this.#strike(killId, batch, workerId, nowMs);
  }

  #strike(killId: number, batch: Batch, workerId: number, nowMs: number): void {
    if (!batch.waitingFor.delete(workerId) || batch.waitingFor.size > 0) return;
    this.#batches.delete(killId);
    for (const kill of batch.kills) this.#closed(kill, nowMs);
  }

  /** Our own sessions of the user are closed. */
  #closed(kill: UserKill, nowMs: number): void {
    kill.isClosed = true;
    if (kill.kind === KillKind.move) this.#killedHere(kill, kill.isOurs, nowMs);
    else this.#startDelay(kill, nowMs);
  }

  #killedHere(kill: UserKill, isFirst: boolean, nowMs: number): void {
    const { ring } = this.#core;
    if (ring.isAlone) {
      this.#flush(kill, nowMs);
    } else if (isFirst || kill.state === KillState.notifyReceived) {
      kill.state = KillState.waitingForEveryone;
      ring.userKilled(kill.userHash);
    } else {
      kill.state = KillState.waitingForNotify;
    }
  }

  /** USER-KILLED: the director to our left, and all before it, have closed the user's sessions. */
  userKilled(userHash: number, nowMs: number): void {
    const { ring } = this.#core;
    for (const kill of [...this.#withHash(userHash)]) {
      if (kill.kind !== KillKind.move || kill.isAmbiguous) continue;
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
      const isWaiting = kill.state === KillState.waitingForEveryone && !kill.isAmbiguous;
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
    const { users, current } = this.#core;
    this.#kills.delete(userKey(tagIndex, userHash));
    const word = users.table(tagIndex).get(userHash);
    // The target may have been removed meanwhile, or be back with another tag, where this user does
    // not belong: then the ring decides at the next login.
    const target = current.hosts.byId(assignedHost(word));
    const isUsable = kill.kind !== KillKind.purge && target?.tagIndex === tagIndex;
    if (isUsable) users.assign(tagIndex, userHash, target.hostId, toSecs(nowMs));
    else users.delete(tagIndex, userHash);
    this.#leavePurge(kill, nowMs);
    this.#core.wakeUser(tagIndex, userHash, nowMs);
  }

  /** All others are gone: nobody is left to wait for. */
  alone(nowMs: number): void {
    for (const kill of this.#kills.values()) {
      const isWaiting =
        kill.state === KillState.waitingForEveryone || kill.state === KillState.waitingForNotify;
      if (isWaiting) this.#flush(kill, nowMs);
    }
  }

  tick(nowMs: number): void {
    for (const kill of this.#kills.values()) {
      if (kill.readyMs <= nowMs) this.#finish(kill, nowMs);
      else if (kill.kind === KillKind.move && kill.deadlineMs <= nowMs) this.#giveUp(kill, nowMs);
    }
    for (const batch of this.#batches.values()) {
      if (batch.hangMs > nowMs) continue;
      for (const workerId of batch.waitingFor) this.#core.effects.workerHangs(workerId);
    }
  }

  /**
   * The others do not answer. As in Dovecot the user is let in then; but never while a session of our
   * own is still open.
   */
  #giveUp(kill: UserKill, nowMs: number): void {
    if (!kill.isClosed || kill.state === KillState.delay) return;
    this.#core.effects.log(
      'error',
      `Finishing user ${kill.userHash} move timed out, its state may now be inconsistent (state=${kill.state})`,
    );
    this.#startDelay(kill, nowMs);
  }
}
