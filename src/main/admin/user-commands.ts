import { adminLimits } from './admin-limits.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import { anytime, type Command, type CommandContext, loggable, needAddress } from './command.ts';
import type { UserStatus } from './directory-view.ts';
import { hashOf } from './own-command.ts';

const TRY_AGAIN = 'TRYAGAIN\n';

export const userCommands: Readonly<Record<string, Command>> = {
  'USER-LOOKUP': anytime(lookUp),
  'USER-LIST': anytime(listUsers),
  'USER-MOVE': anytime(moveUser),
  'USER-KICK': anytime(kickUser),
  'USER-KICK-ALT': anytime(kickUserAlt),
};

function* lookUp({ director: { view } }: CommandContext, args: readonly string[]): AnswerPart {
  const [name = '', tag = ''] = args;
  const hash = hashOf(view, name);
  const current = view.currentHost(tag, hash);
  const hashed = view.hashedHost(tag, hash) ?? '';
  const configured = view.configuredHost(tag, hash) ?? '';
  yield `${current?.ip ?? ''}\t${current?.expiresAtSecs ?? 0}\t${hashed}\t${configured}\n`;
}

function* listUsers({ director }: CommandContext, [address = '']: readonly string[]): AnswerPart {
  const bad = 'doveadm sent invalid USER-LIST parameters';
  const onlyIp = address === '' ? null : needAddress(address, bad);
  let piece = '';
  let entries = 0;
  for (const user of director.view.users()) {
    if (onlyIp === null || user.ip === onlyIp) piece += userLine(user);
    if (++entries % adminLimits.entriesPerSlice === 0) {
      yield piece;
      piece = '';
    }
  }
  yield `${piece}\n`;
}

function userLine({ hash, expiresAtSecs, ip }: UserStatus): string {
  return `${hash}\t${expiresAtSecs}\t${ip}\n`;
}

/** USER-MOVE USER ADDRESS: OK says that the move has begun. */
function* moveUser({ director, log }: CommandContext, args: readonly string[]): AnswerPart {
  const [name, address] = args;
  const bad = 'doveadm sent invalid USER-MOVE parameters';
  const ip = needAddress(address, bad);
  const hash = hashOf(director.view, name);
  // Nobody's hash: the hash of a name is never 0.
  if (hash === 0) throw new BadCommand(bad);
  const outcome = director.orders.moveUserHash(hash, ip);
  if (outcome === 'unknown-host') {
    yield 'NOTFOUND\n';
  } else if (outcome === 'busy') {
    yield TRY_AGAIN;
  } else {
    log('info', `USER-MOVE ${hash} ${ip}`);
    yield 'OK\n';
  }
}

/** USER-KICK USER [nowait]: OK says that all sessions of the name are being ended, everywhere. */
function* kickUser(context: CommandContext, [name, mode]: readonly string[]): AnswerPart {
  if (name === undefined) throw new BadCommand('doveadm sent invalid USER-KICK parameters');
  yield* kick(context, mode === 'nowait', `USER-KICK ${loggable(name)}`, () => {
    context.director.orders.kickUser(name);
  });
}

/** USER-KICK-ALT FIELD VALUE [nowait]: the same, by an alternative user name of the passdb. */
function* kickUserAlt(context: CommandContext, args: readonly string[]): AnswerPart {
  const [field, value, mode] = args;
  if (value === undefined) throw new BadCommand('doveadm sent invalid USER-KICK-ALT parameters');
  const what = `USER-KICK-ALT ${loggable(field)} ${loggable(value)}`;
  yield* kick(context, mode === 'nowait', what, () => {
    context.director.orders.kickUserAlt(field, value);
  });
}

/** At most max_parallel_kicks at a time. */
function* kick(
  { director, work, log }: CommandContext,
  isImpatient: boolean,
  what: string,
  order: () => void,
): AnswerPart {
  const isFree = (): boolean => director.orders.kickCount < director.maxParallelKicks;
  while (!isFree()) {
    if (isImpatient) {
      yield TRY_AGAIN;
      return;
    }
    yield work.until(isFree);
  }
  log('info', what);
  order();
  yield 'OK\n';
}
