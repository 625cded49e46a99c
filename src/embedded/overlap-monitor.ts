import { EMBEDDED_LIMITS } from './limits.ts';

/** A login on one backend while the same user had a session on another. */
export interface OverlapViolation {
  readonly user: string;
  readonly backend: string;
  readonly sessionId: string;
  /** The other backends with open sessions of this user, with their number. */
  readonly others: readonly { readonly backend: string; readonly sessions: number }[];
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What the monitor needs of a session; every backend's session events have it. */
export interface MonitoredSession {
  readonly backend: string;
  readonly user: string;
  readonly sessionId: string;
}

/** Any source of login and logout events: an EmbeddedBackend, in practice. */
export interface SessionSource {
  on(event: 'login' | 'logout', listener: (session: MonitoredSession) => void): unknown;
}

/**
 * Measures the one promise from the backends' side: a user never has sessions on two backends at
 * the same time. It is shared by all backends of a test or a demo.
 *
 * Names are compared as the backends received them. A session counts from the moment its backend
 * accepted the login (before the reply leaves) to the moment the backend saw its end.
 */
export class OverlapMonitor {
  readonly #sessions = new Map<string, Map<string, number>>();
  readonly #violations: OverlapViolation[] = [];
  readonly #now: () => number;
  #violationCount = 0;
  #loginCount = 0;
  #openCount = 0;
  #peakCount = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Follows a backend's sessions from now on. */
  watch(backend: SessionSource): void {
    backend.on('login', (session) => this.opened(session));
    backend.on('logout', (session) => this.closed(session));
  }

  opened(session: MonitoredSession): void {
    let onBackends = this.#sessions.get(session.user);
    if (onBackends === undefined) {
      onBackends = new Map();
      this.#sessions.set(session.user, onBackends);
    }
    const hadHere = onBackends.get(session.backend) ?? 0;
    if (onBackends.size > (hadHere > 0 ? 1 : 0)) this.#record(session, onBackends);
    onBackends.set(session.backend, hadHere + 1);
    this.#loginCount++;
    this.#openCount++;
    this.#peakCount = Math.max(this.#peakCount, this.#openCount);
  }

  closed(session: MonitoredSession): void {
    const onBackends = this.#sessions.get(session.user);
    const had = onBackends?.get(session.backend);
    if (onBackends === undefined || had === undefined) {
      throw new Error(`logout without login: ${session.user} on ${session.backend}`);
    }
    this.#openCount--;
    if (had > 1) {
      onBackends.set(session.backend, had - 1);
      return;
    }
    onBackends.delete(session.backend);
    if (onBackends.size === 0) this.#sessions.delete(session.user);
  }

  /** How often the promise was broken. */
  get violationCount(): number {
    return this.#violationCount;
  }

  /** Details of the first violations, up to a limit. */
  get violations(): readonly OverlapViolation[] {
    return this.#violations;
  }

  get loginCount(): number {
    return this.#loginCount;
  }

  get openSessions(): number {
    return this.#openCount;
  }

  get peakSessions(): number {
    return this.#peakCount;
  }

  /** The backends a user has sessions on at this moment. */
  backendsOf(user: string): string[] {
    return [...(this.#sessions.get(user)?.keys() ?? [])];
  }

  #record(session: MonitoredSession, onBackends: ReadonlyMap<string, number>): void {
    this.#violationCount++;
    if (this.#violations.length >= EMBEDDED_LIMITS.maxRememberedViolations) return;
    this.#violations.push({
      user: session.user,
      backend: session.backend,
      sessionId: session.sessionId,
      others: [...onBackends]
        .filter(([backend]) => backend !== session.backend)
        .map(([backend, sessions]) => ({ backend, sessions })),
      at: this.#now(),
    });
  }
}
