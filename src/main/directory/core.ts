import { AssignmentState } from '../../shared/memory/assignment.ts';
import { CONTROL_WORDS, EPOCH, type Publication } from '../../shared/memory/directory-memory.ts';
import type { RingedHosts } from './directory-status.ts';
import type { FlushRequest } from './flush-request.ts';
import type { HostUpdate } from './host-changes.ts';
import { type Host, HostSet, type MailServer } from './host-set.ts';
import { type LoginRequest, LoginRequests } from './login-requests.ts';
import { type Origin, type RingLink, SELF } from './ring-link.ts';
import { Sessions } from './sessions.ts';
import { StaleNews } from './stale-news.ts';
import { Users } from './users.ts';

/** What the directory wants done. Calls come inside its methods, in order. */
export interface DirectoryEffects {
  /** Post to every worker, in order, before returning. */
  publish(publication: Publication): void;
  /**
   * Tell a worker to end the sessions of these users, but for those on the host `exceptHostId` (0: no
   * exception), and to acknowledge when they are closed.
   */
  kick(
    workerId: number,
    killId: number,
    tagIndex: number,
    userHashes: readonly number[],
    exceptHostId: number,
  ): void;
  /** Tell a worker to end the sessions whose `field` has this value, and to acknowledge as above. */
  kickField(workerId: number, field: string, value: string, killId: number): void;
  /** A worker has not acknowledged a kick for so long that it must be taken for hung: end it. */
  workerHangs(workerId: number): void;
  /** Run the site's flush script for a user that is being moved; its end is told to flushed(). */
  flush(request: FlushRequest): void;
  /** Answer a login request: null = read the directory again; else why it failed (for the log). */
  answer(workerId: number, requestId: number, error: string | null): void;
  /** A user with sessions, or any user that is moved, has to go. */
  moving?(event: MoveEvent): void;
  /** The ring has become synced: orders that have waited for it may go on. */
  synced?(): void;
  log(level: 'info' | 'warn' | 'error', message: string): void;
}

/** What happens to a user, as it begins. */
export interface MoveEvent {
  readonly kind: 'move' | 'purge' | 'conflict';
  readonly tagIndex: number;
  readonly userHash: number;
  /** 0 = none. */
  readonly oldHostId: number;
  /** 0: the user is forgotten. */
  readonly newHostId: number;
  /** Who ordered a move; null: nobody did. */
  readonly origin: Origin | null;
}

export interface DirectoryOptions {
  readonly userExpireSecs: number;
  readonly userKickDelayMs: number;
  readonly hashUser: (name: string) => number;
  /** What is configured. */
  readonly mailServers: readonly MailServer[];
  /** The backends to begin with; null or missing: the configured ones, all of them up. */
  readonly startHosts?: readonly HostUpdate[] | null;
  readonly nowMs: number;
  /** There are other directors: users near their expiry are agreed on with them. */
  readonly hasRing?: boolean;
  /** A flush script is configured. */
  readonly hasFlushScript?: boolean;
}

/** As Dovecot 2.3.19.1: a tenth of user_expire, within these bounds (director/user-directory.c). */
const NEAR_EXPIRY_PERCENT = 10;
const NEAR_EXPIRY_MIN_SECS = 3;
const NEAR_EXPIRY_MAX_SECS = 30;
/**
 * How long an expired user is still remembered for the sake of directors whose clocks are behind, or
 * who have not been told of the last refresh: clocks within 60 s of each other, and the delay of announcements.
 */
export const GHOST_SECS = 120;

/** The last seconds before a user's expiry, in which another director may have forgotten it already. */
export function nearExpirySecs(userExpireSecs: number, hasRing: boolean): number {
  if (!hasRing) return 0;
  const near = Math.floor((userExpireSecs * NEAR_EXPIRY_PERCENT) / 100);
  return Math.max(NEAR_EXPIRY_MIN_SECS, Math.min(NEAR_EXPIRY_MAX_SECS, near));
}

