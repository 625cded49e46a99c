import { invariant } from '../../shared/errors.ts';
import type { MoveDirectory, MoveHost } from './move-directory.ts';
import { moveLimits } from './move-limits.ts';
import { type JobProgress, JobState, type MoveOrder } from './move-order.ts';
import { EvenSpread, RateLimit } from './move-pace.ts';
import { UserSearch } from './user-search.ts';

/** Room for the last moves of a drain before its time is up, besides user_kick_delay. */
const RESERVE_MS = 2000;

interface HeldUser {
  readonly tagIndex: number;
  readonly userHash: number;
}

/**
 * Moves users to where their hash says, in rounds through the user table: so it needs no list of them, and
 * what it has to do is always what the directory says. One that was interrupted is continued by another one.
 * It is stepped by the edge; no clock and no I/O inside.
 *
 * Idle users go first. Those with sessions go when they are due; until then every round also takes those
 * who have become idle in the meantime, whom nobody has to kick.
 */
export class MoveJob {
  readonly order: MoveOrder;
  readonly #directory: MoveDirectory;
  readonly #host: MoveHost | null;
  readonly #rate: RateLimit;
  readonly #spread: EvenSpread | null;
  readonly #startedMs: number;
  #state: JobState = JobState.counting;
  #isWaiting = false;
  #note = '';
  /** What it becomes when the last users have arrived. */
  #outcome: typeof JobState.done | typeof JobState.interrupted | typeof JobState.failed = 'done';
  #search: UserSearch;
  /** The backend's weight has been set to 0. */
  #isClosed = false;
  #roundStartedMs = 0;
  #roundEndedMs = 0;
  #toldInRound = 0;
  /** Users of one part that are to go now. */
  #queue: HeldUser[] = [];
  /** Users with sessions, to be moved when they are due; and those found in the round under way. */
  #held: HeldUser[] = [];
  #nextHeld: HeldUser[] = [];
  /** Users told to go who have not arrived. At most maxMoving. */
  readonly #moving = new Map<string, HeldUser>();
  #toldCount = 0;
  #busyLeft = 0;
  #totalCount = 0;
  #firstMoveMs = 0;
  #endedMs = 0;

  constructor(order: MoveOrder, directory: MoveDirectory, nowMs: number) {
    const host = order.ip === null ? null : (directory.host(order.ip) ?? null);
    invariant(host !== null || order.ip === null, 'a job begins with a backend that is there');
    this.order = order;
    this.#directory = directory;
    this.#host = host;
    this.#rate = new RateLimit(order.ratePerSec);
    this.#startedMs = nowMs;
    this.#spread = order.withinMs === null ? null : new EvenSpread(this.#spreadEndMs());
    this.#search = new UserSearch(directory, host);
  }

  get hasEnded(): boolean {
    return this.#endedMs !== 0;
  }

