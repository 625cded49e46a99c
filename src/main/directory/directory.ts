import {
  AssignmentState,
  assignedHost,
  assignmentState,
  packAssignment,
} from '../../shared/memory/assignment.ts';
import { type DirectoryMemory, EPOCH, GATE } from '../../shared/memory/directory-memory.ts';
import { ringLookup } from '../../shared/memory/host-ring.ts';
import { DirectoryCore, type DirectoryEffects, type DirectoryOptions, toSecs } from './core.ts';
import { DirectoryStatus } from './directory-status.ts';
import { FieldKicks, type KickProgress } from './field-kicks.ts';
import { type HostChange, HostChanges, type HostUpdate, nextChangeSecs } from './host-changes.ts';
import { HostReset } from './host-reset.ts';
import { type Host, HostSet } from './host-set.ts';
import { JoinUsers } from './join-users.ts';
import { Kills } from './kills.ts';
import {
  DelayReason,
  type LoginRequest,
  MAX_WAITING_REQUESTS,
  timeoutText,
} from './login-requests.ts';
import { NoRing, type Origin, type RingLink, SELF } from './ring-link.ts';
import { RingRefresh, type UserNews, type UserOutcome } from './ring-refresh.ts';
import { Sweeper } from './sweeper.ts';
import type { KillState } from './user-kill.ts';
import { UserMoves } from './user-moves.ts';
import { WeakUsers } from './weak-users.ts';

export type { DirectoryEffects, DirectoryOptions } from './core.ts';
export { TICK_MS } from './sweeper.ts';

/** Waiting logins are looked through for expired ones this often. */
const REQUEST_CHECK_MS = 1000;

/**
 * The user directory: the only writer of users, assignments and hosts. No clock and no I/O inside:
 * times come as arguments (milliseconds since 1970), results leave by DirectoryEffects.
 *
 * The promise rests on one rule, kept by every part of it: a user's host changes only after the
 * user's word has been changed so that no worker starts a session (`killing`, `weak`, `expiring`, or
 * gone), AND every registry has then been seen without a session of the user, or every worker has
 * acknowledged the kick.
 */
export class Directory {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;
  readonly #fieldKicks: FieldKicks;
  readonly #weak: WeakUsers;
  readonly #hosts: HostChanges;
  readonly #sweeper: Sweeper;
  readonly #ringRefresh: RingRefresh;
  readonly status: DirectoryStatus;
  readonly userMoves: UserMoves;
  readonly joinUsers: JoinUsers;
  #nextRequestCheckMs = 0;

