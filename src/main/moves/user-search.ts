import type { MoveDirectory, MoveHost } from './move-directory.ts';

/** What a look at the whole table has found, so far. */
export interface Found {
  idleCount: number;
  busyCount: number;
  unsettledCount: number;
  readonly homelessHostIds: Set<number>;
}

/** The next part's users. */
export interface FoundPart {
  readonly tagIndex: number;
  readonly idle: number[];
  readonly busy: number[];
}

/**
 * One round through the table, a part at a time; finds the users of a backend, or of all, that are not
 * where their hash says. Holds no more than a part.
 */
export class UserSearch {
  readonly #directory: MoveDirectory;
  readonly #host: MoveHost | null;
  readonly found: Found = {
    ...{ idleCount: 0, busyCount: 0, unsettledCount: 0 },
    homelessHostIds: new Set(),
  };
  #tagIndex: number;
  #part = 0;

  constructor(directory: MoveDirectory, host: MoveHost | null) {
    this.#directory = directory;
    this.#host = host;
    this.#tagIndex = host?.tagIndex ?? 0;
  }

  get isOver(): boolean {
    return this.#tagIndex >= this.#endTag;
  }

  get #endTag(): number {
    return this.#host === null ? this.#directory.tagCount : this.#host.tagIndex + 1;
  }

  next(nowMs: number): FoundPart {
    const tagIndex = this.#tagIndex;
    const hostId = this.#host?.hostId ?? 0;
    const users = this.#directory.findMisplaced(tagIndex, this.#part, hostId, nowMs);
    this.found.idleCount += users.idle.length;
    this.found.busyCount += users.busy.length;
    this.found.unsettledCount += users.unsettledCount;
    for (const id of users.homelessHostIds) this.found.homelessHostIds.add(id);
    if (++this.#part === this.#directory.partCount) {
      this.#part = 0;
      this.#tagIndex++;
    }
    return { tagIndex, idle: users.idle, busy: users.busy };
  }
}
