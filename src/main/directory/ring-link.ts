import type { Host } from './host-set.ts';

/**
 * Where a change comes from: ourselves, or a command of another director, which the ring then
 * forwards under its original sequence number. Opaque to the directory.
 */
export interface Origin {
  readonly isSelf: boolean;
  /** The connection that it came by; 0: it is ours. */
  readonly via: number;
}

export const SELF: Origin = { isSelf: true, via: 0 };

/** What the directory asks of the ring and tells it. Calls come inside the directory's methods. */
export interface RingLink {
  /** False until the ring has been joined for the first time: nobody may log in. */
  readonly isHandshaked: boolean;
  /** False while a change of hosts or members is travelling: no user may be placed. */
  readonly isSynced: boolean;
  /**
   * There are no other directors, or none has been in reach for so long that we act without them. Not so
   * while a neighbour is lost and another one sought.
   */
  readonly isAlone: boolean;
  /** What is said now goes around. */
  readonly hasRight: boolean;
  /** Counts changes of our neighbours: other directors may be in the ring since. */
  readonly neighbourChanges: number;
  /** Counts changes anywhere in the ring, as far as we hear of them: an order given before may have got lost in one. */
  readonly ringChanges: number;
  /** Every member knows USER-WEAK. */
  readonly knowsWeak: boolean;
  /** When isSynced changed last, milliseconds; 0 = it was never synced. */
  readonly syncChangedMs: number;
  /** What a SYNC takes to come back that nobody holds, milliseconds: the shortest of the last ones. */
  readonly freeSyncRoundMs: number;
  /** What our last SYNC took to come back, milliseconds. */
  readonly lastSyncRoundMs: number;

  /** Every member answers for what it says, see barrier(). False with Dovecot's among them. */
  readonly allHaveBarriers: boolean;

  /**
   * Told behind an order: asks the neighbours to say when they have done it.
   * @returns its number: news with a lower one may have been sent in ignorance of the order (UserNews)
   */
  barrier(): number;
  /** All neighbours that can be asked have done what was ordered before it; Directory.barriersPassed() tells. */
  hasPassed(barrier: number): boolean;

  user(origin: Origin, userHash: number, ip: string, stampSecs: number): void;
  userWeak(origin: Origin, userHash: number, ip: string): void;
  userMove(origin: Origin, userHash: number, ip: string): void;
  userKick(origin: Origin, userName: string): void;
  userKickAlt(origin: Origin, field: string, value: string): void;
  userKickHash(origin: Origin, userHash: number, exceptIp: string): void;
  /** Our sessions of the user are closed: tells the right neighbour. */
  userKilled(userHash: number): void;
  userKilledEverywhere(origin: Origin, userHash: number): void;
  host(origin: Origin, host: Host): void;
  hostRemove(origin: Origin, ip: string): void;
  hostFlush(origin: Origin, ip: string): void;
  /** Hosts or users of a host have changed: the ring is unsynced until everybody knows. */
  desync(nowMs: number): void;
  /** Users of removed and flushed hosts, or the last of their sessions, are gone: what was held back may go on. */
  purged(nowMs: number): void;
}

/** A director that has no others. */
export class NoRing implements RingLink {
  readonly isHandshaked = true;
  readonly isSynced = true;
  readonly isAlone = true;
  readonly hasRight = false;
  readonly neighbourChanges = 0;
  readonly ringChanges = 0;
  readonly knowsWeak = true;
  readonly syncChangedMs: number;
  readonly freeSyncRoundMs = 0;
  readonly lastSyncRoundMs = 0;
  readonly allHaveBarriers = true;

  constructor(startedMs: number) {
    this.syncChangedMs = startedMs;
  }

  barrier(): number {
    return 0;
  }

  hasPassed(): boolean {
    return true;
  }

  user(): void {}
  userWeak(): void {}
  userMove(): void {}
  userKick(): void {}
  userKickAlt(): void {}
  userKickHash(): void {}
  userKilled(): void {}
  userKilledEverywhere(): void {}
  host(): void {}
  hostRemove(): void {}
  hostFlush(): void {}
  desync(): void {}
  purged(): void {}
}
