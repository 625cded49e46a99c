import type { DirectoryReader } from '../shared/memory/directory-memory.ts';
import { type SessionRegistryWriter, SessionState } from '../shared/memory/session-registry.ts';
import type { FromWorker, ListedSession } from '../shared/messages.ts';
import type { EndReason } from './protocols/end-reason.ts';
import { type Soon, TurnQueue } from './turn-queue.ts';

/**
 * Sessions that are ended in one turn of the event loop: one takes about 60 µs, and the others of the worker
 * must not stand still.
 */
const KICKS_PER_TURN = 32;
/** Sessions that are looked at in one turn. */
const LOOKS_PER_TURN = 4096;

/** A session as the directory sees it. */
export interface DirectorySession {
  /**
   * The session must close its backend socket; leave() follows when it is closed. One that still waits has
   * none, and leaves when its answer has come.
   */
  kick(reason: EndReason): void;
}

/** Who waits for a host. Exactly one of the two is called, in the same tick or later. */
export interface HostWaiter extends DirectorySession {
  hostAssigned(slot: number, hostId: number): void;
  hostFailed(slot: number, reason: string): void;
}

/** What a worker's directory holds: a login with its relay, or the delivery of a message to one recipient. */
export interface HeldSession extends HostWaiter {
  /** It goes under this user name, or has it as an alternative one. False when it has ended. */
  hasName(field: string, value: string): boolean;
  /** Null: it has ended, and only the last socket is not closed yet. */
  listing(): ListedSession | null;
}

/** An order to end sessions, to be acknowledged when `open` is 0. */
interface Kick {
  readonly killId: number;
  readonly reason: EndReason;
  /** Sessions to be told, sockets to be closed, and one for who still looks for more of them. */
  open: number;
}

interface KickedSession<Session> {
  readonly kick: Kick;
  readonly slot: number;
  readonly session: Session;
}

interface EnteredUser {
  readonly tagIndex: number;
  readonly userHash: number;
  /** When main was asked first, Unix seconds; 0 = not yet. */
  askedSecs: number;
}

/**
 * The directory as a worker's sessions use it. Known users cost one table read; the others are put
 * to main. Kicks end sessions and are acknowledged when the last socket is closed.
 */
export class DirectoryClient<Session extends HostWaiter = HostWaiter> {
  readonly #reader: DirectoryReader;
  readonly #registry: SessionRegistryWriter;
  readonly #post: (message: FromWorker) => void;
  readonly #usableSecs: number;
  /** By registry slot. */
  readonly #sessions: (Session | undefined)[] = [];
  readonly #users: (EnteredUser | undefined)[] = [];
  readonly #kicksOfSlot = new Map<number, Kick[]>();
  readonly #kicked: TurnQueue<KickedSession<Session>>;
  readonly #soon: Soon;

  /** @param soon for the part of a long work that does not fit into one turn; null: all fits */
  constructor(
    reader: DirectoryReader,
    registry: SessionRegistryWriter,
    usableSecs: number,
    post: (message: FromWorker) => void,
    soon: Soon | null = null,
  ) {
    this.#soon = soon ?? setImmediate;
    const perTurn = soon === null ? Number.POSITIVE_INFINITY : KICKS_PER_TURN;
    this.#kicked = new TurnQueue(perTurn, this.#soon, (kicked) => this.#end(kicked));
    this.#reader = reader;
    this.#registry = registry;
    this.#usableSecs = usableSecs;
    this.#post = post;
  }

  /**
   * Enters a session and finds its host: calls hostAssigned() at once for a known user, else when
   * main has answered. False: the registry is full, nothing was entered.
   */
  enter(tagIndex: number, userHash: number, waiter: Session, nowSecs: number): boolean {
    const slot = this.#registry.enter(tagIndex, userHash);
    if (slot < 0) return false;
    this.#sessions[slot] = waiter;
    this.#users[slot] = { tagIndex, userHash, askedSecs: 0 };
    this.#resolve(slot, nowSecs);
    return true;
  }