  constructor(options: DirectoryOptions, effects: DirectoryEffects) {
    const core = new DirectoryCore(options, effects, new NoRing(options.nowMs));
    this.#core = core;
    this.#kills = new Kills(core);
    this.userMoves = new UserMoves(core, this.#kills);
    this.joinUsers = new JoinUsers(core, this.#kills);
    this.#fieldKicks = new FieldKicks(core);
    this.#weak = new WeakUsers(core);
    this.#hosts = new HostChanges(core, this.#kills);
    this.#sweeper = new Sweeper(core);
    this.#ringRefresh = new RingRefresh(core, this.#kills, this.#weak);
    core.retry = (request, createdMs, nowMs) => this.#tryRequest(request, createdMs, nowMs);
    const { hosts } = core.current;
    this.#addFirstHosts(options);
    core.current.ring = hosts.buildRing();
    const configured = new HostSet();
    for (const server of options.mailServers) configured.add(server);
    this.status = new DirectoryStatus(
      core.current,
      { hosts: configured, ring: configured.buildRing() },
      core.users,
      core.sessions,
      options,
    );
    core.control[GATE] = 1;
  }

  #addFirstHosts({ mailServers, startHosts }: DirectoryOptions): void {
    if (startHosts === undefined || startHosts === null) {
      for (const server of mailServers) this.#hosts.addToSet(server);
      return;
    }
    for (const start of startHosts) {
      const host = this.#hosts.addToSet(start);
      host.isDown = start.isDown;
      host.lastUpDownChangeSecs = start.lastUpDownChangeSecs;
    }
  }

  /** Before the first login: from now on nobody logs in until the ring has been joined. */
  joinRing(ring: RingLink): void {
    this.#core.ring = ring;
    this.#setGate();
  }

  #setGate(): void {
    Atomics.store(this.#core.control, GATE, this.#core.ring.isHandshaked ? 1 : 0);
  }

  // Workers

  /** What a new worker starts with; it must receive every publication from this moment on. */
  snapshot(): DirectoryMemory {
    const { control, users, current } = this.#core;
    return {
      control,
      epoch: control[EPOCH],
      tags: users.snapshot(),
      ring: current.ring,
      hostAddresses: current.hosts.addressBuffer,
    };
  }

  /** `workerId` is unique for the life of the process: a replacement has another one. */
  attachWorker(workerId: number, registry: SharedArrayBuffer): void {
    this.#core.sessions.attach(workerId, registry);
  }

  /** The worker's thread has ended and its sockets are closed: its sessions no longer count. */
  detachWorker(workerId: number, nowMs: number): void {
    // Their backends may notice only now: the users keep their host for user_expire from here.
    const wasKnown = this.#core.sessions.detach(workerId, (tagIndex, userHash) => {
      this.#core.users.table(tagIndex).touch(userHash, toSecs(nowMs));
    });
    if (!wasKnown) return;
    this.#core.requests.dropWorker(workerId);
    this.#kills.workerGone(workerId, nowMs);
    this.#fieldKicks.workerGone(workerId);
  }

  /** Seconds without being seen after which a worker has to ask main about a user. */
  get usableSecs(): number {
    return this.#core.options.userExpireSecs - this.#core.nearSecs;
  }

  // Logins

  /** A worker could not use the user's assignment by itself. Answered by effects.answer(). */
  requestLogin(request: LoginRequest, nowMs: number): void {
    const { sinceSecs } = request;
    const createdMs = sinceSecs === undefined ? nowMs : Math.min(nowMs, sinceSecs * 1000 + 999);
    this.#tryRequest(request, createdMs, nowMs);
  }

  #tryRequest(request: LoginRequest, createdMs: number, nowMs: number): void {
    const { effects, requests } = this.#core;
    const reason = this.#place(request.tagIndex, request.userHash, nowMs);
    if (reason === null) {
      effects.answer(request.workerId, request.requestId, null);
    } else if (!requests.add(request, reason, createdMs)) {
      const text = `more than ${MAX_WAITING_REQUESTS} logins wait (${reason})`;
      effects.answer(request.workerId, request.requestId, text);
    }
  }

  /** Gives the user a host, or says why that must wait (director/director-request.c). */
  #place(tagIndex: number, userHash: number, nowMs: number): DelayReason | null {
    const { users, ring } = this.#core;
    if (!ring.isHandshaked) return DelayReason.ringNotHandshaked;
    const word = users.table(tagIndex).get(userHash);
    switch (assignmentState(word)) {
      case AssignmentState.killing:
        return DelayReason.kill;
      case AssignmentState.weak:
        this.#weak.askAgain(tagIndex, userHash, nowMs);
        return DelayReason.weak;
      case AssignmentState.assigned:
        return this.#placeKnown(tagIndex, userHash, word, nowMs);
      case AssignmentState.expired:
        return this.#placeExpired(tagIndex, userHash, word, nowMs);
      default:
        return this.#placeNew(tagIndex, userHash, nowMs);
    }
  }

  #placeKnown(tagIndex: number, userHash: number, word: number, nowMs: number): DelayReason | null {
    const { users, sessions, ring, nearSecs, ghostSecs, options } = this.#core;
    const table = users.table(tagIndex);
    const nowSecs = toSecs(nowMs);
    const isFresh = (): boolean => table.stampSecs(userHash) + this.usableSecs > nowSecs;
    if (isFresh()) return this.#seen(tagIndex, userHash, assignedHost(word), nowMs);
    // Marked first, looked for second: see session-registry.ts.
    table.setWord(userHash, packAssignment(AssignmentState.expiring, assignedHost(word)));
    const hasSession = sessions.has(tagIndex, userHash);
    table.setWord(userHash, word);
    // A session that has left since has raised the stamp before.
    if (hasSession || isFresh()) return this.#seen(tagIndex, userHash, assignedHost(word), nowMs);
    const isExpired = table.stampSecs(userHash) + options.userExpireSecs <= nowSecs;
    if (isExpired && ghostSecs > 0) {
      users.mark(tagIndex, userHash, AssignmentState.expired, assignedHost(word));
      return this.#placeExpired(tagIndex, userHash, table.get(userHash), nowMs);
    }
    if (isExpired || nearSecs === 0) {
      users.delete(tagIndex, userHash);
      return this.#placeNew(tagIndex, userHash, nowMs);
    }
    if (ring.isAlone) return this.#seen(tagIndex, userHash, assignedHost(word), nowMs);
    return this.#agree(tagIndex, userHash, assignedHost(word), word, nowMs);
  }

  /** Gone here, but another director may have it still. */
  #placeExpired(
    tagIndex: number,
    userHash: number,
    word: number,
    nowMs: number,
  ): DelayReason | null {
    const { ring, current } = this.#core;
    if (ring.isAlone) return this.#placeNew(tagIndex, userHash, nowMs);
    const hostId = ringLookup(current.ring, tagIndex, userHash);
    if (hostId === 0) return DelayReason.noHosts;
    return this.#agree(tagIndex, userHash, hostId, word, nowMs);
  }

  /** Asks the ring, unless every director would come to the same host anyway. */
  #agree(
    tagIndex: number,
    userHash: number,
    hostId: number,
    word: number,
    nowMs: number,
  ): DelayReason | null {
    const { ring, current } = this.#core;
    if (!ring.isSynced) return DelayReason.ringNotSynced;
    const hashedId = ringLookup(current.ring, tagIndex, userHash);
    const isSame = hashedId === hostId && assignedHost(word) === hostId;
    if (isSame || !ring.knowsWeak) return this.#seen(tagIndex, userHash, hostId, nowMs);
    if (this.#weak.ask(tagIndex, userHash, hostId, nowMs)) return DelayReason.weak;
    return this.#seen(tagIndex, userHash, assignedHost(word), nowMs);
  }

  #placeNew(tagIndex: number, userHash: number, nowMs: number): DelayReason | null {
    const { ring, current, options } = this.#core;
    // A host that was removed and is back: those who come now must not be taken for its old users.
    if (!ring.isSynced || (options.hasRing === true && this.#hosts.isSearching)) {
      return DelayReason.ringNotSynced;
    }
    const hostId = ringLookup(current.ring, tagIndex, userHash);
    if (hostId === 0) return DelayReason.noHosts;
    return this.#seen(tagIndex, userHash, hostId, nowMs);
  }

  /** The user is on this host, now; the others hear of it. */
  #seen(tagIndex: number, userHash: number, hostId: number, nowMs: number): null {
    const { users, ring } = this.#core;
    const nowSecs = toSecs(nowMs);
    users.assign(tagIndex, userHash, hostId, nowSecs);
    if (ring.hasRight) this.#core.announce(tagIndex, userHash, hostId);
    return null;
  }

  // Moves and kicks

  /**
   * Moves a user to a backend: kills its sessions everywhere first.
   * @returns 'moved' (at once: no session, and none a moment ago), 'moving', 'unchanged', 'busy' (being killed
   *   already, or the ring is not joined yet: try again) or 'unknown-host'
   */
  moveUser(
    tag: string,
    userHash: number,
    ip: string,
    nowMs: number,
  ): 'moved' | 'moving' | 'unchanged' | 'busy' | 'unknown-host' {
    const { current, users, ring } = this.#core;
    const host = current.hosts.get(ip);
    if (host === undefined || host.tag !== tag) return 'unknown-host';
    const table = users.table(host.tagIndex);
    const word = table.get(userHash);
    // The ring that we join may know the user otherwise, and would not wait for us.
    if (!ring.isHandshaked || assignmentState(word) === AssignmentState.killing) return 'busy';
    const isThere =
      assignmentState(word) === AssignmentState.assigned && assignedHost(word) === host.hostId;
    if (isThere && ring.isAlone) {
      table.touch(userHash, toSecs(nowMs));
      return 'unchanged';
    }
    return this.#kills.move(SELF, userHash, host, nowMs) ? 'moved' : 'moving';
  }

  /** A move that another director has ordered. */
  ringMove(origin: Origin, userHash: number, ip: string, nowMs: number): void {
    const host = this.#core.current.hosts.get(ip);
    if (host !== undefined) {
      this.#kills.move(origin, userHash, host, nowMs);
      return;
    }
    this.#core.ring.userMove(origin, userHash, ip);
    this.#kills.moveToUnknown(userHash, nowMs);
  }

  killState(tagIndex: number, userHash: number): KillState | null {
    return this.#kills.stateOf(tagIndex, userHash);
  }

  /** Ends the sessions of a user name (latin1, one character per byte), here and on all directors. */
  kickUser(origin: Origin, userName: string): KickProgress {
    const progress = this.#fieldKicks.kick('user', userName);
    this.#core.ring.userKick(origin, userName);
    return progress;
  }

  /** Ends the sessions whose alternative user name `field` has this value. */
  kickUserAlt(origin: Origin, field: string, value: string): KickProgress {
    const progress = this.#fieldKicks.kick(field, value);
    this.#core.ring.userKickAlt(origin, field, value);
    return progress;
  }

  /** Kicks by user name or field whose sessions are not all closed yet. */
  get kickCount(): number {
    return this.#fieldKicks.size;
  }

  /** Another director has found the user on two hosts, and lets it live on this one. */
  ringKickHash(origin: Origin, userHash: number, exceptIp: string, nowMs: number): void {
    const { current, users, ring } = this.#core;
    ring.userKickHash(origin, userHash, exceptIp);
    const host = current.hosts.get(exceptIp);
    if (host === undefined) return;
    const { hosts } = current.hosts;
    const word = users.table(host.tagIndex).get(userHash);
    const state = assignmentState(word);
    // Agreed on, or moved, by others.
    if (state === AssignmentState.weak) return;
    const winner = this.#kills.winnerOf(host.tagIndex, userHash);
    if (state === AssignmentState.killing && winner === undefined) return;
    // The lower address prevails in every conflict: whoever said this will hear of ours.
    const isKnown = word !== 0 && state !== AssignmentState.expired;
    const present = winner ?? (isKnown ? current.hosts.byId(assignedHost(word)) : undefined);
    if (present !== undefined && hosts.indexOf(present) < hosts.indexOf(host)) return;
    if (winner !== host) this.#kills.conflict(userHash, host, nowMs);
  }

  /** A worker has closed every session of a kill. */
  acknowledgeKick(workerId: number, killId: number, nowMs: number): void {
    this.#kills.acknowledge(killId, workerId, nowMs);
    this.#fieldKicks.acknowledge(killId, workerId);
  }

  flushed(tagIndex: number, userHash: number, isWell: boolean, nowMs: number): void {
    this.#kills.flushed(tagIndex, userHash, isWell, nowMs);
  }

  ringKilled(userHash: number, nowMs: number): void {
    this.#kills.userKilled(userHash, nowMs);
  }

  ringKilledEverywhere(origin: Origin, userHash: number, nowMs: number): void {
    this.#kills.userKilledEverywhere(origin, userHash, nowMs);
  }

  /** Neighbours have passed more barriers (RingLink.barrier()). */
  barriersPassed(nowMs: number): void {
    this.#kills.barriersPassed(nowMs);
  }

  // Hosts

  /** Adds a backend. False when it is there already. */
  addHost(ip: string, vhostCount: number, tag: string, nowMs: number): boolean {
    if (this.#core.current.hosts.get(ip) !== undefined) return false;
    const isDown = false;
    const update = { ip, hostname: '', vhostCount, tag, isDown, lastUpDownChangeSecs: 0 };
    this.#hosts.update(SELF, update, nowMs);
    return true;
  }

  /**
   * Changes weight, state, or both at once: the ring hears of one change. Users keep their host until they
   * expire. False: no such host.
   */
  changeHost(ip: string, change: HostChange, nowMs: number): boolean {
    const host = this.#core.current.hosts.get(ip);
    if (host === undefined) return false;
    const lastUpDownChangeSecs =
      change.isDown === undefined ? host.lastUpDownChangeSecs : nextChangeSecs(host, nowMs);
    this.#hosts.update(SELF, { ...host, ...change, lastUpDownChangeSecs }, nowMs);
    return true;
  }

  setVhostCount(ip: string, vhostCount: number, nowMs: number): boolean {
    return this.changeHost(ip, { vhostCount }, nowMs);
  }

  setDown(ip: string, isDown: boolean, nowMs: number): boolean {
    return this.changeHost(ip, { isDown }, nowMs);
  }

  /**
   * Removes a backend. Its users are forgotten, after their sessions have been killed. False: no
   * such host.
   */
  removeHost(ip: string, nowMs: number): boolean {
    const host = this.#core.current.hosts.get(ip);
    if (host === undefined) return false;
    this.#hosts.remove(SELF, host, nowMs);
    return true;
  }

  /** Forgets all users of a backend, after their sessions have been killed. False: no such host. */
  flushHost(ip: string, nowMs: number): boolean {
    const host = this.#core.current.hosts.get(ip);
    if (host === undefined) return false;
    this.#hosts.flush(SELF, host, nowMs);
    return true;
  }

  /** Moves the users of a backend to where they belong, as the caller steps on. Null: no such host. */
  resetHost(ip: string): HostReset | null {
    const host = this.#core.current.hosts.get(ip);
    return host === undefined ? null : new HostReset(this.#core, this.#kills, this.#hosts, host);
  }

  ringHost(origin: Origin, update: HostUpdate, nowMs: number): void {
    this.#hosts.update(origin, update, nowMs);
  }

  ringRemoveHost(origin: Origin, ip: string, nowMs: number): void {
    const { current, ring } = this.#core;
    const host = current.hosts.get(ip);
    if (host !== undefined) this.#hosts.remove(origin, host, nowMs);
    // Given again for those behind us, perhaps (HostChanges).
    else ring.hostRemove(origin, ip);
  }

  ringFlushHost(origin: Origin, ip: string, nowMs: number): void {
    const host = this.#core.current.hosts.get(ip);
    if (host !== undefined) this.#hosts.flush(origin, host, nowMs);
  }

  /** We join a ring that has its own hosts: ours count no more, and nobody is told. */
  forgetHosts(nowMs: number): void {
    this.#hosts.forgetAll(nowMs);
  }

  /** Another director has other hosts than we: it hears ours once more. */
  resendHosts(): void {
    for (const host of this.#core.current.hosts.hosts) this.#core.ring.host(SELF, host);
  }

  get hosts(): readonly Host[] {
    return this.#core.current.hosts.hosts;
  }

  host(ip: string): Host | undefined {
    return this.#core.current.hosts.get(ip);
  }

  hostIp(hostId: number): string {
    return this.#core.current.hosts.ip(hostId);
  }

  get hostsHash(): number {
    return this.#core.current.hosts.hostsHash;
  }

  get fullHostsHash(): number {
    return this.#core.current.hosts.fullHash;
  }

  get isPurging(): boolean {
    return this.#hosts.isPurging;
  }

  /** Users of hosts that are gone may still be spoken of. */
  get isSearching(): boolean {
    return this.#hosts.isSearching;
  }

  // Ring

  /** What another director says of a user. */
  ringUser(news: UserNews, nowMs: number): UserOutcome | null {
    return this.#ringRefresh.refresh(news, nowMs);
  }

  /** Our own USER-WEAK has come back to us. */
  weakTravelled(userHash: number, host: Host, nowMs: number): void {
    this.#weak.travelled(userHash, host, nowMs);
  }

  /** A USER-WEAK of a director that is gone travels on as ours. */
  takeOverWeak(tagIndex: number, userHash: number): void {
    this.#weak.takeOver(tagIndex, userHash);
  }

  /** The ring has become synced or unsynced, or we are alone. */
  ringChanged(nowMs: number): void {
    const { ring } = this.#core;
    this.#setGate();
    if (!ring.isSynced) return;
    this.#hosts.synced(nowMs);
    this.#kills.synced(nowMs);
    this.#weak.ringSynced(nowMs);
    const waiting = this.#core.requests.takeReasons(
      DelayReason.ringNotHandshaked,
      DelayReason.ringNotSynced,
    );
    for (const request of waiting) this.#tryRequest(request, request.createdMs, nowMs);
    this.#core.effects.synced?.();
  }

  get tagCount(): number {
    return this.#core.users.tagCount;
  }

  // Time

  /** Called every TICK_MS. */
  tick(nowMs: number): void {
    this.#kills.tick(nowMs);
    this.#fieldKicks.tick(nowMs);
    this.#weak.tick(nowMs);
    this.#hosts.runPurges(nowMs);
    this.#sweeper.sweep(nowMs);
    if (nowMs >= this.#nextRequestCheckMs) {
      this.#nextRequestCheckMs = nowMs + REQUEST_CHECK_MS;
      this.#failExpiredRequests(nowMs);
    }
  }

  #failExpiredRequests(nowMs: number): void {
    const { requests, users, current, ring, effects } = this.#core;
    for (const request of requests.takeExpired(nowMs)) {
      const table = users.table(request.tagIndex);
      const facts = {
        tag: current.hosts.tags[request.tagIndex],
        isSynced: ring.isSynced,
        syncChangedMs: ring.syncChangedMs,
        isWeak: assignmentState(table.get(request.userHash)) === AssignmentState.weak,
        refreshedSecs: table.stampSecs(request.userHash),
      };
      effects.answer(request.workerId, request.requestId, timeoutText(request, facts, nowMs));
    }
  }

  /** Users in the directory, logins that wait, users being killed, weak users. */
  counts(): { users: number; waiting: number; kills: number; weak: number; bytes: number } {
    return {
      users: this.#core.users.size,
      waiting: this.#core.requests.size,
      kills: this.#kills.size,
      weak: this.#weak.size,
      bytes: this.#core.users.byteLength,
    };
  }
}
