import { tabEscape } from '../../shared/wire/tab-escape.ts';
import { JobKind, type MoveOrder } from '../moves/move-order.ts';
import { adminLimits } from './admin-limits.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import { type Command, type CommandContext, loggable } from './command.ts';
import type { HostStatus } from './directory-view.ts';
import { DryOrders, DryRing, lookupIn } from './dry-orders.ts';
import { readMoveOrder } from './move-commands.ts';
import { own } from './own-command.ts';

/** Orders of long moves; all others are run on orders that do nothing. */
const MOVE_COMMANDS: ReadonlySet<string> = new Set([
  ...['HOST-RESET-USERS', 'X-FLUSH', 'X-DRAIN', 'X-REBALANCE'],
]);
/** They change nothing anyway: what is to be changed may depend on what they say. */
const READ_COMMANDS: ReadonlySet<string> = new Set([
  ...['HOST-LIST', 'HOST-LIST-REMOVED', 'USER-LOOKUP', 'USER-LIST', 'DIRECTOR-LIST'],
  ...['X-MOVES', 'X-NODE', 'X-WHO', 'X-WHY'],
]);
const DRY_COMMANDS: ReadonlySet<string> = new Set([
  ...['HOST-SET', 'HOST-UPDATE', 'HOST-UP', 'HOST-DOWN', 'HOST-REMOVE', 'HOST-FLUSH'],
  ...['USER-MOVE', 'USER-KICK', 'USER-KICK-ALT', 'DIRECTOR-ADD', 'DIRECTOR-REMOVE'],
  ...['X-CHANGE', 'X-KICK', 'X-KICK-ALT'],
]);

/**
 * X-DRY-RUN COMMAND ARGUMENTS…: says what the command would change, a line `WOULD` each, and then what it
 * would answer. Nothing is changed.
 */
export function dryRunCommand(find: (name: string) => Command | undefined): Command {
  return own((context, [name = '', ...args]) => dryRun(context, find(name), name, args));
}

function* dryRun(
  context: CommandContext,
  command: Command | undefined,
  name: string,
  args: readonly string[],
): AnswerPart {
  if (command !== undefined && MOVE_COMMANDS.has(name)) {
    yield* planMoves(context, name, args);
  } else if (command !== undefined && DRY_COMMANDS.has(name)) {
    yield* planChange(context, command, args);
  } else if (command !== undefined && READ_COMMANDS.has(name)) {
    yield* command.run(context, args);
  } else {
    throw new BadCommand(`doveadm sent unknown command for a dry run: ${loggable(name)}`);
  }
}

function would(text: string): string {
  return `WOULD\t${tabEscape(text)}\n`;
}

function* planChange(
  context: CommandContext,
  command: Command,
  args: readonly string[],
): AnswerPart {
  const orders = new DryOrders(context);
  const ring = new DryRing(context.director.ring, orders.effects);
  const director = { ...context.director, orders, ring };
  let answer = '';
  for (const piece of command.run({ ...context, director, log: () => {} }, args)) {
    if (typeof piece === 'string') answer += piece;
    else yield piece;
  }
  yield orders.effects.map(would).join('');
  if (orders.hostsThen !== null) yield* compare(context, orders.hostsThen);
  yield answer;
}

/** How many users would be on another backend than their hash says, before and after. */
function* compare(
  { director: { view } }: CommandContext,
  hostsThen: readonly Pick<HostStatus, 'ip' | 'vhostCount' | 'tag' | 'isDown'>[],
): AnswerPart {
  const lookup = lookupIn(hostsThen);
  const tags = new Map(view.hosts().map(({ ip, tag }) => [ip, tag]));
  const stay = new Set(hostsThen.map(({ ip }) => ip));
  let [users, now, then] = [0, 0, 0];
  for (const { hash, ip } of view.users()) {
    const tag = tags.get(ip);
    users++;
    if (tag !== undefined && view.hashedHost(tag, hash) !== ip) now++;
    if (tag !== undefined && stay.has(ip) && lookup(tag, hash) !== ip) then++;
    if (users % adminLimits.entriesPerSlice === 0) yield '';
  }
  yield would(
    `have ${then} of ${users} users on another backend than their hash says (now ${now}): ` +
      'they stay until they expire, or a flush or rebalance moves them',
  );
}

function* planMoves(context: CommandContext, name: string, args: readonly string[]): AnswerPart {
  const order = readMoveOrder(context, name === 'HOST-RESET-USERS' ? 'X-FLUSH' : name, args);
  const refusal = context.director.moves.jobs.refusal(order);
  if (refusal !== null) {
    yield refusal.kind === 'unknown-host' ? 'NOTFOUND\n' : `${refusal.text}\n`;
    return;
  }
  if (order.kind === JobKind.drain) yield* planDrain(context, order);
  else yield* planSearch(context, order);
  yield 'OK\n';
}

function* planDrain({ director }: CommandContext, order: MoveOrder): AnswerPart {
  const host = director.view.hosts().find(({ ip }) => ip === order.ip);
  const spread = order.withinMs === null ? '' : ` within ${order.withinMs / 1000} s`;
  yield would(`change the vhost count of ${order.ip} from ${host?.vhostCount} to 0`);
  yield would(`move its ${host?.userCount} users to other backends${spread}, ${limits(order)}`);
}

function* planSearch({ director }: CommandContext, order: MoveOrder): AnswerPart {
  const search = director.moves.search(order.ip);
  while (!search.isOver) {
    search.next();
    yield '';
  }
  const { idleCount, busyCount, homelessHostIds } = search.found;
  yield would(
    `move ${idleCount + busyCount} users of ${order.ip ?? 'all backends'} to where their hash says, ` +
      `${idleCount} of them without a session, ${limits(order)}`,
  );
  if (homelessHostIds.size > 0 && order.kind === JobKind.flush) {
    yield would('kick and forget users for whom there is no backend');
  }
}

function limits({ maxMoving, ratePerSec }: MoveOrder): string {
  const rate = ratePerSec === null ? '' : ` and ${ratePerSec} a second`;
  return `at most ${maxMoving} at a time${rate}`;
}
