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
  const job = new ResetJob(director, log, only === null ? hosts : [only], maxMoving);
  const who = `flush by ${whoOf(context)}`;
  yield work.start({ step: (nowMs) => director.moves.orderedBy(who, () => job.step(nowMs)) });
  yield 'OK\n';
}

class ResetJob implements Job {
  readonly #director: AdminDirector;
  readonly #log: AdminLog;
  readonly #ips: readonly string[];
  readonly #maxMoving: number;
  #hostIndex = 0;
  #moves: ReturnType<AdminDirector['orders']['resetHost']> = null;
  #movedBefore = 0;
  #startedMs = 0;
  #progressMs = 0;

  constructor(director: AdminDirector, log: AdminLog, ips: readonly string[], maxMoving: number) {
    this.#director = director;
    this.#log = log;
    this.#ips = ips;
    this.#maxMoving = maxMoving;
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
    // Where users belong is not agreed on while hosts are changing.
    if (!this.#director.ring.isSynced) return 'blocked';
    return this.#stepHost(nowMs);
  }

  #stepHost(nowMs: number): 'more' | 'blocked' | 'done' {
    if (this.#hostIndex === this.#ips.length) {
      this.#logEnd(nowMs);
      return 'done';
    }
    const ip = this.#ips[this.#hostIndex];
    this.#moves ??= this.#director.orders.resetHost(ip);
    // Null: it was removed meanwhile, and its users with it.
    const outcome = this.#moves?.step(this.#maxMoving, nowMs) ?? 'done';
    if (outcome === 'more' || outcome === 'blocked') return outcome;
    if (outcome === 'nowhere') {
      this.#log('warn', `No backend is left for the users of ${ip}: they are kicked and forgotten`);
    }
    this.#movedBefore = this.#movedCount;
    this.#moves = null;
    this.#hostIndex++;
    return 'more';
  }

  #logEnd(nowMs: number): void {
    const secs = ((nowMs - this.#startedMs) / 1000).toFixed(3);
    this.#log(
      'info',
      `Moved ${this.#movedCount} users in ${this.#ips.length} hosts in ${secs} secs ` +
        `(max parallel=${this.#maxMoving})`,
    );
  }
}
