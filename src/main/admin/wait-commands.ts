import type { KickProgress } from '../directory/field-kicks.ts';
import { adminLimits } from './admin-limits.ts';
import type { AnswerPart } from './answer.ts';
import { type Command, type CommandContext, loggable } from './command.ts';
import { hashOf, own, Refusal, readNumber } from './own-command.ts';

const TRY_AGAIN = 'TRYAGAIN\n';
const SECOND_MS = 1000;

/** Moves and kicks that are answered when they are finished: not in Dovecot. */
export const waitCommands: Readonly<Record<string, Command>> = {
  'X-WAIT-MOVE': own(waitForMove),
  'X-KICK': own(kickUser),
  'X-KICK-ALT': own(kickUserAlt),
};

/** X-WAIT-MOVE USER [SECONDS]: OK when the user is not being moved (any more). */
function* waitForMove(context: CommandContext, args: readonly string[]): AnswerPart {
  const { view, moves } = context.director;
  const [name = '', limit] = args;
  const hash = hashOf(view, name);
  const wait = context.work.until(() => moves.killState(hash) === null, limitMs(limit));
  if (!wait.isOver) yield wait;
  yield wait.isFulfilled ? 'OK\n' : `TIMEOUT\t${moves.killState(hash) ?? ''}\n`;
}

/** X-KICK USER [SECONDS]: as USER-KICK; OK says that all sessions of this director are closed. */
function* kickUser(context: CommandContext, args: readonly string[]): AnswerPart {
  const [name = '', limit] = args;
  if (name === '') throw new Refusal('a user is wanted');
  yield* kick(context, limitMs(limit), `X-KICK ${loggable(name)}`, (orders) => {
    return orders.kickUser(name);
  });
}

/** X-KICK-ALT FIELD VALUE [SECONDS]: as USER-KICK-ALT, likewise. */
function* kickUserAlt(context: CommandContext, args: readonly string[]): AnswerPart {
  const [field = '', value = '', limit] = args;
  if (field === '' || value === '') throw new Refusal('a field and its value are wanted');
  const what = `X-KICK-ALT ${loggable(field)} ${loggable(value)}`;
  yield* kick(context, limitMs(limit), what, (orders) => orders.kickUserAlt(field, value));
}

/** A kick that does not have its turn within the time is not ordered. */
function* kick(
  { director: { orders, maxParallelKicks }, work, log }: CommandContext,
  waitMs: number,
  what: string,
  order: (orders: CommandContext['director']['orders']) => KickProgress,
): AnswerPart {
  const turn = work.until(() => orders.kickCount < maxParallelKicks, waitMs);
  if (!turn.isOver) yield turn;
  if (!turn.isFulfilled) {
    yield TRY_AGAIN;
    return;
  }
  log('info', what);
  const progress = order(orders);
  const wait = work.until(() => progress.outcome !== 'open', waitMs);
  if (!wait.isOver) yield wait;
  yield progress.outcome === 'closed' ? 'OK\n' : `TIMEOUT\t${progress.outcome}\n`;
}

function limitMs(text: string | undefined): number {
  const secs = readNumber('time', text, 0, adminLimits.waitSecs);
  return (secs ?? adminLimits.defaultWaitSecs) * SECOND_MS;
}