/** What the parts of the directory share. */
export class DirectoryCore {
  readonly control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly options: DirectoryOptions;
  readonly effects: DirectoryEffects;
  readonly users = new Users((publication) => this.publish(publication));
  readonly sessions = new Sessions();
  readonly requests = new LoginRequests();
  readonly staleNews = new StaleNews();
  readonly current: RingedHosts;
  /** Replaced once, before the first login, when there is a ring. */
  ring: RingLink;
  /** A user not seen for user_expire minus this is put to the ring. 0 without one. */
  readonly nearSecs: number;
  #lastKillId = 0;
  /** Tries a waiting login again. */
  retry: (request: LoginRequest, createdMs: number, nowMs: number) => void = () => {};

  constructor(options: DirectoryOptions, effects: DirectoryEffects, ring: RingLink) {
    this.options = options;
    this.effects = effects;
    this.ring = ring;
    this.nearSecs = nearExpirySecs(options.userExpireSecs, options.hasRing === true);
    const hosts = new HostSet();
    this.users.addTag(hosts.tags[0]);
    this.current = { hosts, ring: hosts.buildRing() };
  }

  nextKillId(): number {
    return ++this.#lastKillId;
  }

  get ghostSecs(): number {
    return this.options.hasRing === true ? GHOST_SECS : 0;
  }

  /** Posted first, counted second: see Publication. */
  publish(publication: Publication): void {
    this.effects.publish(publication);
    Atomics.add(this.control, EPOCH, 1);
  }

  /**
   * The host's users are forgotten; the others have just been told. Alone we cross with nobody, and nobody's
   * SYNC ends the time of doubt. `via` as in Origin, if it is certain that none of them are spoken of by that
   * connection any more.
   */
  noteForgotten(host: Host, via = 0): void {
    this.staleNews.note(host, this.ring.barrier(), via, this.hasOthers);
  }

  /** There are directors that can be asked. */
  get hasOthers(): boolean {
    return this.ghostSecs > 0 && !this.ring.isAlone;
  }

  /**
   * The user is forgotten, or placed, but another director may not do the same: the others are asked about
   * it at its next login. (A ghost without a host, so that no host looks like the one that it had.)
   */
  rememberUnsure(tagIndex: number, userHash: number, stampSecs: number): void {
    if (this.ghostSecs === 0) this.users.delete(tagIndex, userHash);
    else this.users.put(tagIndex, userHash, AssignmentState.expired, 0, stampSecs);
  }

  /**
   * Tells the other directors that the user was seen on the host. Not of a host that is removed, or has
   * another tag now: the others know a host's tag only by its address, and would take the user for one of
   * that tag.
   */
  announce(tagIndex: number, userHash: number, hostId: number): void {
    const host = this.current.hosts.byId(hostId);
    if (host?.tagIndex !== tagIndex) return;
    const table = this.users.table(tagIndex);
    const stampSecs = table.stampSecs(userHash);
    table.setAnnounced(userHash, stampSecs);
    this.ring.user(SELF, userHash, host.ip, stampSecs);
  }

  /** The user's waiting logins are tried again. */
  wakeUser(tagIndex: number, userHash: number, nowMs: number): void {
    for (const request of this.requests.takeUser(tagIndex, userHash)) {
      this.retry(request, request.createdMs, nowMs);
    }
  }

  /**
   * The user's last session may have been closed a moment ago (a session's end raises the stamp):
   * then its backend may still serve it, and user_kick_delay has to pass as after a kick.
   */
  wasSeenJustNow(stampSecs: number, nowMs: number): boolean {
    const { userKickDelayMs } = this.options;
    // The stamp says no more than the second.
    return userKickDelayMs > 0 && (stampSecs + 1) * 1000 + userKickDelayMs > nowMs;
  }
}

export function toSecs(ms: number): number {
  return Math.floor(ms / 1000);
}
