import type {
  DirectoryView,
  HostStatus,
  UserStatus,
} from '../../../src/main/admin/directory-view.ts';
import { compileUserHash } from '../../../src/shared/user-hash.ts';

/** A directory whose content is written down in the test. */
export class MemoryDirectory implements DirectoryView {
  readonly #hosts: readonly HostStatus[];
  readonly #users: readonly UserStatus[];
  readonly #hashUser = compileUserHash('%Lu');
  /** How many users have been handed out. */
  usersRead = 0;

  constructor(hosts: readonly Partial<HostStatus>[], users: readonly UserStatus[] = []) {
    this.#hosts = hosts.map((host) => ({
      ...{ ip: '10.0.0.1', vhostCount: 100, tag: '', isDown: false },
      ...{ lastUpDownChangeSecs: 0, userCount: 0, ...host },
    }));
    this.#users = users;
  }

  hashUser(name: string): number {
    return this.#hashUser(name);
  }

  hosts(): readonly HostStatus[] {
    return this.#hosts;
  }

  removedHosts(): readonly string[] {
    return [];
  }

  currentHost(tag: string, hash: number): { ip: string; expiresAtSecs: number } | null {
    const user = this.#users.find((candidate) => candidate.hash === hash);
    if (user === undefined || this.#tagOf(user.ip) !== tag) return null;
    return { ip: user.ip, expiresAtSecs: user.expiresAtSecs };
  }

  /** Any rule will do here: the first of the tag's hosts that is up. */
  hashedHost(tag: string, _hash: number): string | null {
    return this.#hosts.find((host) => host.tag === tag && !host.isDown)?.ip ?? null;
  }

  configuredHost(tag: string, _hash: number): string | null {
    return this.#hosts.find((host) => host.tag === tag)?.ip ?? null;
  }

  *users(): Iterable<UserStatus> {
    for (const user of this.#users) {
      this.usersRead++;
      yield user;
    }
  }

  #tagOf(ip: string): string | undefined {
    return this.#hosts.find((host) => host.ip === ip)?.tag;
  }
}

/** `count` users with hashes from 1 on, all on one host. */
export function manyUsers(count: number, ip = '10.0.0.1'): UserStatus[] {
  return Array.from({ length: count }, (_, i) => ({
    hash: i + 1,
    expiresAtSecs: 1_700_000_000 + i,
    ip,
  }));
}
