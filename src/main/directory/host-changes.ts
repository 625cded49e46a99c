import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import { type DirectoryCore, toSecs } from './core.ts';
import type { Host, MailServer } from './host-set.ts';
import type { Kills } from './kills.ts';
import { DelayReason } from './login-requests.ts';
import { type Origin, SELF } from './ring-link.ts';

/** Shards with users that purges visit at once. */
const PURGE_SHARDS_PER_TICK = 32;

/** A backend as another director, or a command, describes it. */
export interface HostUpdate extends MailServer {
  readonly isDown: boolean;
  /** Unix seconds, 0 = never. */
  readonly lastUpDownChangeSecs: number;
  /** Whoever sends it may just take our own description in its place. */
  readonly crosses?: boolean;
}

/** What is to be different of a backend that is there. */
export interface HostChange {
  readonly vhostCount?: number;
  readonly isDown?: boolean;
}

/** How often an order is given again that a change of the ring may have lost. */
const MAX_REPEATS = 5;

/** A flush or removal ordered here, until a SYNC says that all have heard of it. */
interface OwnOrder {
  readonly ip: string;
  readonly isRemoval: boolean;
  /** RingLink.ringChanges when it was given. */
  readonly ringChanges: number;
  readonly repeats: number;
}

interface Purge {
  readonly tagIndex: number;
  readonly hostId: number;
  shardsLeft: number;
}

/**
 * Changes of the host set, ordered here or by another director, and what they do to users. A user of a
 * removed or flushed host is forgotten, but not before its sessions have been killed. (Dovecot forgets
 * them at once and leaves the sessions alone.) In a ring no user is placed anew before every member has
 * done so: this member holds SYNCs back while it purges.
 */
export class HostChanges {
  readonly #core: DirectoryCore;
  readonly #kills: Kills;
  #purges: Purge[] = [];
  #ownOrders: OwnOrder[] = [];
  #nextShard = 0;

  constructor(core: DirectoryCore, kills: Kills) {
    this.#core = core;
    this.#kills = kills;
  }

  /** Users of removed or flushed hosts are still there, or their sessions are. */
  get isPurging(): boolean {
    return this.#purges.length > 0 || this.#kills.isClosing;
  }

  /** Users of removed and flushed hosts are still being looked for. */
  get isSearching(): boolean {
    return this.#purges.length > 0;
  }

  /** Puts a host into the set, nothing else. */
  addToSet(server: MailServer): Host {
    const { hosts } = this.#core.current;
    const host = hosts.add(server);
    while (this.#core.users.tagCount < hosts.tags.length) {
      this.#core.users.addTag(hosts.tags[this.#core.users.tagCount]);
    }
    return host;
  }

  /** After addToSet(): the ring of virtual hosts is built and shown to the workers. */
  publish(): void {
    const { current } = this.#core;
    current.hosts.changed();
    current.ring = current.hosts.buildRing();
    this.#core.publish({ kind: 'ring', ring: current.ring });
  }

  /**
   * Takes a host as described, adding it if it is not there. Forwards what has changed.
   * @throws RangeError when host ids or tags have run out
   */
  update(origin: Origin, update: HostUpdate, nowMs: number): void {
    const host = this.#core.current.hosts.get(update.ip);
    if (host === undefined) this.#add(origin, update, nowMs);
    else this.#change(origin, host, update, nowMs);
  }

