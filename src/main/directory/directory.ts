import {
  AssignmentState,
  assignedHost,
  assignmentState,
  packAssignment,
} from '../../shared/memory/assignment.ts';
import {
  CONTROL_WORDS,
  type DirectoryMemory,
  EPOCH,
  type Publication,
} from '../../shared/memory/directory-memory.ts';
import { ringLookup } from '../../shared/memory/host-ring.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import { DirectoryStatus, type RingedHosts } from './directory-status.ts';
import { type Host, HostSet, type MailServer } from './host-set.ts';
import { type KillBatch, Kills } from './kills.ts';
import {
  DelayReason,
  type LoginRequest,
  LoginRequests,
  MAX_WAITING_REQUESTS,
  timeoutText,
} from './login-requests.ts';
import { Sessions } from './sessions.ts';
import { Users } from './users.ts';

/** Shards that a purge visits at once, and a sweep per tick at least. */
const PURGE_SHARDS_PER_TICK = 32;
/** Waiting logins are looked through for expired ones this often. */
const REQUEST_CHECK_MS = 1000;
/** A sweep visits the whole table in this time, or a tenth of user_expire if that is less. */
const SWEEP_PASS_MS = 10_000;
/** The edge calls tick() this often. */
export const TICK_MS = 100;

/** What the directory wants done. Calls come inside its methods, in order. */
export interface DirectoryEffects {
  /** Post to every worker, in order, before returning. */
  publish(publication: Publication): void;
  /** Tell a worker to end all sessions of these users and to acknowledge when they are closed. */
  kick(workerId: number, killId: number, tagIndex: number, userHashes: readonly number[]): void;
  /** Answer a login request: null = read the directory again; else why it failed (for the log). */
  answer(workerId: number, requestId: number, error: string | null): void;
  log(level: 'info' | 'warn', message: string): void;
}

export interface DirectoryOptions {
  readonly userExpireSecs: number;
  readonly userKickDelayMs: number;
  readonly hashUser: (name: string) => number;
  readonly mailServers: readonly MailServer[];
  readonly nowMs: number;
}

interface Purge {
  readonly tagIndex: number;
  readonly hostId: number;
  nextShard: number;
}

/**
 * The user directory: the only writer of users, assignments and hosts. No clock and no I/O inside:
 * times come as arguments (milliseconds since 1970), results leave by DirectoryEffects.
 *
 * The promise rests on one rule, kept by every method here: a user's host changes only after the
 * user's word has been changed so that no worker starts a session (`killing`, `expiring`, or gone),
 * AND every registry has then been seen without a session of the user, or every worker has
 * acknowledged the kick.
 */
export class Directory {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #effects: DirectoryEffects;
  readonly #options: DirectoryOptions;
  readonly #users = new Users((publication) => this.#publish(publication));
  readonly #sessions = new Sessions();
  readonly #current: RingedHosts;
  readonly status: DirectoryStatus;
  readonly #requests = new LoginRequests();
  readonly #kills = new Kills();
  readonly #purges: Purge[] = [];
  #sweepCursor = 0;
  #nextRequestCheckMs = 0;

  constructor(options: DirectoryOptions, effects: DirectoryEffects) {
    this.#options = options;
    this.#effects = effects;
    const hosts = new HostSet();
    this.#users.addTag(hosts.tags[0]);
    this.#current = { hosts, ring: hosts.buildRing() };
    for (const server of options.mailServers) this.#addToSet(server);
    this.#current.ring = hosts.buildRing();
    const configured = new HostSet();
    for (const server of options.mailServers) configured.add(server);
    this.status = new DirectoryStatus(
      this.#current,
      { hosts: configured, ring: configured.buildRing() },
      this.#users,
      this.#sessions,
      options,
    );
  }

  // Workers

  /** What a new worker starts with; it must receive every publication from this moment on. */
  snapshot(): DirectoryMemory {
    return {
      control: this.#control,
      epoch: this.#control[EPOCH],
      tags: this.#users.snapshot(),
      ring: this.#current.ring,
      hostAddresses: this.#current.hosts.addressBuffer,
    };
  }

  /** `workerId` is unique for the life of the process: a replacement has another one. */
  attachWorker(workerId: number, registry: SharedArrayBuffer): void {
    this.#sessions.attach(workerId, registry);
  }

