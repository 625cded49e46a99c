/** A backend that has failed for this long without a success counts as down (Dovecot's default). */
export const IMMEDIATE_FAILURE_AFTER_MS = 30_000;

/** How a connection attempt ended; `aborted`: given up for a reason of ours or the client's. */
export type ConnectOutcome = 'connected' | 'failed' | 'aborted';

interface HostHealth {
  lastFailureMs: number;
  lastSuccessMs: number;
  connecting: number;
}

/**
 * What this worker knows of each backend address and port, so that a dead one does not hold every
 * login for the length of its retries: while it is down, one login at a time tries it and the others
 * fail at once (login-common/login-proxy-state.c, proxy_host_immediate_failure_after).
 */
export class BackendHealth {
  readonly #hosts = new Map<string, HostHealth>();

  /** False when a connection should not even be tried; else it counts until settled(). */
  mayConnect(key: string, nowMs: number): boolean {
    let health = this.#hosts.get(key);
    if (health === undefined) {
      health = { lastFailureMs: 0, lastSuccessMs: nowMs, connecting: 0 };
      this.#hosts.set(key, health);
    }
    const isDown = health.lastFailureMs - health.lastSuccessMs > IMMEDIATE_FAILURE_AFTER_MS;
    if (isDown && health.connecting > 0) return false;
    health.connecting++;
    return true;
  }

  /** @param startedMs time of the mayConnect() that this ends */
  settled(key: string, outcome: ConnectOutcome, startedMs: number, nowMs: number): void {
    const health = this.#hosts.get(key);
    if (health === undefined) return;
    health.connecting--;
    if (outcome === 'connected') health.lastSuccessMs = nowMs;
    // An attempt that is older than the last success says nothing of the backend as it is now.
    else if (outcome === 'failed' && startedMs >= health.lastSuccessMs)
      health.lastFailureMs = nowMs;
  }
}