  #add(origin: Origin, update: HostUpdate, nowMs: number): void {
    const { effects, current } = this.#core;
    // With another tag than it had, it is another host to its users, as after #retag().
    const lastTag = current.hosts.lastTag(update.ip) ?? update.tag;
    const host = this.addToSet(update);
    host.isDown = update.isDown;
    host.lastUpDownChangeSecs = update.lastUpDownChangeSecs;
    // What a removal has not come to yet may stay: the host is back. Not so with another tag, and not in a
    // ring, whose other members may have forgotten these users.
    const purge = this.#purges.findIndex((other) => {
      return other.hostId === host.hostId && other.tagIndex === host.tagIndex;
    });
    const isKept = purge >= 0 && this.#core.options.hasRing !== true;
    if (isKept) this.#purges.splice(purge, 1);
    effects.log('info', `Host ${host.ip} added (vhost_count=${host.vhostCount})`);
    this.#changed(origin, host, nowMs, lastTag !== host.tag);
    if (isKept && !this.isPurging) this.#core.ring.purged(nowMs);
  }

  #change(origin: Origin, host: Host, update: HostUpdate, nowMs: number): void {
    const isSame =
      host.vhostCount === update.vhostCount &&
      host.isDown === update.isDown &&
      host.tag === update.tag;
    if (isSame) return;
    let wanted = update;
    let from = origin;
    if ((host.isDesynced || update.crosses) && !origin.isSelf) {
      wanted = this.#reconcile(host, update);
      // As if it were ours: so it reaches the whole ring.
      from = SELF;
    }
    const changed = host.tag === wanted.tag ? host : this.#retag(host, wanted.tag, nowMs);
    // Never goes back: else two directors could take turns.
    const changeSecs = Math.max(wanted.lastUpDownChangeSecs, host.lastUpDownChangeSecs);
    this.#setDown(changed, wanted.isDown, changeSecs);
    this.#setVhostCount(changed, wanted.vhostCount);
    this.#changed(from, changed, nowMs, changed !== host);
    // Our tag prevails, but whoever has heard of the other one has forgotten the host's users.
    if (update.tag !== wanted.tag) this.flush(SELF, changed, nowMs);
  }

  /**
   * Two directors have changed one host before either knew of the other: every member comes to the same
   * host. Weight: the smaller, as in Dovecot; state: the newer change, down when they are equally old;
   * tag: the first in order. (In Dovecot equal times and tags have no rule, and may change for ever.)
   */
  #reconcile(host: Host, update: HostUpdate): HostUpdate {
    const isOlder = host.lastUpDownChangeSecs > update.lastUpDownChangeSecs;
    const isTie = host.lastUpDownChangeSecs === update.lastUpDownChangeSecs;
    const isDown = isOlder ? host.isDown : update.isDown || (isTie && host.isDown);
    const vhostCount = Math.min(host.vhostCount, update.vhostCount);
    const [tag] = [host.tag, update.tag].sort();
    const changes: string[] = [];
    if (host.isDown !== isDown) changes.push(host.isDown ? 'down -> up' : 'up -> down');
    if (host.vhostCount !== update.vhostCount) {
      changes.push(`vhosts ${host.vhostCount} -> ${update.vhostCount}`);
    }
    if (host.tag !== update.tag) changes.push(`tag '${host.tag}' -> '${update.tag}'`);
    this.#core.effects.log(
      'warn',
      `Host ${host.ip} is being updated before previous update had finished (${changes.join(', ')}) - ` +
        `setting to state=${isDown ? 'down' : 'up'} vhosts=${vhostCount}`,
    );
    return { ...update, isDown, vhostCount, tag };
  }

  #setDown(host: Host, isDown: boolean, changeSecs: number): void {
    if (host.isDown === isDown) return;
    host.isDown = isDown;
    host.lastUpDownChangeSecs = changeSecs;
    this.#core.effects.log(
      'info',
      `Host ${host.ip} changed ${isDown ? 'down' : 'up'} (vhost_count=${host.vhostCount})`,
    );
  }

  #setVhostCount(host: Host, vhostCount: number): void {
    if (host.vhostCount === vhostCount) return;
    this.#core.effects.log(
      'info',
      `Host ${host.ip} vhost count changed from ${host.vhostCount} to ${vhostCount}`,
    );
    host.vhostCount = vhostCount;
  }

  /** With another tag it is another host to its users: they are forgotten. */
  #retag(host: Host, tag: string, nowMs: number): Host {
    this.#core.effects.log('warn', `Host ${host.ip} changed tag from '${host.tag}' to '${tag}'`);
    this.#core.current.hosts.remove(host);
    const changed = this.addToSet({ ...host, tag });
    changed.isDown = host.isDown;
    changed.lastUpDownChangeSecs = host.lastUpDownChangeSecs;
    this.#startPurge(host, nowMs);
    return changed;
  }

  remove(origin: Origin, host: Host, nowMs: number): void {
    const { current, ring, effects } = this.#core;
    current.hosts.remove(host);
    effects.log('info', `Host ${host.ip} removed`);
    ring.hostRemove(origin, host.ip);
    if (origin.isSelf) this.#given(host.ip, true, 0);
    this.#core.noteForgotten(host);
    this.publish();
    this.#startPurge(host, nowMs);
    ring.desync(nowMs);
    this.#retryLogins(nowMs);
  }

  /**
   * Forgets all hosts and users, and tells nobody. Only before the ring was joined for the first time: nobody
   * has logged in here, so there are no sessions to be killed; and it must be done at once, because the
   * users of the ring come next.
   */
  forgetAll(nowMs: number): void {
    const { current, users, ring } = this.#core;
    this.#purges = [];
    this.#kills.clear();
    users.clear();
    for (const host of [...current.hosts.hosts]) {
      current.hosts.remove(host);
      ring.desync(nowMs);
    }
    this.publish();
    // Nobody's sessions are waited for any more.
    ring.purged(nowMs);
  }

  /** Forgets the users of a host; it stays. */
  flush(origin: Origin, host: Host, nowMs: number, repeats = 0): void {
    this.#core.ring.hostFlush(origin, host.ip);
    if (origin.isSelf) this.#given(host.ip, false, repeats);
    this.#core.noteForgotten(host);
    this.#startPurge(host, nowMs);
    this.#core.ring.desync(nowMs);
  }

  #changed(origin: Origin, host: Host, nowMs: number, isRetagged = false): void {
    const { ring } = this.#core;
    this.publish();
    ring.host(origin, host);
    // What is said of its users may mean the other tag's.
    if (isRetagged) this.#core.noteForgotten(host, origin.via);
    if (!ring.isAlone) host.isDesynced = true;
    ring.desync(nowMs);
    this.#retryLogins(nowMs);
  }

  #retryLogins(nowMs: number, reason: DelayReason = DelayReason.noHosts): void {
    for (const request of this.#core.requests.takeReasons(reason)) {
      this.#core.retry(request, request.createdMs, nowMs);
    }
  }

  /** Every member knows what we know. */
  synced(nowMs: number): void {
    for (const host of this.#core.current.hosts.hosts) host.isDesynced = false;
    this.#core.staleNews.synced(this.#core.ring.freeSyncRoundMs, nowMs);
    this.#repeatOrders(nowMs);
  }

  #given(ip: string, isRemoval: boolean, repeats: number): void {
    const { ring } = this.#core;
    this.#ownOrders = this.#ownOrders.filter((order) => order.ip !== ip);
    if (ring.isAlone || repeats >= MAX_REPEATS) return;
    this.#ownOrders.push({ ip, isRemoval, ringChanges: ring.ringChanges, repeats });
  }

  /**
   * A flush or removal that was under way when the ring changed may not have come to those behind the gap, who
   * would keep the host's users, which others place anew. Forgetting users once more does no harm. (In
   * Dovecot it is lost.)
   */
  #repeatOrders(nowMs: number): void {
    const { ring, current } = this.#core;
    const orders = this.#ownOrders;
    this.#ownOrders = [];
    for (const { ip, isRemoval, ringChanges, repeats } of orders) {
      if (ringChanges === ring.ringChanges || ring.isAlone) continue;
      const host = current.hosts.get(ip);
      if (isRemoval && host === undefined) {
        ring.hostRemove(SELF, ip);
        this.#given(ip, true, repeats + 1);
        ring.desync(nowMs);
      } else if (!isRemoval && host !== undefined) {
        this.flush(SELF, host, nowMs, repeats + 1);
      }
    }
  }

  // Purges

  #startPurge({ tagIndex, hostId }: Host, nowMs: number): void {
    this.#purges.push({ tagIndex, hostId, shardsLeft: SHARDS });
    this.runPurges(nowMs);
  }

  /**
   * Forgets users of removed and flushed hosts, a number of shards at a time. One pass serves all hosts
   * that are purged at the time: the ring waits for it.
   */
  runPurges(nowMs: number): void {
    if (this.#purges.length === 0) return;
    let budget = PURGE_SHARDS_PER_TICK;
    while (budget > 0 && this.#purges.length > 0) {
      const shard = this.#nextShard;
      this.#nextShard = (shard + 1) % SHARDS;
      const hostIds = new Map<number, Set<number>>();
      for (const purge of this.#purges) {
        purge.shardsLeft--;
        const ofTag = hostIds.get(purge.tagIndex);
        if (ofTag === undefined) hostIds.set(purge.tagIndex, new Set([purge.hostId]));
        else ofTag.add(purge.hostId);
      }
      this.#purges = this.#purges.filter(({ shardsLeft }) => shardsLeft > 0);
      for (const [tagIndex, ofTag] of hostIds) {
        if (this.#core.users.table(tagIndex).isUnused(shard)) continue;
        this.#purgeShard(tagIndex, ofTag, shard, nowMs);
        budget--;
      }
    }
    if (this.#purges.length > 0) return;
    // Before anybody is placed: who hears of that must not take it for old news.
    this.#core.ring.purged(nowMs);
    this.#retryLogins(nowMs, DelayReason.ringNotSynced);
  }

  #purgeShard(tagIndex: number, hostIds: ReadonlySet<number>, shard: number, nowMs: number): void {
    const { users } = this.#core;
    const table = users.table(tagIndex);
    const marked = new Set<number>();
    const killed: number[] = [];
    const unsure: number[] = [];
    table.forEachInShard(shard, (userHash, word) => {
      const hostId = assignedHost(word);
      const state = assignmentState(word);
      // A user that is killed already is on its way, from here or to here.
      if (state === AssignmentState.killing) killed.push(userHash);
      else if (!hostIds.has(hostId)) return;
      else if (state === AssignmentState.weak || state === AssignmentState.expired) {
        // It has no session here, and another director may have it elsewhere.
        users.mark(tagIndex, userHash, AssignmentState.expired, 0);
        unsure.push(userHash);
      } else {
        users.mark(tagIndex, userHash, AssignmentState.killing, hostId);
        marked.add(userHash);
      }
    });
    for (const userHash of unsure) this.#core.wakeUser(tagIndex, userHash, nowMs);
    for (const userHash of killed) this.#kills.hostsPurged(tagIndex, userHash, hostIds, nowMs);
    if (marked.size > 0) this.#forget(tagIndex, marked, nowMs);
  }

  /** Users that are marked as `killing`. */
  #forget(tagIndex: number, marked: ReadonlySet<number>, nowMs: number): void {
    const { users, sessions } = this.#core;
    const table = users.table(tagIndex);
    const served = sessions.among(tagIndex, marked);
    for (const userHash of marked) {
      if (served.has(userHash)) continue;
      if (this.#core.wasSeenJustNow(table.stampSecs(userHash), nowMs)) {
        served.add(userHash);
        continue;
      }
      users.delete(tagIndex, userHash);
      this.#core.wakeUser(tagIndex, userHash, nowMs);
    }
    if (served.size > 0) this.#kills.purge(tagIndex, [...served], nowMs);
  }
}

/** A change that is ordered here must not look older than the one before it, whatever the clock says. */
export function nextChangeSecs(host: Host, nowMs: number): number {
  return Math.max(toSecs(nowMs), host.lastUpDownChangeSecs + 1);
}