  /** The last users must have arrived in time. */
  #spreadEndMs(): number {
    const withinMs = this.order.withinMs ?? 0;
    const reserveMs = this.#directory.kickDelayMs + RESERVE_MS;
    return this.#startedMs + withinMs - Math.min(reserveMs, withinMs / 2);
  }

  /** Nobody else is told to go. It has ended when those on the way have arrived. */
  interrupt(nowMs: number): void {
    if (this.#isMoving) this.#stop('interrupted', '');
    this.#settle(nowMs);
  }

  get #isMoving(): boolean {
    return this.#state === JobState.counting || this.#state === JobState.moving;
  }

  /**
   * Does a part of the work.
   * @param isTurnOver asked after every part, of some milliseconds at most
   */
  step(nowMs: number, isTurnOver: () => boolean): 'more' | 'blocked' | 'ended' {
    this.#settle(nowMs);
    if (this.hasEnded) return 'ended';
    if (this.#isMoving) this.#checkHost();
    this.#isWaiting = this.#isMoving && !this.#directory.isSynced;
    if (this.#isWaiting || !this.#isMoving) return 'blocked';
    if (this.#close()) return 'blocked';
    let outcome: 'more' | 'blocked' = 'more';
    do {
      outcome = this.#state === JobState.counting ? this.#count(nowMs) : this.#move(nowMs);
    } while (outcome === 'more' && this.#isMoving && !isTurnOver());
    this.#settle(nowMs);
    return this.hasEnded ? 'ended' : outcome;
  }

  /** Looks who has arrived. */
  #settle(nowMs: number): void {
    for (const [key, { tagIndex, userHash }] of this.#moving) {
      if (!this.#directory.isMoving(tagIndex, userHash)) this.#moving.delete(key);
    }
    if (this.#isMoving || this.hasEnded || this.#moving.size > 0) return;
    this.#state = this.#outcome;
    this.#endedMs = nowMs;
  }

  #stop(outcome: typeof JobState.interrupted | typeof JobState.failed, note: string): void {
    this.#outcome = outcome;
    this.#note = note;
    this.#state = JobState.stopping;
    this.#queue = [];
    this.#held = [];
  }

  /** The backend may be removed in the middle, or somebody may want it back. */
  #checkHost(): void {
    const host = this.#host;
    if (host === null) return;
    if (this.#directory.host(host.ip) !== host) {
      this.#note = 'the backend was removed, its users are forgotten with it';
      this.#state = JobState.finishing;
    } else if (this.#isClosed && host.vhostCount > 0) {
      this.#stop('failed', `the backend's vhost count was set to ${host.vhostCount} meanwhile`);
    }
  }

  /** A drain begins with nobody new. True: the ring has to hear of it first. */
  #close(): boolean {
    const host = this.#host;
    if (this.order.kind !== 'drain' || host === null || this.#isClosed) return false;
    this.#isClosed = true;
    if (host.vhostCount > 0) this.#directory.setVhostCount(host.ip, 0);
    return !this.#directory.isSynced;
  }

  /** The first round tells how many there are. */
  #count(nowMs: number): 'more' {
    if (!this.#search.isOver) {
      this.#search.next(nowMs);
      const { idleCount, busyCount } = this.#search.found;
      this.#totalCount = idleCount + busyCount;
      this.#busyLeft = busyCount;
      return 'more';
    }
    this.#refuseHomeless();
    if (this.#state === JobState.counting) {
      this.#state = JobState.moving;
      this.#beginRound(nowMs);
    }
    return 'more';
  }

  #beginRound(nowMs: number): void {
    this.#search = new UserSearch(this.#directory, this.#host);
    this.#roundStartedMs = nowMs;
    this.#roundEndedMs = 0;
    this.#toldInRound = 0;
    this.#nextHeld = [];
  }

  #move(nowMs: number): 'more' | 'blocked' {
    const from = this.#nextFrom(nowMs);
    if (from !== null) {
      if (!this.#mayMove(nowMs)) return 'blocked';
      this.#tell(from, nowMs);
      return 'more';
    }
    if (!this.#search.isOver) {
      this.#lookOn(nowMs);
      return 'more';
    }
    if (this.#roundEndedMs === 0) {
      this.#endRound(nowMs);
      return 'more';
    }
    if (!this.#isRoundDue(nowMs)) return 'blocked';
    this.#beginRound(nowMs);
    return 'more';
  }

  /** Whoever else moves users counts as well: the backends do not care who it is. */
  #mayMove(nowMs: number): boolean {
    return this.#directory.movingCount < this.order.maxMoving && this.#rate.isFree(nowMs);
  }

  /** The list whose last one is next; null: nobody is. */
  #nextFrom(nowMs: number): HeldUser[] | null {
    const isDue = this.#held.length > 0 && (this.#spread?.isDue(this.#busyLeft, nowMs) ?? true);
    // Who is due does not wait for idle ones: the time is given.
    const isBusyFirst = isDue && this.#spread !== null;
    const first = isBusyFirst ? this.#held : this.#queue;
    const second = isBusyFirst || !isDue ? this.#queue : this.#held;
    const from = first.length > 0 ? first : second;
    return from.length > 0 ? from : null;
  }

  /** Takes who goes now: one by one if there is a pace, else as many of one tag as may be on the way. */
  #take(from: HeldUser[]): HeldUser[] {
    const isPaced =
      this.order.ratePerSec !== null || (from === this.#held && this.#spread !== null);
    const room = this.order.maxMoving - this.#directory.movingCount;
    const count = isPaced ? 1 : Math.min(room, moveLimits.movesAtOnce);
    const { tagIndex } = from[from.length - 1];
    let start = from.length;
    while (start > 0 && from.length - start < count && from[start - 1].tagIndex === tagIndex)
      start--;
    return from.splice(start).reverse();
  }

  #tell(from: HeldUser[], nowMs: number): void {
    const wasHeld = from === this.#held;
    const users = this.#take(from);
    if (wasHeld) this.#busyLeft = Math.max(0, this.#busyLeft - users.length);
    const hashes = users.map(({ userHash }) => userHash);
    const hostId = this.#host?.hostId ?? 0;
    const outcomes = this.#directory.moveHome(users[0].tagIndex, hashes, hostId, nowMs);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome !== 'settled') this.#told(users[i], outcome, nowMs);
    }
  }

  #told(user: HeldUser, outcome: 'moving' | 'moved', nowMs: number): void {
    if (this.#firstMoveMs === 0) this.#firstMoveMs = nowMs;
    this.#rate.use(nowMs);
    this.#toldCount++;
    this.#toldInRound++;
    if (outcome === 'moving') this.#moving.set(`${user.tagIndex}/${user.userHash}`, user);
  }

  #lookOn(nowMs: number): void {
    const { tagIndex, idle, busy } = this.#search.next(nowMs);
    // As HOST-RESET-USERS: all alike, as they come.
    const now = this.order.kind === 'flush' ? [...idle, ...busy] : idle;
    this.#queue = now.map((userHash) => ({ tagIndex, userHash }));
    if (this.order.kind === 'flush') return;
    for (const userHash of busy) {
      if (this.#nextHeld.length === moveLimits.heldUsers) break;
      this.#nextHeld.push({ tagIndex, userHash });
    }
  }

  #endRound(nowMs: number): void {
    this.#refuseHomeless();
    if (!this.#isMoving) return;
    const { idleCount, busyCount, unsettledCount } = this.#search.found;
    if (idleCount + busyCount + unsettledCount === 0) {
      this.#busyLeft = 0;
      this.#totalCount = this.#toldCount;
      this.#state = JobState.finishing;
      return;
    }
    this.#roundEndedMs = nowMs;
    this.#held = this.#nextHeld;
    this.#nextHeld = [];
    this.#spread?.plan(busyCount, this.#busyLeft, nowMs);
    this.#busyLeft = this.order.kind === 'flush' ? 0 : busyCount;
    this.#totalCount = this.#toldCount + this.#busyLeft;
  }

  /** Another round now: all that was found has been told, or the old round has become stale. */
  #isRoundDue(nowMs: number): boolean {
    if (nowMs >= this.#roundStartedMs + moveLimits.roundMs) return true;
    if (this.#held.length > 0) return false;
    return this.#toldInRound > 0 || nowMs >= this.#roundEndedMs + moveLimits.retryMs;
  }

  /** There is no backend for some users, and there will not be one for those with the same tag. */
  #refuseHomeless(): void {
    const { homelessHostIds } = this.#search.found;
    if (homelessHostIds.size === 0) return;
    if (this.order.kind === 'drain') {
      this.#stop('failed', 'there is no other backend for the users');
      return;
    }
    // They stay where they are: nobody is better off without a backend.
    if (this.order.kind === 'rebalance') return;
    // As HOST-RESET-USERS of Dovecot 2.3.19.1 does.
    for (const host of this.#directory.hosts) {
      if (!homelessHostIds.has(host.hostId)) continue;
      this.#note = `no backend is left for the users of ${host.ip}: they are kicked and forgotten`;
      this.#directory.flushHost(host.ip);
    }
    this.#state = JobState.finishing;
  }

  progress(nowMs: number): JobProgress {
    const movedCount = this.#toldCount - this.#moving.size;
    const untilMs = this.hasEnded ? this.#endedMs : nowMs;
    const secs = this.#firstMoveMs === 0 ? 0 : (untilMs - this.#firstMoveMs) / 1000;
    return {
      state: this.#isWaiting && this.#isMoving ? JobState.waiting : this.#state,
      movedCount,
      totalCount: Math.max(this.#totalCount, this.#toldCount),
      movingCount: this.#moving.size,
      busyCount: this.#busyLeft,
      ratePerSec: secs === 0 ? 0 : movedCount / secs,
      startedMs: this.#startedMs,
      endedMs: this.#endedMs,
      leftSecs: this.#leftSecs(movedCount, secs, nowMs),
      note: this.#note,
    };
  }

  #leftSecs(movedCount: number, secs: number, nowMs: number): number | null {
    if (this.hasEnded) return 0;
    const left = Math.max(this.#totalCount, this.#toldCount) - movedCount;
    const byRate = movedCount === 0 || secs === 0 ? null : Math.ceil((left * secs) / movedCount);
    const { withinMs } = this.order;
    if (withinMs === null || left === 0) return left === 0 ? 0 : byRate;
    // It takes its time even if it could be faster; past it, only the rate tells.
    const untilEnd = Math.ceil((this.#startedMs + withinMs - nowMs) / 1000);
    return untilEnd > 0 ? untilEnd : byRate;
  }
}
