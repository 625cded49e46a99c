import { tabEscape } from '../../shared/wire/tab-escape.ts';
import { isTag } from '../config/mail-server-spec.ts';
import { DEFAULT_VHOST_COUNT } from '../directory/host-set.ts';
import { adminLimits } from './admin-limits.ts';
import { parseUint32 } from './admin-protocol.ts';
import { type AnswerPart, BadCommand } from './answer.ts';
import {
  anytime,
  type Command,
  type CommandContext,
  needAddress,
  okWhenSynced,
  synced,
} from './command.ts';
import { ownSynced, Refusal, readAddress, readNumber } from './own-command.ts';

const NOT_FOUND = 'NOTFOUND\n';
const OK = 'OK\n';
const UPDATING = 'host is already being updated - try again later\n';
/** This number, like none, leaves the weight as it is. */
const NO_VHOST_COUNT = 0xffffffff;

export const hostCommands: Readonly<Record<string, Command>> = {
  'HOST-LIST': anytime(listHosts),
  'HOST-LIST-REMOVED': anytime(listRemoved),
  'HOST-SET': synced((context, args) => setHost(context, args, false)),
  'HOST-UPDATE': synced((context, args) => setHost(context, args, true)),
  'HOST-UP': synced((context, args) => setDown(context, args, false)),
  'HOST-DOWN': synced((context, args) => setDown(context, args, true)),
  'HOST-REMOVE': synced(removeHost),
  'HOST-FLUSH': synced(flushHost),
  // Postilion's own.
  'X-CHANGE': ownSynced(changeHost),
};

function* listHosts({ director }: CommandContext): AnswerPart {
  let piece = '';
  for (const [i, host] of director.view.hosts().entries()) {
    const { ip, vhostCount, userCount, isDown, lastUpDownChangeSecs } = host;
    const fields = [ip, vhostCount, userCount, tabEscape(host.tag)];
    piece += `${[...fields, isDown ? 'D' : 'U', lastUpDownChangeSecs].join('\t')}\n`;
    if ((i + 1) % adminLimits.entriesPerSlice === 0) {
      yield piece;
      piece = '';
    }
  }
  yield `${piece}\n`;
}

/** Backends of the configuration that are there no more. */
function* listRemoved({ director }: CommandContext): AnswerPart {
  const removed = director.view.removedHosts();
  yield `${removed.map((ip) => `${ip}\n`).join('')}\n`;
}

/** HOST-SET ADDRESS[@TAG] [WEIGHT]: adds or changes a backend. HOST-UPDATE: changes it. */
function* setHost(
  context: CommandContext,
  [target, weight]: readonly string[],
  isUpdate: boolean,
): AnswerPart {
  const bad = `doveadm sent invalid ${isUpdate ? 'HOST-UPDATE' : 'HOST-SET'} parameters`;
  const at = target?.indexOf('@') ?? -1;
  const ip = needAddress(at < 0 ? target : target.slice(0, at), bad);
  const tag = at < 0 ? '' : target.slice(at + 1);
  const vhostCount = weight === undefined ? NO_VHOST_COUNT : parseUint32(weight);
  if (vhostCount === null || (weight === undefined && isUpdate)) throw new BadCommand(bad);
  const refusal = refusalOf(context, { ip, tag, vhostCount }, isUpdate);
  if (refusal !== null) {
    yield refusal;
    return;
  }
  yield* obeySetHost(context, { ip, tag, vhostCount });
}

interface HostSetting {
  readonly ip: string;
  readonly tag: string;
  readonly vhostCount: number;
}

function refusalOf(
  { director }: CommandContext,
  { ip, tag, vhostCount }: HostSetting,
  isUpdate: boolean,
): string | null {
  if (vhostCount > adminLimits.vhostCount && vhostCount !== NO_VHOST_COUNT) {
    return 'vhost count too large\n';
  }
  const host = director.orders.host(ip);
  if (host === undefined) {
    if (isUpdate) return NOT_FOUND;
    // Dovecot takes any bytes.
    return isTag(tag) ? null : 'invalid host tag\n';
  }
  if (tag !== '' && host.tag !== tag) return "host tag can't be changed\n";
  return host.isDesynced ? UPDATING : null;
}

