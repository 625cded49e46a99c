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
import { type HostRing, ringLookup } from '../../shared/memory/host-ring.ts';
import { SessionRegistryReader } from '../../shared/memory/session-registry.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import type { DirectoryView, HostStatus } from '../admin/directory-view.ts';
import { type Host, HostSet, type MailServer } from './host-set.ts';
import { type KillBatch, Kills } from './kills.ts';
import {
  DelayReason,
  type LoginRequest,
  LoginRequests,
  MAX_WAITING_REQUESTS,
  timeoutText,
} from './login-requests.ts';
import { UserTableWriter } from './user-table-writer.ts';

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
export class Directory implements DirectoryView {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #effects: DirectoryEffects;
  readonly #options: DirectoryOptions;
  readonly #hosts = new HostSet();
  readonly #tables: UserTableWriter[] = [];
  readonly #workers = new Map<number, SessionRegistryReader>();
  readonly #requests = new LoginRequests();
  readonly #kills = new Kills();
  readonly #configuredHosts: HostSet;
  readonly #configuredRing: HostRing;
  readonly #purges: Purge[] = [];
  readonly #userCounts = new Map<number, number>();
  #ring: HostRing;
  #sweepCursor = 0;
  #nextRequestCheckMs = 0;

  constructor(options: DirectoryOptions, effects: DirectoryEffects) {
    this.#options = options;
    this.#effects = effects;
    this.#tables.push(this.#createTable(0));
    for (const server of options.mailServers) this.#addToSet(server);
    this.#ring = this.#hosts.buildRing();
    this.#configuredHosts = new HostSet();
    for (const server of options.mailServers) this.#configuredHosts.add(server);
    this.#configuredRing = this.#configuredHosts.buildRing();
  }

  // Workers

