/** A backend as a job sees it. A backend that is removed and added again is another object. */
export interface MoveHost {
  readonly hostId: number;
  readonly ip: string;
  readonly tag: string;
  readonly tagIndex: number;
  readonly vhostCount: number;
  readonly isDown: boolean;
}

/** The users of one part of the table that are not on the backend that their hash says. */
export interface MisplacedUsers {
  /** Without a session, on any director as far as can be told; some of them may be among `busy`. */
  readonly idle: number[];
  readonly busy: number[];
  /** On their way to the backend, or being agreed on: to be looked at again. */
  unsettledCount: number;
  /** Backends, by id, with users for whom there is no backend at all. */
  readonly homelessHostIds: Set<number>;
}

/** `settled`: nothing was done. */
export type MoveOutcome = 'moving' | 'moved' | 'settled';

/** What jobs see of the directory, and order from it. */
export interface MoveDirectory {
  /** False while hosts or members are changing: where users belong is not agreed on. */
  readonly isSynced: boolean;
  /** Users whose sessions are being killed now, whoever ordered it. */
  readonly movingCount: number;
  readonly hosts: readonly MoveHost[];
  readonly tagCount: number;
  /** Parts into which the users of a tag are cut. */
  readonly partCount: number;
  /** How long a user is not let in after its sessions have been closed. */
  readonly kickDelayMs: number;

  host(ip: string): MoveHost | undefined;
  setVhostCount(ip: string, vhostCount: number): void;
  /** Forgets the users of a backend, after their sessions have been killed. */
  flushHost(ip: string): void;
  /** @param hostId only users of this backend; 0 = of all */
  findMisplaced(tagIndex: number, part: number, hostId: number, nowMs: number): MisplacedUsers;
  /**
   * Moves users to where their hash says, those that are still misplaced.
   * @returns what became of each
   */
  moveHome(
    tagIndex: number,
    userHashes: readonly number[],
    hostId: number,
    nowMs: number,
  ): MoveOutcome[];
  /** The user may not log in yet. */
  isMoving(tagIndex: number, userHash: number): boolean;
}