function* obeySetHost(context: CommandContext, { ip, tag, vhostCount }: HostSetting): AnswerPart {
  const { director, log } = context;
  const count = vhostCount === NO_VHOST_COUNT ? null : vhostCount;
  const suffix = count === null ? '' : ` ${count}`;
  if (director.orders.host(ip) !== undefined) {
    log('info', `HOST-SET ${ip}${suffix}`);
    if (count !== null) director.orders.setVhostCount(ip, count);
  } else {
    log('info', `HOST-SET ${ip}${tag === '' ? '' : `@${tag}`}${suffix}`);
    try {
      director.orders.addHost(ip, count ?? DEFAULT_VHOST_COUNT, tag);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      log('error', `HOST-SET ${ip}: ${error.message}`);
      yield `${error.message}\n`;
      return;
    }
  }
  yield* okWhenSynced(context);
}

function* setDown(
  context: CommandContext,
  [address]: readonly string[],
  isDown: boolean,
): AnswerPart {
  const { director, log } = context;
  const name = isDown ? 'HOST-DOWN' : 'HOST-UP';
  const ip = needAddress(address, `doveadm sent invalid ${name} parameters: ${address ?? ''}`);
  const host = director.orders.host(ip);
  if (host === undefined) yield NOT_FOUND;
  else if (host.isDown === isDown) yield OK;
  else if (host.isDesynced) yield UPDATING;
  else {
    log('info', `${name} ${ip}`);
    director.orders.setDown(ip, isDown);
    yield* okWhenSynced(context);
  }
}

/** X-CHANGE ADDRESS [WEIGHT] [U|D]: HOST-UPDATE and HOST-UP or HOST-DOWN as one change, or none. */
function* changeHost(
  context: CommandContext,
  [address = '', weight, state = '']: readonly string[],
): AnswerPart {
  const { director, log } = context;
  const ip = readAddress(address);
  const vhostCount = readNumber('vhost count', weight, 0, adminLimits.vhostCount);
  if (!/^[UD]?$/.test(state)) throw new Refusal('invalid state: U or D is wanted');
  const host = director.orders.host(ip);
  if (host === undefined) yield NOT_FOUND;
  else if (host.isDesynced) yield UPDATING;
  else {
    const words = ['X-CHANGE', ip, vhostCount ?? '', state].filter((word) => word !== '');
    log('info', words.join(' '));
    director.orders.changeHost(ip, {
      ...(vhostCount === null ? {} : { vhostCount }),
      ...(state === '' ? {} : { isDown: state === 'D' }),
    });
    yield* okWhenSynced(context);
  }
}

/** The users of the backend are forgotten, but not before their sessions have been killed. */
function* removeHost(context: CommandContext, [address]: readonly string[]): AnswerPart {
  const { orders } = context.director;
  yield* orderHost(context, 'HOST-REMOVE', address, (ip) => orders.removeHost(ip));
}

/** HOST-FLUSH [ADDRESS]: as HOST-REMOVE, but the backend stays. Without address: all backends. */
function* flushHost(context: CommandContext, [address]: readonly string[]): AnswerPart {
  const { orders } = context.director;
  if (address === undefined || address === '') yield* flushAll(context);
  else yield* orderHost(context, 'HOST-FLUSH', address, (ip) => orders.flushHost(ip));
}

function* orderHost(
  context: CommandContext,
  name: string,
  address: string | undefined,
  order: (ip: string) => void,
): AnswerPart {
  const ip = needAddress(address, `doveadm sent invalid ${name} parameters`);
  if (context.director.orders.host(ip) === undefined) {
    yield NOT_FOUND;
    return;
  }
  context.log('info', `${name} ${ip}`);
  order(ip);
  yield* okWhenSynced(context);
}

/** As in Dovecot the answer does not wait for the ring. */
function* flushAll({ director, log }: CommandContext): AnswerPart {
  const hosts = director.view.hosts();
  const users = hosts.reduce((sum, { userCount }) => sum + userCount, 0);
  log('warn', `HOST-FLUSH of all ${hosts.length} backends with ${users} users`);
  for (const { ip } of hosts) director.orders.flushHost(ip);
  yield OK;
}
