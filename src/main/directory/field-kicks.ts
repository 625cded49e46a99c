import type { DirectoryCore } from './core.ts';
import { KICK_TIMEOUT_MS } from './worker-kicks.ts';

interface FieldKick {
  readonly waitingFor: Set<number>;
  /** Infinity until the next tick. */
  endMs: number;
}

/**
 * Kicks by user name or another field: every worker ends the sessions that have it. Nothing waits for them
 * but the commands that order further ones (max_parallel_kicks).
 */
export class FieldKicks {
  readonly #core: DirectoryCore;
  readonly #kicks = new Map<number, FieldKick>();

  constructor(core: DirectoryCore) {
    this.#core = core;
  }

  /** Kicks whose sessions are not all closed yet. */
  get size(): number {
    return this.#kicks.size;
  }

  kick(field: string, value: string): void {
    const workerIds = [...this.#core.sessions.workerIds()];
    if (workerIds.length === 0) return;
    const killId = this.#core.nextKillId();
    const waitingFor = new Set(workerIds);
    this.#kicks.set(killId, { waitingFor, endMs: Number.POSITIVE_INFINITY });
    for (const workerId of workerIds) this.#core.effects.kickField(workerId, field, value, killId);
  }

  acknowledge(killId: number, workerId: number): void {
    const kick = this.#kicks.get(killId);
    if (kick?.waitingFor.delete(workerId) && kick.waitingFor.size === 0) this.#kicks.delete(killId);
  }

  workerGone(workerId: number): void {
    for (const killId of [...this.#kicks.keys()]) this.acknowledge(killId, workerId);
  }

  tick(nowMs: number): void {
    for (const [killId, kick] of this.#kicks) {
      if (kick.endMs === Number.POSITIVE_INFINITY) kick.endMs = nowMs + KICK_TIMEOUT_MS;
      if (kick.endMs > nowMs) continue;
      this.#kicks.delete(killId);
      this.#core.effects.log('error', 'Failed to kick sessions: no answer of a worker');
    }
  }
}
