import type { Directory } from './directory.ts';

/** The directory with the clock of the process: what the rest of main, demo and tests command. */
export class RunningDirectory {
  readonly view: Directory;
  readonly #now: () => number;

  constructor(directory: Directory, now: () => number) {
    this.view = directory;
    this.#now = now;
  }

  hosts(): ReturnType<Directory['hosts']> {
    return this.view.hosts();
  }

  counts(): ReturnType<Directory['counts']> {
    return this.view.counts();
  }

  addHost(ip: string, vhostCount = 100, tag = ''): boolean {
    return this.view.addHost(ip, vhostCount, tag, this.#now());
  }

  setVhostCount(ip: string, vhostCount: number): boolean {
    return this.view.setVhostCount(ip, vhostCount, this.#now());
  }

  setDown(ip: string, isDown: boolean): boolean {
    return this.view.setDown(ip, isDown, this.#now());
  }

  removeHost(ip: string): boolean {
    return this.view.removeHost(ip, this.#now());
  }

  moveUser(user: string, ip: string, tag = ''): ReturnType<Directory['moveUser']> {
    return this.view.moveUser(tag, this.view.hashUser(user), ip, this.#now());
  }
}
