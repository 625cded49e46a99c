import { httpClientLimits } from '../../../shared/limits.ts';

/** Counts logins of connections, by session id, as nginx tells them to its script. */
export class LoginAttempts {
  readonly #counts = new Map<string, number>();

  /** Number of this attempt, from 1. */
  next(sessionId: string): number {
    const attempt = (this.#counts.get(sessionId) ?? 0) + 1;
    // Behind all others, so that the one in front is who has not tried for the longest time.
    this.#counts.delete(sessionId);
    this.#counts.set(sessionId, attempt);
    if (this.#counts.size > httpClientLimits.countedConnections) {
      const [oldest] = this.#counts.keys();
      this.#counts.delete(oldest);
    }
    return attempt;
  }

  succeeded(sessionId: string): void {
    this.#counts.delete(sessionId);
  }
}