  /** What a new worker starts with; it must receive every publication from this moment on. */
  snapshot(): DirectoryMemory {
    return {
      control: this.#control,
      epoch: this.#control[EPOCH],
      tags: this.#tables.map((table, index) => ({
        name: this.#hosts.tags[index],
        shards: [...table.shards],
      })),
      ring: this.#ring,
      hostAddresses: this.#hosts.addressBuffer,
    };
  }

  /** `workerId` is unique for the life of the process: a replacement has another one. */
  attachWorker(workerId: number, registry: SharedArrayBuffer): void {
    this.#workers.set(workerId, new SessionRegistryReader(registry));
  }

  /** The worker's thread has ended and its sockets are closed: its sessions no longer count. */
  detachWorker(workerId: number, nowMs: number): void {
    const registry = this.#workers.get(workerId);
    if (registry === undefined) return;
    // Their backends may notice only now: the users keep their host for user_expire from here.
    registry.scan((tagIndex, userHash) => {
      this.#tables[tagIndex].touch(userHash, toSecs(nowMs));
    });
    this.#workers.delete(workerId);
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
    const table = this.#tables[tagIndex];
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
    const hostId = ringLookup(this.#ring, tagIndex, userHash);
    if (hostId === 0) return DelayReason.noHosts;
    this.#setUser(tagIndex, userHash, hostId, nowSecs);
    return null;
  }

  /** Removes the user if its time is over and it has no session. */
  #dropIfExpired(tagIndex: number, userHash: number, word: number, nowSecs: number): boolean {
    const table = this.#tables[tagIndex];
    const { userExpireSecs } = this.#options;
    if (table.stampSecs(userHash) + userExpireSecs > nowSecs) return false;
    // Marked first, looked for second: see session-registry.ts.
    table.setWord(userHash, packAssignment(AssignmentState.expiring, assignedHost(word)));
    const hasSession = this.#hasSession(tagIndex, userHash);
    // A session that has left since has raised the stamp before.
    if (hasSession || table.stampSecs(userHash) + userExpireSecs > nowSecs) {
      table.setWord(userHash, word);
      return false;
    }
    this.#deleteUser(tagIndex, userHash);
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

  #hasSession(tagIndex: number, userHash: number): boolean {
    for (const registry of this.#workers.values()) {
      if (registry.has(tagIndex, userHash)) return true;
    }
    return false;
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
    const host = this.#hosts.get(ip);
    if (host === undefined || host.tag !== tag) return 'unknown-host';
    const { tagIndex, hostId } = host;
    const table = this.#tables[tagIndex];
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
      this.#hasSession(tagIndex, userHash) ||
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
    this.#setUser(tagIndex, userHash, hostId, toSecs(nowMs));
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
    const batch = this.#kills.start(tagIndex, userHashes, targetHostId, this.#workers.keys());
    if (batch.waitingFor.size === 0) batch.readyMs = nowMs + this.#options.userKickDelayMs;
    for (const workerId of batch.waitingFor) {
      this.#effects.kick(workerId, batch.killId, tagIndex, userHashes);
    }
  }

  #finishKill(batch: KillBatch, nowMs: number): void {
    // The target may have been removed meanwhile: then the ring decides at the next login.
    const target = this.#hosts.byId(batch.targetHostId);
    // It may also be back with another tag, where these users do not belong.
    const isUsable = target?.tagIndex === batch.tagIndex;
    for (const userHash of batch.userHashes) {
      if (isUsable) this.#setUser(batch.tagIndex, userHash, target.hostId, toSecs(nowMs));
      else this.#deleteUser(batch.tagIndex, userHash);
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
    if (this.#hosts.get(ip) !== undefined) return false;
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
    const host = this.#hosts.get(ip);
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
    const host = this.#hosts.get(ip);
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
    const host = this.#hosts.get(ip);
    if (host === undefined) return false;
    this.#hosts.remove(host);
    this.#effects.log('info', `Host ${ip} removed`);
    this.#purges.push({ tagIndex: host.tagIndex, hostId: host.hostId, nextShard: 0 });
    this.#hostsChanged(nowMs);
    this.#runPurges(nowMs);
    return true;
  }

  #addToSet(server: MailServer): Host {
    const host = this.#hosts.add(server);
    while (this.#tables.length < this.#hosts.tags.length) {
      const tagIndex = this.#tables.length;
      const table = this.#createTable(tagIndex);
      this.#tables.push(table);
      const memory = { name: this.#hosts.tags[tagIndex], shards: [...table.shards] };
      this.#publish({ kind: 'tag', memory });
    }
    return host;
  }

  #createTable(tagIndex: number): UserTableWriter {
    return new UserTableWriter((shard, words) => {
      this.#publish({ kind: 'shard', tag: tagIndex, shard, words });
    });
  }

  #hostsChanged(nowMs: number): void {
    this.#ring = this.#hosts.buildRing();
    this.#publish({ kind: 'ring', ring: this.#ring });
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
    const table = this.#tables[tagIndex];
    const marked = new Set<number>();
    table.forEachInShard(shard, (userHash, word) => {
      if (assignedHost(word) !== hostId || assignmentState(word) === AssignmentState.killing)
        return;
      table.setWord(userHash, packAssignment(AssignmentState.killing, hostId));
      marked.add(userHash);
    });
    if (marked.size === 0) return;
    const served = this.#withSession(tagIndex, marked);
    for (const userHash of marked) {
      if (served.has(userHash)) continue;
      if (this.#wasSeenJustNow(table.stampSecs(userHash), nowMs)) {
        served.add(userHash);
        continue;
      }
      this.#deleteUser(tagIndex, userHash);
      this.#wakeUser(tagIndex, userHash, nowMs);
    }
    if (served.size > 0) this.#startKill(tagIndex, [...served], 0, nowMs);
  }

  /** Those of the users that may have a session; one pass over the registries. */
  #withSession(tagIndex: number, userHashes: ReadonlySet<number>): Set<number> {
    const found = new Set<number>();
    for (const registry of this.#workers.values()) {
      registry.scan((sessionTag, userHash) => {
        if (sessionTag === tagIndex && userHashes.has(userHash)) found.add(userHash);
      });
    }
    return found;
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
      const tag = this.#hosts.tags[request.tagIndex];
      const stampSecs = this.#tables[request.tagIndex].stampSecs(request.userHash);
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
    const all = SHARDS * this.#tables.length;
    const count = Math.min(all, Math.ceil((all * TICK_MS) / passMs));
    for (let i = 0; i < count; i++) {
      this.#sweepCursor = (this.#sweepCursor + 1) % all;
      this.#sweepShard(Math.floor(this.#sweepCursor / SHARDS), this.#sweepCursor % SHARDS, nowMs);
    }
  }

  #sweepShard(tagIndex: number, shard: number, nowMs: number): void {
    const table = this.#tables[tagIndex];
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
      const withSession = this.#withSession(tagIndex, old);
      for (const userHash of withSession) table.touch(userHash, nowSecs);
      for (const [userHash, word] of expired) {
        // A session that has left since the stamp was read has raised it before.
        const isYoung = table.stampSecs(userHash) > expiredSecs;
        if (isYoung || withSession.has(userHash)) table.setWord(userHash, word);
        else this.#deleteUser(tagIndex, userHash);
      }
    }
    table.shrink(shard);
  }

  // Users

  #setUser(tagIndex: number, userHash: number, hostId: number, nowSecs: number): void {
    const table = this.#tables[tagIndex];
    this.#count(assignedHost(table.get(userHash)), -1);
    this.#count(hostId, 1);
    table.set(userHash, packAssignment(AssignmentState.assigned, hostId), nowSecs);
  }

  #deleteUser(tagIndex: number, userHash: number): void {
    const table = this.#tables[tagIndex];
    this.#count(assignedHost(table.get(userHash)), -1);
    table.delete(userHash);
  }

  #count(hostId: number, change: number): void {
    if (hostId === 0) return;
    this.#userCounts.set(hostId, (this.#userCounts.get(hostId) ?? 0) + change);
  }

  // Views

  hashUser(name: string): number {
    return this.#options.hashUser(name);
  }

  hosts(): readonly HostStatus[] {
    return this.#hosts.hosts.map((host) => ({
      ip: host.ip,
      vhostCount: host.vhostCount,
      tag: host.tag,
      isDown: host.isDown,
      lastUpDownChangeSecs: host.lastUpDownChangeSecs,
      userCount: this.#userCounts.get(host.hostId) ?? 0,
    }));
  }

  currentHost(tag: string, userHash: number): { ip: string; expiresAtSecs: number } | null {
    const tagIndex = this.#hosts.tagIndex(tag);
    if (tagIndex < 0) return null;
    const word = this.#tables[tagIndex].get(userHash);
    if (word === 0) return null;
    const stampSecs = this.#tables[tagIndex].stampSecs(userHash);
    return {
      ip: this.#hosts.ip(assignedHost(word)),
      expiresAtSecs: stampSecs + this.#options.userExpireSecs,
    };
  }

  hashedHost(tag: string, userHash: number): string | null {
    return lookup(this.#hosts, this.#ring, tag, userHash);
  }

  configuredHost(tag: string, userHash: number): string | null {
    return lookup(this.#configuredHosts, this.#configuredRing, tag, userHash);
  }

  /** Every user, shard by shard; may be left and resumed while the directory changes. */
  *users(): Generator<{ hash: number; expiresAtSecs: number; ip: string }> {
    for (const table of this.#tables) {
      for (let shard = 0; shard < SHARDS; shard++) {
        const users: { hash: number; expiresAtSecs: number; ip: string }[] = [];
        table.forEachInShard(shard, (hash, word, stampSecs) => {
          const ip = this.#hosts.ip(assignedHost(word));
          users.push({ hash, expiresAtSecs: stampSecs + this.#options.userExpireSecs, ip });
        });
        yield* users;
      }
    }
  }

  /** Open sessions by backend, counted now. */
  sessionCounts(): { ip: string; sessions: number }[] {
    const counts = new Map<number, number>();
    for (const registry of this.#workers.values()) {
      registry.scan((_tagIndex, _userHash, hostId) => {
        counts.set(hostId, (counts.get(hostId) ?? 0) + 1);
      });
    }
    const known = this.#hosts.hosts.map((host) => {
      const sessions = counts.get(host.hostId) ?? 0;
      counts.delete(host.hostId);
      return { ip: host.ip, sessions };
    });
    const removed = [...counts].map(([hostId, sessions]) => ({
      ip: this.#hosts.ip(hostId),
      sessions,
    }));
    return [...known, ...removed.filter(({ ip }) => ip !== '')];
  }

  /** Users in the directory, logins that wait, kills that run. */
  counts(): { users: number; waiting: number; kills: number; bytes: number } {
    return {
      users: this.#tables.reduce((sum, table) => sum + table.size, 0),
      waiting: this.#requests.size,
      kills: this.#kills.size,
      bytes: this.#tables.reduce((sum, table) => sum + table.byteLength, 0),
    };
  }
}

function lookup(hosts: HostSet, ring: HostRing, tag: string, userHash: number): string | null {
  const tagIndex = hosts.tagIndex(tag);
  if (tagIndex < 0) return null;
  const hostId = ringLookup(ring, tagIndex, userHash);
  return hostId === 0 ? null : hosts.ip(hostId);
}

function toSecs(ms: number): number {
  return Math.floor(ms / 1000);
}
