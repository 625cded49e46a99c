import type { DirectoryOrders } from '../admin/admin-director.ts';
import type { Directory } from './directory.ts';
import type { KickProgress } from './field-kicks.ts';
import type { HostChange } from './host-changes.ts';
import { SELF } from './ring-link.ts';

/** The directory with the clock of the process: what the rest of main, demo and tests command. */
export class RunningDirectory implements DirectoryOrders {
  readonly #directory: Directory;
  readonly #now: () => number;

  constructor(directory: Directory, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  get status(): Directory['status'] {
    return this.#directory.status;
  }

  counts(): ReturnType<Directory['counts']> {
    return this.#directory.counts();
  }

  host(ip: string): ReturnType<Directory['host']> {
    return this.#directory.host(ip);
  }

  get isPurging(): boolean {
    return this.#directory.isPurging;
  }

  get kickCount(): number {
    return this.#directory.kickCount;
  }

  addHost(ip: string, vhostCount = 100, tag = ''): boolean {
    return this.#directory.addHost(ip, vhostCount, tag, this.#now());
  }

  changeHost(ip: string, change: HostChange): boolean {
    return this.#directory.changeHost(ip, change, this.#now());
  }

  setVhostCount(ip: string, vhostCount: number): boolean {
    return this.#directory.setVhostCount(ip, vhostCount, this.#now());
  }

  setDown(ip: string, isDown: boolean): boolean {
    return this.#directory.setDown(ip, isDown, this.#now());
  }

  removeHost(ip: string): boolean {
    return this.#directory.removeHost(ip, this.#now());
  }

  flushHost(ip: string): boolean {
    return this.#directory.flushHost(ip, this.#now());
  }

  resetHost(ip: string): ReturnType<Directory['resetHost']> {
    return this.#directory.resetHost(ip);
  }

  kickUser(userName: string): KickProgress {
    return this.#directory.kickUser(SELF, userName);
  }

  kickUserAlt(field: string, value: string): KickProgress {
    return this.#directory.kickUserAlt(SELF, field, value);
  }

  /** The user belongs to the tag of the backend. */
  moveUserHash(userHash: number, ip: string): ReturnType<Directory['moveUser']> {
    const tag = this.#directory.host(ip)?.tag ?? '';
    return this.#directory.moveUser(tag, userHash, ip, this.#now());
  }

  moveUser(user: string, ip: string, tag = ''): ReturnType<Directory['moveUser']> {
    return this.#directory.moveUser(tag, this.#directory.status.hashUser(user), ip, this.#now());
  }
}
