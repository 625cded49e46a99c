import type { DirectoryCore } from './core.ts';
import { KICK_TIMEOUT_MS } from './worker-kicks.ts';

/** How far a kick is, for whoever waits for it. */
export interface KickProgress {
  /** `closed`: all of its sessions, here. `failed`: a worker has not answered. */
  readonly outcome: 'open' | 'closed' | 'failed';
}

interface FieldKick {
  readonly waitingFor: Set<number>;
  readonly progress: { outcome: KickProgress['outcome'] };
  /** Infinity until the next tick. */
  endMs: number;
}

/**
 * Kicks by user name or another field: every worker ends the sessions that have it. Nothing waits for them
 * but commands: those that order further ones (max_parallel_kicks), and those that want to know.
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

  kick(field: string, value: string): KickProgress {
    const workerIds = [...this.#core.sessions.workerIds()];
    if (workerIds.length === 0) return { outcome: 'closed' };
    const killId = this.#core.nextKillId();
    const waitingFor = new Set(workerIds);
    const progress: FieldKick['progress'] = { outcome: 'open' };
    this.#kicks.set(killId, { waitingFor, progress, endMs: Number.POSITIVE_INFINITY });
    for (const workerId of workerIds) this.#core.effects.kickField(workerId, field, value, killId);
    return progress;
  }

  acknowledge(killId: number, workerId: number): void {
    const kick = this.#kicks.get(killId);
    if (kick?.waitingFor.delete(workerId) && kick.waitingFor.size === 0) {
      this.#kicks.delete(killId);
      kick.progress.outcome = 'closed';
    }
  }

  workerGone(workerId: number): void {
    for (const killId of [...this.#kicks.keys()]) this.acknowledge(killId, workerId);
  }

  tick(nowMs: number): void {
    for (const [killId, kick] of this.#kicks) {
      if (kick.endMs === Number.POSITIVE_INFINITY) kick.endMs = nowMs + KICK_TIMEOUT_MS;
      if (kick.endMs > nowMs) continue;
      this.#kicks.delete(killId);
      kick.progress.outcome = 'failed';
      this.#core.effects.log('error', 'Failed to kick sessions: no answer of a worker');
    }
  }
}