  /** The slot is in state `reading`. */
  #resolve(slot: number, nowSecs: number): void {
    const user = this.#users[slot]!;
    const { tagIndex, userHash } = user;
    const hostId = this.#reader.usableHost(tagIndex, userHash, nowSecs, this.#usableSecs);
    if (hostId === 0) {
      this.#registry.setState(slot, SessionState.waiting);
      const since = user.askedSecs === 0 ? {} : { sinceSecs: user.askedSecs };
      user.askedSecs ||= nowSecs;
      this.#post({ kind: 'login', requestId: slot, tagIndex, userHash, ...since });
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

  /** The session in a slot; undefined: none is. */
  session(slot: number): Session | undefined {
    return this.#sessions[slot];
  }

  /** Slots from here on have never been used. */
  get usedSlots(): number {
    return this.#registry.usedSlots;
  }

  /** Slots of the sessions of a user hash, of all tags, in whatever state. */
  slotsOfHash(userHash: number): number[] {
    return this.#registry.slotsOfHash(userHash);
  }

  // Kicks. Which sessions are meant is settled at once wherever that is cheap; they are ended in turns.

  /**
   * Ends all sessions of the users that hold a host; acknowledged when their sockets are closed. Those that
   * wait are left alone: the users' words say that they have to wait.
   */
  kick(
    killId: number,
    tagIndex: number,
    userHashes: readonly number[],
    exceptHostId: number,
  ): void {
    const kick: Kick = { killId, reason: 'moved', open: 1 };
    for (const userHash of userHashes) {
      for (const slot of this.#registry.slotsOf(tagIndex, userHash)) {
        if (!this.#registry.isActive(slot)) continue;
        if (exceptHostId === 0 || this.#registry.hostOf(slot) !== exceptHostId) {
          this.#order(kick, slot);
        }
      }
    }
    this.#closedOne(kick);
  }

  /** Ends these sessions, also those that wait; acknowledged as kick(). */
  kickSlots(killId: number, slots: readonly number[]): void {
    const kick: Kick = { killId, reason: 'kicked', open: 1 };
    for (const slot of slots) this.#order(kick, slot);
    this.#closedOne(kick);
  }

  /** Ends all that are wanted among all sessions; acknowledged as kick(). */
  kickWanted(killId: number, isWanted: (session: Session) => boolean): void {
    this.#look({ killId, reason: 'kicked', open: 1 }, 0, isWanted);
  }

  /** A session that is there now keeps its slot, so that none of them is missed however long it takes. */
  #look(kick: Kick, from: number, isWanted: (session: Session) => boolean): void {
    const end = Math.min(from + LOOKS_PER_TURN, this.usedSlots);
    for (let slot = from; slot < end; slot++) {
      const session = this.#sessions[slot];
      if (session !== undefined && isWanted(session)) this.#order(kick, slot);
    }
    if (end < this.usedSlots) this.#soon(() => this.#look(kick, end, isWanted));
    else this.#closedOne(kick);
  }

  #order(kick: Kick, slot: number): void {
    const session = this.#sessions[slot];
    if (session === undefined) return;
    kick.open++;
    this.#kicked.push({ kick, slot, session });
  }

  #end({ kick, slot, session }: KickedSession<Session>): void {
    // It may have gone meanwhile, and its slot may be somebody else's.
    if (this.#sessions[slot] === session) {
      if (this.#registry.isActive(slot)) this.#awaitEnd(kick, slot);
      session.kick(kick.reason);
    }
    this.#closedOne(kick);
  }

  #awaitEnd(kick: Kick, slot: number): void {
    kick.open++;
    const kicks = this.#kicksOfSlot.get(slot);
    if (kicks === undefined) this.#kicksOfSlot.set(slot, [kick]);
    else kicks.push(kick);
  }

  #closedOne(kick: Kick): void {
    if (--kick.open === 0) this.#post({ kind: 'kicked', killId: kick.killId });
  }
}
