import type { ShownJob } from '../moves/move-jobs.ts';
import type { JobProgress, JobState, MoveOrder } from '../moves/move-order.ts';
import type { AdminDirector } from './admin-director.ts';
import { adminLimits } from './admin-limits.ts';
import { parseUint32 } from './admin-protocol.ts';
import type { Job } from './admin-work.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import {
  type AdminLog,
  anytime,
  type Command,
  type CommandContext,
  needAddress,
  whoOf,
} from './command.ts';

export const resetCommands: Readonly<Record<string, Command>> = {
  'HOST-RESET-USERS': anytime(resetUsers),
};

/**
 * HOST-RESET-USERS [ADDRESS] [N]: moves the users of a backend, or of all, to where their hash says
 * now, at most N at a time. OK says that the last of them has been told to go. It goes on when the client
 * is gone.
 */
function* resetUsers(context: CommandContext, args: readonly string[]): AnswerPart {
  const { director, work, log } = context;
  const [address = '', limit] = args;
  const maxMoving = limit === undefined ? director.maxParallelMoves : (parseUint32(limit) ?? 0);
  if (maxMoving === 0) throw new BadCommand('doveadm sent invalid HOST-RESET-USERS parameters');
  const hosts = director.view.hosts().map(({ ip }) => ip);
  const bad = `doveadm sent invalid HOST-RESET-USERS ip: ${address}`;
  const only = address === '' ? null : needAddress(address, bad);
  if (only !== null && !hosts.includes(only)) {
    yield 'NOTFOUND\n';
    return;
  }
  if (work.jobCount >= adminLimits.resets) {
    yield 'too many commands of this kind - try again later\n';
    return;
  }
  log('info', `HOST-RESET-USERS ${only ?? 'all'} (max parallel=${maxMoving})`);
  const by = whoOf(context);
  const limits = { maxMoving, ratePerSec: null, withinMs: null };
  const order: MoveOrder = { kind: 'flush', ip: only, by, ...limits };
  const job = new ResetJob(director, log, only === null ? hosts : [only], order);
  const ended = director.moves.jobs.show(job);
  yield work.start({
    step(nowMs) {
      const outcome = director.moves.orderedBy(`flush by ${by}`, () => job.step(nowMs));
      if (outcome === 'done') ended();
      return outcome;
    },
  });
  yield job.isInterrupted ? 'interrupted\n' : 'OK\n';
}

class ResetJob implements Job, ShownJob {
  readonly order: MoveOrder;
  readonly #director: AdminDirector;
  readonly #log: AdminLog;
  readonly #ips: readonly string[];
  #hostIndex = 0;
  #moves: ReturnType<AdminDirector['orders']['resetHost']> = null;
  #movedBefore = 0;
  #startedMs = 0;
  #progressMs = 0;
  #endedMs = 0;
  isInterrupted = false;

  constructor(director: AdminDirector, log: AdminLog, ips: readonly string[], order: MoveOrder) {
    this.#director = director;
    this.#log = log;
    this.#ips = ips;
    this.order = order;
  }

  get #movedCount(): number {
    return this.#movedBefore + (this.#moves?.movedCount ?? 0);
  }

  step(nowMs: number): 'more' | 'blocked' | 'done' {
    if (this.#startedMs === 0) {
      this.#startedMs = nowMs;
      this.#progressMs = nowMs + adminLimits.resetProgressMs;
    }
    if (nowMs >= this.#progressMs) {
      this.#progressMs = nowMs + adminLimits.resetProgressMs;
      this.#log('info', `Moved ${this.#movedCount} users so far (${this.#ips[this.#hostIndex]})`);
    }
    if (this.isInterrupted) return this.#end(nowMs);
    // Where users belong is not agreed on while hosts are changing.
    if (!this.#director.ring.isSynced) return 'blocked';
    return this.#stepHost(nowMs);
  }

  #stepHost(nowMs: number): 'more' | 'blocked' | 'done' {
    if (this.#hostIndex === this.#ips.length) return this.#end(nowMs);
    const ip = this.#ips[this.#hostIndex];
    this.#moves ??= this.#director.orders.resetHost(ip);
    // Null: it was removed meanwhile, and its users with it.
    const outcome = this.#moves?.step(this.order.maxMoving, nowMs) ?? 'done';
    if (outcome === 'more' || outcome === 'blocked') return outcome;
    if (outcome === 'nowhere') {
      this.#log('warn', `No backend is left for the users of ${ip}: they are kicked and forgotten`);
    }
    this.#movedBefore = this.#movedCount;
    this.#moves = null;
    this.#hostIndex++;
    return 'more';
  }

  #end(nowMs: number): 'done' {
    this.#endedMs = nowMs;
    const secs = ((nowMs - this.#startedMs) / 1000).toFixed(3);
    this.#log(
      'info',
      `Moved ${this.#movedCount} users in ${this.#ips.length} hosts in ${secs} secs ` +
        `(max parallel=${this.order.maxMoving})`,
    );
    return 'done';
  }

  interrupt(): void {
    this.isInterrupted = true;
  }

  /** Nobody has counted who is to be moved; the last ones may be on their way when it is done. */
  progress(nowMs: number): JobProgress {
    const movedCount = this.#movedCount;
    const secs = ((this.#endedMs || nowMs) - this.#startedMs) / 1000;
    const isWorking = this.#startedMs !== 0 && this.#endedMs === 0;
    return {
      ...{ state: this.#state, movedCount, totalCount: movedCount, busyCount: 0 },
      movingCount: isWorking ? this.#director.moves.movingCount : 0,
      ratePerSec: this.#startedMs === 0 || secs === 0 ? 0 : movedCount / secs,
      ...{ startedMs: this.#startedMs, endedMs: this.#endedMs },
      leftSecs: this.#endedMs === 0 ? null : 0,
      note: this.#startedMs === 0 ? 'waits for another HOST-RESET-USERS' : '',
    };
  }

  get #state(): JobState {
    if (this.#endedMs !== 0) return this.isInterrupted ? 'interrupted' : 'done';
    if (this.isInterrupted) return 'stopping';
    return this.#startedMs === 0 || !this.#director.ring.isSynced ? 'waiting' : 'moving';
  }
}
