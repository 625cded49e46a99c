import { SessionRegistryReader } from '../../shared/memory/session-registry.ts';

interface LookedUp {
  readonly tagIndex: number;
  readonly userHashes: ReadonlySet<number>;
  readonly found: ReadonlySet<number>;
}

/** The sessions of all workers, as their registries show them. */
export class Sessions {
  readonly #registries = new Map<number, SessionRegistryReader>();
  #lookedUp: LookedUp | null = null;

  attach(workerId: number, registry: SharedArrayBuffer): void {
    this.#registries.set(workerId, new SessionRegistryReader(registry));
  }

  /** Forgets a worker; calls `visit` for each session that it had. False: it is not known. */
  detach(workerId: number, visit: (tagIndex: number, userHash: number) => void): boolean {
    this.#registries.get(workerId)?.scan(visit);
    return this.#registries.delete(workerId);
  }

  workerIds(): Iterable<number> {
    return this.#registries.keys();
  }

  /** True when the user may have a session. */
  has(tagIndex: number, userHash: number): boolean {
    const known = this.#lookedUp;
    if (known?.tagIndex === tagIndex && known.userHashes.has(userHash)) {
      return known.found.has(userHash);
    }
    for (const registry of this.#registries.values()) {
      if (registry.has(tagIndex, userHash)) return true;
    }
    return false;
  }

  /** Those of the users that may have a session; one pass over the registries. */
  among(tagIndex: number, userHashes: ReadonlySet<number>): Set<number> {
    const found = new Set<number>();
    for (const registry of this.#registries.values()) {
      registry.scan((sessionTag, userHash) => {
        if (sessionTag === tagIndex && userHashes.has(userHash)) found.add(userHash);
      });
    }
    return found;
  }

  /**
   * Calls `each` for these users, one after the other, while has() answers for those that are left from one
   * pass over the registries, made now. A user's word must say already that no session begins, until
   * its turn comes.
   */
  lookUpFor(
    tagIndex: number,
    userHashes: ReadonlySet<number>,
    each: (userHash: number) => void,
  ): void {
    const left = new Set(userHashes);
    this.#lookedUp = { tagIndex, userHashes: left, found: this.among(tagIndex, userHashes) };
    try {
      for (const userHash of userHashes) {
        each(userHash);
        left.delete(userHash);
      }
    } finally {
      this.#lookedUp = null;
    }
  }

  /** Every session, with the hash of its user. */
  forEach(visit: (userHash: number) => void): void {
    for (const registry of this.#registries.values()) {
      registry.scan((_tagIndex, userHash) => visit(userHash));
    }
  }

  /** Sessions of a user by host id; under 0 those whose host is just being read. */
  countOf(tagIndex: number, userHash: number): Map<number, number> {
    const counts = new Map<number, number>();
    for (const registry of this.#registries.values()) {
      registry.scan((sessionTag, hash, hostId) => {
        if (sessionTag !== tagIndex || hash !== userHash) return;
        counts.set(hostId, (counts.get(hostId) ?? 0) + 1);
      });
    }
    return counts;
  }

  /** Sessions by host id; under 0 those whose host is just being read. */
  countByHost(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const registry of this.#registries.values()) {
      registry.scan((_tagIndex, _userHash, hostId) => {
        counts.set(hostId, (counts.get(hostId) ?? 0) + 1);
      });
    }
    return counts;
  }
}
