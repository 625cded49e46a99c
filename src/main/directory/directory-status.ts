import { AssignmentState, assignedHost, assignmentState } from '../../shared/memory/assignment.ts';
import { type HostRing, ringLookup } from '../../shared/memory/host-ring.ts';
import { SHARDS } from '../../shared/memory/user-table.ts';
import type { DirectoryView, HostStatus, UserStatus } from '../admin/directory-view.ts';
import type { HostSet } from './host-set.ts';
import type { Sessions } from './sessions.ts';
import type { Users } from './users.ts';

/** A host set with its ring, which a change of hosts replaces. */
export interface RingedHosts {
  readonly hosts: HostSet;
  ring: HostRing;
}

/** What the directory shows of itself; changes nothing. */
export class DirectoryStatus implements DirectoryView {
  readonly #current: RingedHosts;
  readonly #configured: RingedHosts;
  readonly #users: Users;
  readonly #sessions: Sessions;
  readonly #userExpireSecs: number;
  readonly hashUser: (name: string) => number;

  constructor(
    current: RingedHosts,
    configured: RingedHosts,
    users: Users,
    sessions: Sessions,
    options: {
      readonly userExpireSecs: number;
      readonly hashUser: (name: string) => number;
    },
  ) {
    this.#current = current;
    this.#configured = configured;
    this.#users = users;
    this.#sessions = sessions;
    this.#userExpireSecs = options.userExpireSecs;
    this.hashUser = options.hashUser;
  }

  hosts(): readonly HostStatus[] {
    return this.#current.hosts.hosts.map((host) => ({
      ip: host.ip,
      vhostCount: host.vhostCount,
      tag: host.tag,
      isDown: host.isDown,
      lastUpDownChangeSecs: host.lastUpDownChangeSecs,
      userCount: this.#users.countOf(host.hostId),
    }));
  }

  /** Addresses of configured backends that are there no more, in address order. */
  removedHosts(): string[] {
    const { hosts } = this.#current;
    return this.#configured.hosts.hosts
      .map(({ ip }) => ip)
      .filter((ip) => hosts.get(ip) === undefined);
  }

  currentHost(tag: string, userHash: number): { ip: string; expiresAtSecs: number } | null {
    const tagIndex = this.#current.hosts.tagIndex(tag);
    if (tagIndex < 0) return null;
    const table = this.#users.table(tagIndex);
    const word = table.get(userHash);
    if (!isSomewhere(word)) return null;
    return {
      ip: this.#current.hosts.ip(assignedHost(word)),
      expiresAtSecs: table.stampSecs(userHash) + this.#userExpireSecs,
    };
  }

  hashedHost(tag: string, userHash: number): string | null {
    return lookup(this.#current, tag, userHash);
  }

  configuredHost(tag: string, userHash: number): string | null {
    return lookup(this.#configured, tag, userHash);
  }

  /** Every user, shard by shard; may be left and resumed while the directory changes. */
  *users(): Generator<UserStatus> {
    for (let tagIndex = 0; tagIndex < this.#users.tagCount; tagIndex++) {
      for (let shard = 0; shard < SHARDS; shard++) yield* this.#usersOf(tagIndex, shard);
    }
  }

  #usersOf(tagIndex: number, shard: number): UserStatus[] {
    const users: UserStatus[] = [];
    this.#users.table(tagIndex).forEachInShard(shard, (hash, word, stampSecs) => {
      if (!isSomewhere(word)) return;
      const ip = this.#current.hosts.ip(assignedHost(word));
      users.push({ hash, expiresAtSecs: stampSecs + this.#userExpireSecs, ip });
    });
    return users;
  }

  /** Open sessions by backend, counted now; also of backends that were removed, if they have any. */
  sessionCounts(): { ip: string; sessions: number }[] {
    const { hosts } = this.#current;
    const counts = this.#sessions.countByHost();
    counts.delete(0);
    for (const { hostId } of hosts.hosts) if (!counts.has(hostId)) counts.set(hostId, 0);
    return [...counts].map(([hostId, sessions]) => ({ ip: hosts.ip(hostId), sessions }));
  }
}

/**
 * Not one that is remembered for the other directors' sake only, nor one that is about to be forgotten and
 * has no host already: whoever lists users takes their hosts for addresses.
 */
function isSomewhere(word: number): boolean {
  return assignmentState(word) !== AssignmentState.expired && assignedHost(word) !== 0;
}

function lookup({ hosts, ring }: RingedHosts, tag: string, userHash: number): string | null {
  const tagIndex = hosts.tagIndex(tag);
  if (tagIndex < 0) return null;
  const hostId = ringLookup(ring, tagIndex, userHash);
  return hostId === 0 ? null : hosts.ip(hostId);
}
