import type { DirectoryReader } from '../shared/memory/directory-memory.ts';
import { type SessionRegistryWriter, SessionState } from '../shared/memory/session-registry.ts';
import type { FromWorker } from '../shared/messages.ts';

/** A session as the directory sees it. */
export interface DirectorySession {
  /** The session must close its backend socket; leave() follows when it is closed. */
  kick(): void;
}

/** Who waits for a host. Exactly one of the two is called, in the same tick or later. */
export interface HostWaiter extends DirectorySession {
  hostAssigned(slot: number, hostId: number): void;
  hostFailed(slot: number, reason: string): void;
}

interface Kick {
  readonly killId: number;
  open: number;
}

/**
 * The directory as a worker's sessions use it. Known users cost one table read; the others are put
 * to main. Kicks end sessions and are acknowledged when the last socket is closed.
 */
export class DirectoryClient {
  readonly #reader: DirectoryReader;
  readonly #registry: SessionRegistryWriter;
  readonly #post: (message: FromWorker) => void;
  readonly #usableSecs: number;
  /** By registry slot. */
  readonly #sessions: (HostWaiter | undefined)[] = [];
  readonly #users: ({ tagIndex: number; userHash: number } | undefined)[] = [];
  readonly #kicksOfSlot = new Map<number, Kick[]>();

  constructor(
    reader: DirectoryReader,
    registry: SessionRegistryWriter,
    usableSecs: number,
    post: (message: FromWorker) => void,
  ) {
    this.#reader = reader;
    this.#registry = registry;
    this.#usableSecs = usableSecs;
    this.#post = post;
  }

  /**
   * Enters a session and finds its host: calls hostAssigned() at once for a known user, else when
   * main has answered. False: the registry is full, nothing was entered.
   */
  enter(tagIndex: number, userHash: number, waiter: HostWaiter, nowSecs: number): boolean {
    const slot = this.#registry.enter(tagIndex, userHash);
    if (slot < 0) return false;
    this.#sessions[slot] = waiter;
    this.#users[slot] = { tagIndex, userHash };
    this.#resolve(slot, nowSecs);
    return true;
  }

  /** The slot is in state `reading`. */
  #resolve(slot: number, nowSecs: number): void {
    const { tagIndex, userHash } = this.#users[slot]!;
    const hostId = this.#reader.usableHost(tagIndex, userHash, nowSecs, this.#usableSecs);
    if (hostId === 0) {
      this.#registry.setState(slot, SessionState.waiting);
      this.#post({ kind: 'login', requestId: slot, tagIndex, userHash });
      return;
    }
    this.#registry.setState(slot, SessionState.active, hostId);
    this.#reader.touch(tagIndex, userHash, nowSecs);
    this.#sessions[slot]!.hostAssigned(slot, hostId);
  }

  /**
   * Main's answer: the user's host can be read now, or why not. A session stays entered until its
   * answer has come, even if its client is gone, so the answer always belongs to the slot's user.
   */
  answer(slot: number, error: string | null, nowSecs: number): void {
    const waiter = this.#sessions[slot];
    if (waiter === undefined) return;
    if (error !== null) {
      waiter.hostFailed(slot, error);
      return;
    }
    this.#registry.setState(slot, SessionState.reading);
    this.#resolve(slot, nowSecs);
  }

  /** Takes a session out: its backend socket is closed, or it never had one. */
  leave(slot: number, nowSecs: number): void {
    const { tagIndex, userHash } = this.#users[slot]!;
    // The user's time runs from the end of its last session.
    this.#reader.touch(tagIndex, userHash, nowSecs);
    this.#sessions[slot] = undefined;
    this.#users[slot] = undefined;
    this.#registry.leave(slot);
    const kicks = this.#kicksOfSlot.get(slot);
    if (kicks === undefined) return;
    this.#kicksOfSlot.delete(slot);
    for (const kick of kicks) this.#closedOne(kick);
  }

  /** Ends all sessions of the users; acknowledged when their sockets are closed. */
  kick(
    killId: number,
    tagIndex: number,
    userHashes: readonly number[],
    exceptHostId: number,
  ): void {
    // One more than the sessions, so that it cannot reach zero before all of them were told.
    const kick: Kick = { killId, open: 1 };
    for (const userHash of userHashes) {
      for (const slot of this.#registry.slotsOf(tagIndex, userHash)) {
        if (exceptHostId === 0 || this.#registry.hostOf(slot) !== exceptHostId) {
          this.#kickSlot(slot, kick);
        }
      }
    }
    this.#closedOne(kick);
  }

  /** Ends these sessions; acknowledged as kick(). */
  kickSlots(killId: number, slots: readonly number[]): void {
    const kick: Kick = { killId, open: 1 };
    for (const slot of slots) this.#kickSlot(slot, kick);
    this.#closedOne(kick);
  }

  #kickSlot(slot: number, kick: Kick): void {
    if (!this.#registry.isActive(slot)) return;
    kick.open++;
    const kicks = this.#kicksOfSlot.get(slot);
    if (kicks === undefined) this.#kicksOfSlot.set(slot, [kick]);
    else kicks.push(kick);
    this.#sessions[slot]!.kick();
  }

  #closedOne(kick: Kick): void {
    if (--kick.open === 0) this.#post({ kind: 'kicked', killId: kick.killId });
  }
}
