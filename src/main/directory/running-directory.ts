import type { Directory } from './directory.ts';

/** The directory with the clock of the process: what the rest of main, demo and tests command. */
export class RunningDirectory {
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

  addHost(ip: string, vhostCount = 100, tag = ''): boolean {
    return this.#directory.addHost(ip, vhostCount, tag, this.#now());
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

  moveUser(user: string, ip: string, tag = ''): ReturnType<Directory['moveUser']> {
    return this.#directory.moveUser(tag, this.#directory.status.hashUser(user), ip, this.#now());
  }
}
