import type { Directory } from '../directory/directory.ts';
import type { MisplacedUsers, MoveDirectory, MoveHost, MoveOutcome } from './move-directory.ts';

/** The directory as jobs see it, with the clock of the process. */
export class RunningMoves implements MoveDirectory {
  readonly #directory: Directory;
  readonly #now: () => number;

  constructor(directory: Directory, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  get isSynced(): boolean {
    return this.#directory.userMoves.isSynced;
  }

  get movingCount(): number {
    return this.#directory.userMoves.movingCount;
  }

  get hosts(): readonly MoveHost[] {
    return this.#directory.hosts;
  }

  get tagCount(): number {
    return this.#directory.tagCount;
  }

  get partCount(): number {
    return this.#directory.userMoves.partCount;
  }

  get kickDelayMs(): number {
    return this.#directory.userMoves.kickDelayMs;
  }

  host(ip: string): MoveHost | undefined {
    return this.#directory.host(ip);
  }

  setVhostCount(ip: string, vhostCount: number): void {
    this.#directory.setVhostCount(ip, vhostCount, this.#now());
  }

  flushHost(ip: string): void {
    this.#directory.flushHost(ip, this.#now());
  }

  findMisplaced(tagIndex: number, part: number, hostId: number, nowMs: number): MisplacedUsers {
    return this.#directory.userMoves.findMisplaced(tagIndex, part, hostId, nowMs);
  }

  moveHome(
    tagIndex: number,
    userHashes: readonly number[],
    hostId: number,
    nowMs: number,
  ): MoveOutcome[] {
    return this.#directory.userMoves.moveHome(tagIndex, userHashes, hostId, nowMs);
  }

  isMoving(tagIndex: number, userHash: number): boolean {
    return this.#directory.userMoves.isMoving(tagIndex, userHash);
  }
}
