/**
 * Logins that wait for the directory: the user is being killed, or there is no backend. Dovecot's
 * limit and error text (director/director-request.c of 2.3.19.1).
 */
export const REQUEST_TIMEOUT_MS = 30_000;
/** More waiting logins than this are refused at once. */
export const MAX_WAITING_REQUESTS = 200_000;

export const DelayReason = {
  ringNotHandshaked: 'ring not handshaked',
  ringNotSynced: 'ring not synced',
  noHosts: 'no hosts',
  weak: 'weak user',
  kill: 'kill waiting',
} as const;
export type DelayReason = (typeof DelayReason)[keyof typeof DelayReason];

export interface LoginRequest {
  readonly workerId: number;
  readonly requestId: number;
  readonly tagIndex: number;
  readonly userHash: number;
  /** It has waited since then already, Unix seconds. */
  readonly sinceSecs?: number;
}

interface WaitingRequest extends LoginRequest {
  readonly createdMs: number;
  reason: DelayReason;
}

/** Tag index and user hash as one exact number. */
export function userKey(tagIndex: number, userHash: number): number {
  return tagIndex * 0x1_0000_0000 + userHash;
}

/** The waiting logins, found by user. */
export class LoginRequests {
  readonly #waiting = new Set<WaitingRequest>();
  readonly #max: number;
  readonly #byUser = new Map<number, Set<WaitingRequest>>();

  constructor(max = MAX_WAITING_REQUESTS) {
    this.#max = max;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** False when the table is full. */
  add(request: LoginRequest, reason: DelayReason, createdMs: number): boolean {
    if (this.#waiting.size >= this.#max) return false;
    const waiting: WaitingRequest = { ...request, reason, createdMs };
    this.#waiting.add(waiting);
    const key = userKey(request.tagIndex, request.userHash);
    const ofUser = this.#byUser.get(key);
    if (ofUser === undefined) this.#byUser.set(key, new Set([waiting]));
    else ofUser.add(waiting);
    return true;
  }

  /** Takes out the logins of one user, to be tried again. */
  takeUser(tagIndex: number, userHash: number): (LoginRequest & { readonly createdMs: number })[] {
    const key = userKey(tagIndex, userHash);
    const taken = [...(this.#byUser.get(key) ?? [])];
    this.#byUser.delete(key);
    for (const request of taken) this.#waiting.delete(request);
    return taken;
  }

  /** Takes out all logins that wait for one of these reasons, oldest first. */
  takeReasons(
    ...reasons: readonly DelayReason[]
  ): (LoginRequest & { readonly createdMs: number })[] {
    return this.#take((request) => reasons.includes(request.reason));
  }

  /** Takes out the logins of a worker that is gone. */
  dropWorker(workerId: number): void {
    this.#take((request) => request.workerId === workerId);
  }

  /** Takes out what has waited too long. */
  takeExpired(
    nowMs: number,
  ): (LoginRequest & { readonly createdMs: number; reason: DelayReason })[] {
    const expired: WaitingRequest[] = [];
    for (const request of this.#waiting) {
      if (nowMs - request.createdMs >= REQUEST_TIMEOUT_MS) expired.push(request);
    }
    for (const request of expired) this.#remove(request);
    return expired;
  }

  #take(matches: (request: WaitingRequest) => boolean): WaitingRequest[] {
    const taken = [...this.#waiting].filter(matches);
    for (const request of taken) this.#remove(request);
    return taken;
  }

  #remove(request: WaitingRequest): void {
    this.#waiting.delete(request);
    const key = userKey(request.tagIndex, request.userHash);
    const ofUser = this.#byUser.get(key);
    if (ofUser?.delete(request) && ofUser.size === 0) this.#byUser.delete(key);
  }
}

export interface TimeoutFacts {
  readonly tag: string;
  readonly isSynced: boolean;
  /** When isSynced changed last; 0 = never synced. */
  readonly syncChangedMs: number;
  readonly isWeak: boolean;
  /** The user's stamp; 0 = no such user. */
  readonly refreshedSecs: number;
}

/** Dovecot's text for a login that waited in vain; for the log. */
export function timeoutText(
  request: LoginRequest & { readonly createdMs: number; readonly reason: DelayReason },
  facts: TimeoutFacts,
  nowMs: number,
): string {
  const queuedSecs = Math.floor((nowMs - request.createdMs) / 1000);
  const syncedSecs = Math.floor((nowMs - facts.syncChangedMs) / 1000);
  const ring =
    facts.syncChangedMs === 0
      ? 'Ring has never been synced'
      : `Ring ${facts.isSynced ? '' : 'not '}synced for ${syncedSecs} secs`;
  const refreshedSecs = Math.max(0, Math.floor(nowMs / 1000) - facts.refreshedSecs);
  const user =
    facts.refreshedSecs === 0
      ? ''
      : `${facts.isWeak ? ', weak user' : ''}, user refreshed ${refreshedSecs} secs ago`;
  const tag = facts.tag === '' ? '' : `, tag=${facts.tag}`;
  return (
    `Timeout because ${request.reason} - queued for ${queuedSecs} secs ` +
    `(${ring}${user}, hash=${request.userHash}${tag})`
  );
}