  /** The worker's thread has ended and its sockets are closed: its sessions no longer count. */
  detachWorker(workerId: number, nowMs: number): void {
    // Their backends may notice only now: the users keep their host for user_expire from here.
    const wasKnown = this.#sessions.detach(workerId, (tagIndex, userHash) => {
      this.#users.table(tagIndex).touch(userHash, toSecs(nowMs));
    });
    if (!wasKnown) return;
    this.#requests.dropWorker(workerId);
    this.#kills.workerGone(workerId, nowMs + this.#options.userKickDelayMs);
  }

  // Logins

  /** A worker could not use the user's assignment by itself. Answered by effects.answer(). */
  requestLogin(request: LoginRequest, nowMs: number): void {
    this.#tryRequest(request, nowMs, nowMs);
  }

  #tryRequest(request: LoginRequest, createdMs: number, nowMs: number): void {
    const reason = this.#assign(request.tagIndex, request.userHash, nowMs);
    if (reason === null) {
      this.#effects.answer(request.workerId, request.requestId, null);
    } else if (!this.#requests.add(request, reason, createdMs)) {
      const text = `more than ${MAX_WAITING_REQUESTS} logins wait (${reason})`;
      this.#effects.answer(request.workerId, request.requestId, text);
    }
  }

  /** Gives the user a host, or says why that must wait. */
  #assign(tagIndex: number, userHash: number, nowMs: number): DelayReason | null {
    const table = this.#users.table(tagIndex);
    const word = table.get(userHash);
    const state = assignmentState(word);
    if (state === AssignmentState.killing) return DelayReason.kill;
    const nowSecs = toSecs(nowMs);
    if (
      state === AssignmentState.assigned &&
      !this.#dropIfExpired(tagIndex, userHash, word, nowSecs)
    ) {
      table.touch(userHash, nowSecs);
      return null;
    }
    const hostId = ringLookup(this.#current.ring, tagIndex, userHash);
    if (hostId === 0) return DelayReason.noHosts;
    this.#users.assign(tagIndex, userHash, hostId, nowSecs);
    return null;
  }

  /** Removes the user if its time is over and it has no session. */
  #dropIfExpired(tagIndex: number, userHash: number, word: number, nowSecs: number): boolean {
    const table = this.#users.table(tagIndex);
    const { userExpireSecs } = this.#options;
    if (table.stampSecs(userHash) + userExpireSecs > nowSecs) return false;
    // Marked first, looked for second: see session-registry.ts.
    table.setWord(userHash, packAssignment(AssignmentState.expiring, assignedHost(word)));
    const hasSession = this.#sessions.has(tagIndex, userHash);
    // A session that has left since has raised the stamp before.
    if (hasSession || table.stampSecs(userHash) + userExpireSecs > nowSecs) {
      table.setWord(userHash, word);
      return false;
    }
    this.#users.delete(tagIndex, userHash);
    return true;
  }

  /**
   * The user's last session may have been closed a moment ago (a session's end raises the stamp):
   * then its backend may still serve it, and user_kick_delay has to pass as after a kick.
   */
  #wasSeenJustNow(stampSecs: number, nowMs: number): boolean {
    const { userKickDelayMs } = this.#options;
    // The stamp says no more than the second.
    return userKickDelayMs > 0 && (stampSecs + 1) * 1000 + userKickDelayMs > nowMs;
  }

  // Moves and kills

  /**
   * Moves a user to a backend: kills its sessions everywhere first.
   * @returns 'moved' (at once: no session, and none a moment ago), 'moving', 'unchanged', 'busy' (being killed
   *   already, try again) or 'unknown-host'
   */
  moveUser(
    tag: string,
    userHash: number,
    ip: string,
    nowMs: number,
  ): 'moved' | 'moving' | 'unchanged' | 'busy' | 'unknown-host' {
    const host = this.#current.hosts.get(ip);
    if (host === undefined || host.tag !== tag) return 'unknown-host';
    const { tagIndex, hostId } = host;
    const table = this.#users.table(tagIndex);
    const word = table.get(userHash);
    if (word === 0) {
      this.#moveNow(tagIndex, userHash, hostId, nowMs);
      return 'moved';
    }
    if (assignmentState(word) === AssignmentState.killing) return 'busy';
    if (assignedHost(word) === hostId) {
      table.touch(userHash, toSecs(nowMs));
      return 'unchanged';
    }
    table.setWord(userHash, packAssignment(AssignmentState.killing, assignedHost(word)));
    // In this order: a session raises the stamp before it leaves its registry.
    const isServed =
      this.#sessions.has(tagIndex, userHash) ||
      this.#wasSeenJustNow(table.stampSecs(userHash), nowMs);
    if (!isServed) {
      this.#moveNow(tagIndex, userHash, hostId, nowMs);
      return 'moved';
    }
    this.#startKill(tagIndex, [userHash], hostId, nowMs);
    return 'moving';
  }

  /** The user's logins may have waited for a usable host: now there is one. */
  #moveNow(tagIndex: number, userHash: number, hostId: number, nowMs: number): void {
    this.#users.assign(tagIndex, userHash, hostId, toSecs(nowMs));
    this.#wakeUser(tagIndex, userHash, nowMs);
  }

  /** A worker has closed every session of a kill. */
  acknowledgeKick(workerId: number, killId: number, nowMs: number): void {
    this.#kills.acknowledge(killId, workerId, nowMs + this.#options.userKickDelayMs);
  }

  /** The users are marked `killing` already. */
  #startKill(
    tagIndex: number,
    userHashes: readonly number[],
    targetHostId: number,
    nowMs: number,
  ): void {
    const batch = this.#kills.start(tagIndex, userHashes, targetHostId, this.#sessions.workerIds());
    if (batch.waitingFor.size === 0) batch.readyMs = nowMs + this.#options.userKickDelayMs;
    for (const workerId of batch.waitingFor) {
      this.#effects.kick(workerId, batch.killId, tagIndex, userHashes);
    }
  }

  #finishKill(batch: KillBatch, nowMs: number): void {
    // The target may have been removed meanwhile: then the ring decides at the next login.
    const target = this.#current.hosts.byId(batch.targetHostId);
    // It may also be back with another tag, where these users do not belong.
    const isUsable = target?.tagIndex === batch.tagIndex;
    for (const userHash of batch.userHashes) {
      if (isUsable) this.#users.assign(batch.tagIndex, userHash, target.hostId, toSecs(nowMs));
      else this.#users.delete(batch.tagIndex, userHash);
      this.#wakeUser(batch.tagIndex, userHash, nowMs);
    }
  }

  #wakeUser(tagIndex: number, userHash: number, nowMs: number): void {
    for (const request of this.#requests.takeUser(tagIndex, userHash)) {
      this.#tryRequest(request, request.createdMs, nowMs);
    }
  }

  // Hosts

  /** Adds a backend. False when it is there already. */
  addHost(ip: string, vhostCount: number, tag: string, nowMs: number): boolean {
    if (this.#current.hosts.get(ip) !== undefined) return false;
    const host = this.#addToSet({ ip, hostname: '', vhostCount, tag });
    // What a removal has not come to yet may stay: the host is back. Not so with another tag.
    const purge = this.#purges.findIndex((other) => {
      return other.hostId === host.hostId && other.tagIndex === host.tagIndex;
    });
    if (purge >= 0) this.#purges.splice(purge, 1);
    this.#effects.log('info', `Host ${ip} added (vhost_count=${vhostCount})`);
    this.#hostsChanged(nowMs);
    return true;
  }

  /** Changes the weight; users keep their host until they expire. False: no such host. */
  setVhostCount(ip: string, vhostCount: number, nowMs: number): boolean {
    const host = this.#current.hosts.get(ip);
    if (host === undefined) return false;
    this.#effects.log(
      'info',
      `Host ${ip} vhost count changed from ${host.vhostCount} to ${vhostCount}`,
    );
    host.vhostCount = vhostCount;
    this.#hostsChanged(nowMs);
    return true;
  }

  /** Marks a backend down or up; users keep their host until they expire. False: no such host. */
  setDown(ip: string, isDown: boolean, nowMs: number): boolean {
    const host = this.#current.hosts.get(ip);
    if (host === undefined) return false;
    if (host.isDown === isDown) return true;
    host.isDown = isDown;
    host.lastUpDownChangeSecs = toSecs(nowMs);
    this.#effects.log(
      'info',
      `Host ${ip} changed ${isDown ? 'down' : 'up'} (vhost_count=${host.vhostCount})`,
    );
    this.#hostsChanged(nowMs);
    return true;
  }

  /**
   * Removes a backend. Its users are forgotten, after their sessions have been killed (Dovecot
   * forgets them at once and leaves the sessions, which breaks the promise). False: no such host.
   */
  removeHost(ip: string, nowMs: number): boolean {
    const host = this.#current.hosts.get(ip);
    if (host === undefined) return false;
    this.#current.hosts.remove(host);
    this.#effects.log('info', `Host ${ip} removed`);
    this.#purges.push({ tagIndex: host.tagIndex, hostId: host.hostId, nextShard: 0 });
    this.#hostsChanged(nowMs);
    this.#runPurges(nowMs);
    return true;
  }

  #addToSet(server: MailServer): Host {
    const host = this.#current.hosts.add(server);
    while (this.#users.tagCount < this.#current.hosts.tags.length) {
      this.#users.addTag(this.#current.hosts.tags[this.#users.tagCount]);
    }
    return host;
  }

  #hostsChanged(nowMs: number): void {
    this.#current.ring = this.#current.hosts.buildRing();
    this.#publish({ kind: 'ring', ring: this.#current.ring });
    for (const request of this.#requests.takeReason(DelayReason.noHosts)) {
      this.#tryRequest(request, request.createdMs, nowMs);
    }
  }

  /** Posted first, counted second: see Publication. */
  #publish(publication: Publication): void {
    this.#effects.publish(publication);
    Atomics.add(this.#control, EPOCH, 1);
  }

  /** Forgets users of removed hosts, a number of shards at a time. */
  #runPurges(nowMs: number): void {
    let budget = PURGE_SHARDS_PER_TICK;
    while (budget-- > 0 && this.#purges.length > 0) {
      const purge = this.#purges[0];
      this.#purgeShard(purge, purge.nextShard++, nowMs);
      if (purge.nextShard === SHARDS) this.#purges.shift();
    }
  }

  #purgeShard(purge: Purge, shard: number, nowMs: number): void {
    const { tagIndex, hostId } = purge;
    const table = this.#users.table(tagIndex);
    const marked = new Set<number>();
    table.forEachInShard(shard, (userHash, word) => {
      if (assignedHost(word) !== hostId || assignmentState(word) === AssignmentState.killing)
        return;
      table.setWord(userHash, packAssignment(AssignmentState.killing, hostId));
      marked.add(userHash);
    });
    if (marked.size === 0) return;
    const served = this.#sessions.among(tagIndex, marked);
    for (const userHash of marked) {
      if (served.has(userHash)) continue;
      if (this.#wasSeenJustNow(table.stampSecs(userHash), nowMs)) {
        served.add(userHash);
        continue;
      }
      this.#users.delete(tagIndex, userHash);
      this.#wakeUser(tagIndex, userHash, nowMs);
    }
    if (served.size > 0) this.#startKill(tagIndex, [...served], 0, nowMs);
  }

  // Time

  /** Called every TICK_MS. */
  tick(nowMs: number): void {
    for (const batch of this.#kills.takeReady(nowMs)) this.#finishKill(batch, nowMs);
    this.#runPurges(nowMs);
    this.#sweep(nowMs);
    if (nowMs >= this.#nextRequestCheckMs) {
      this.#nextRequestCheckMs = nowMs + REQUEST_CHECK_MS;
      this.#failExpiredRequests(nowMs);
    }
  }

  #failExpiredRequests(nowMs: number): void {
    for (const request of this.#requests.takeExpired(nowMs)) {
      const tag = this.#current.hosts.tags[request.tagIndex];
      const stampSecs = this.#users.table(request.tagIndex).stampSecs(request.userHash);
      const text = timeoutText(request, tag, nowMs, this.#options.nowMs, stampSecs);
      this.#effects.answer(request.workerId, request.requestId, text);
    }
  }

  /**
   * Visits a part of the table: users that have not been seen for half of user_expire but have a
   * session are kept young; users whose time is over and who have none are removed.
   */
  #sweep(nowMs: number): void {
    const passMs = Math.min(SWEEP_PASS_MS, this.#options.userExpireSecs * 100);
    const all = SHARDS * this.#users.tagCount;
    const count = Math.min(all, Math.ceil((all * TICK_MS) / passMs));
    for (let i = 0; i < count; i++) {
      this.#sweepCursor = (this.#sweepCursor + 1) % all;
      this.#sweepShard(Math.floor(this.#sweepCursor / SHARDS), this.#sweepCursor % SHARDS, nowMs);
    }
  }

  #sweepShard(tagIndex: number, shard: number, nowMs: number): void {
    const table = this.#users.table(tagIndex);
    const nowSecs = toSecs(nowMs);
    const oldSecs = nowSecs - Math.floor(this.#options.userExpireSecs / 2);
    const expiredSecs = nowSecs - this.#options.userExpireSecs;
    const old = new Set<number>();
    const expired = new Map<number, number>();
    table.forEachInShard(shard, (userHash, word, stampSecs) => {
      if (stampSecs > oldSecs || assignmentState(word) !== AssignmentState.assigned) return;
      old.add(userHash);
      if (stampSecs > expiredSecs) return;
      expired.set(userHash, word);
      table.setWord(userHash, packAssignment(AssignmentState.expiring, assignedHost(word)));
    });
    if (old.size > 0) {
      const withSession = this.#sessions.among(tagIndex, old);
      for (const userHash of withSession) table.touch(userHash, nowSecs);
      for (const [userHash, word] of expired) {
        // A session that has left since the stamp was read has raised it before.
        const isYoung = table.stampSecs(userHash) > expiredSecs;
        if (isYoung || withSession.has(userHash)) table.setWord(userHash, word);
        else this.#users.delete(tagIndex, userHash);
      }
    }
    table.shrink(shard);
  }

  /** Users in the directory, logins that wait, kills that run. */
  counts(): { users: number; waiting: number; kills: number; bytes: number } {
    return {
      users: this.#users.size,
      waiting: this.#requests.size,
      kills: this.#kills.size,
      bytes: this.#users.byteLength,
    };
  }
}

function toSecs(ms: number): number {
  return Math.floor(ms / 1000);
}
