import { tabEscape } from '../../shared/wire/tab-escape.ts';
import type { ListedJob, StartOutcome } from '../moves/move-jobs.ts';
import { DEFAULT_REBALANCE_RATE, moveLimits } from '../moves/move-limits.ts';
import type { MoveOrder } from '../moves/move-order.ts';
import { parseUint32 } from './admin-protocol.ts';
import type { AnswerPart } from './answer.ts';
import { type Command, type CommandContext, whoOf } from './command.ts';
import { own, readAddress, readNumber } from './own-command.ts';

/** Long moves as jobs: not in Dovecot. */
export const moveCommands: Readonly<Record<string, Command>> = {
  'X-FLUSH': own(start('X-FLUSH')),
  'X-DRAIN': own(start('X-DRAIN')),
  'X-REBALANCE': own(start('X-REBALANCE')),
  'X-MOVES': own(listJobs),
  'X-INTERRUPT': own(interrupt),
};

function start(name: string): Command['run'] {
  return function* (context, args) {
    const order = readMoveOrder(context, name, args);
    yield startAnswer(context.director.moves.jobs.start(order));
  };
}

/**
 * X-FLUSH [ADDRESS] [N] [RATE] (no address means all backends), X-DRAIN ADDRESS [SECONDS] [N] [RATE],
 * X-REBALANCE [N] [RATE]. Throws Refusal.
 */
export function readMoveOrder(
  context: CommandContext,
  name: string,
  args: readonly string[],
): MoveOrder {
  const by = whoOf(context);
  switch (name) {
    case 'X-FLUSH': {
      const [address = '', limit, rate] = args;
      const ip = address === '' ? null : readAddress(address);
      return { kind: 'flush', ip, withinMs: null, by, ...readLimits(context, limit, rate, null) };
    }
    case 'X-DRAIN': {
      const [address = '', within, limit, rate] = args;
      const ip = readAddress(address);
      const secs = readNumber('time', within, 1, moveLimits.withinMs / 1000);
      const withinMs = secs === null ? null : secs * 1000;
      return { kind: 'drain', ip, withinMs, by, ...readLimits(context, limit, rate, null) };
    }
    default: {
      const [limit, rate] = args;
      const limits = readLimits(context, limit, rate, DEFAULT_REBALANCE_RATE);
      return { kind: 'rebalance', ip: null, withinMs: null, by, ...limits };
    }
  }
}

function startAnswer(outcome: StartOutcome): string {
  switch (outcome.kind) {
    case 'started':
    case 'joined':
      return `JOB\t${outcome.id}\t${outcome.kind}\n`;
    case 'unknown-host':
      return 'NOTFOUND\n';
    case 'refused':
      return `${outcome.text}\n`;
  }
}

/** A rate of 0 is no limit. */
function readLimits(
  { director }: CommandContext,
  limit: string | undefined,
  rate: string | undefined,
  defaultRate: number | null,
): { maxMoving: number; ratePerSec: number | null } {
  const maxMoving = readNumber('limit', limit, 1, moveLimits.maxMoving);
  const ratePerSec = readNumber('rate', rate, 0, moveLimits.maxRate);
  return {
    maxMoving: maxMoving ?? Math.min(director.maxParallelMoves, moveLimits.maxMoving),
    ratePerSec: ratePerSec === null ? defaultRate : ratePerSec === 0 ? null : ratePerSec,
  };
}

/** X-MOVES [ID]: all jobs, or one. */
function* listJobs({ director }: CommandContext, [id]: readonly string[]): AnswerPart {
  const { jobs } = director.moves;
  const one = id === undefined ? null : jobs.get(parseUint32(id) ?? 0);
  const listed = id === undefined ? jobs.list() : one === null ? [] : [one];
  yield `${listed.map(jobLine).join('')}\n`;
}

function jobLine({ id, order, progress }: ListedJob): string {
  const { kind, ip, maxMoving, ratePerSec, withinMs, by } = order;
  const { state, movedCount, totalCount, movingCount, busyCount, leftSecs, note } = progress;
  const fields = [
    ...[id, kind, ip ?? '', state, movedCount, totalCount, movingCount, busyCount],
    ...[progress.ratePerSec.toFixed(1), leftSecs ?? '', toSecs(progress.startedMs)],
    ...[toSecs(progress.endedMs), maxMoving, ratePerSec ?? '', withinMs ? withinMs / 1000 : ''],
    ...[by, note],
  ];
  return `${fields.map((field) => tabEscape(String(field))).join('\t')}\n`;
}

function toSecs(ms: number): number {
  return Math.floor(ms / 1000);
}

/** X-INTERRUPT ID: users on the way arrive, the others stay. */
function* interrupt(context: CommandContext, [id = '']: readonly string[]): AnswerPart {
  const { jobs } = context.director.moves;
  const isStopping = jobs.interrupt(parseUint32(id) ?? 0, whoOf(context));
  if (isStopping === null) yield 'NOTFOUND\n';
  else yield isStopping ? 'OK\n' : 'the job is over\n';
}
