import { setImmediate } from 'node:timers/promises';
import { parseUint32 } from '../../admin/admin-protocol.ts';
import { localTime } from '../../cli/local-time.ts';
import { column } from '../../cli/print/formatter.ts';
import { httpLimits } from '../http-limits.ts';
import { addressesOf } from './host-addresses.ts';
import { Exit, type Method, type MethodCall, rows, type Table, textOf } from './method.ts';

type Names = ReadonlyMap<number, readonly string[]>;

const MAP_COLUMNS = ['user', 'hash', 'mail server ip', 'expire time'].map(column);
const UNKNOWN: readonly string[] = ['<unknown>'];

/**
 * `director map`: who is where. Dovecot without usersFile asks the userdb for names; here there is none, and
 * all names are unknown. (2.3.19.1 reads usersFile of the HTTP API to its end before it looks for names, and
 * never finds any.)
 */
export const mapMethod: Method = {
  name: 'director map',
  isRead: true,
  parameters: [
    { name: 'socket-path', type: 'string' },
    { name: 'users-file', type: 'stream' },
    { name: 'hash-map', type: 'boolean' },
    { name: 'user-map', type: 'boolean' },
    { name: 'host', type: 'string' },
  ],
  run: map,
};

async function map(call: MethodCall): Promise<Table | number> {
  const { values, view, log } = call;
  const host = textOf(values, 'host');
  const isHashMap = values.get('hash-map') === true;
  const isUserMap = values.get('user-map') === true;
  if (host === undefined && (isHashMap || isUserMap)) return Exit.usage;
  if (isUserMap) {
    return { columns: [column('hash')], slices: rows([`${view.hashUser(host ?? '')}`]) };
  }
  if (isHashMap) return await namesOfHash(call, host ?? '');
  let wanted: readonly string[] | null = null;
  if (host !== undefined) {
    wanted = await addressesOf(host);
    if (wanted.length === 0) {
      log('warn', 'director map: the host has no address');
      return Exit.tempFail;
    }
  }
  return { columns: MAP_COLUMNS, slices: userRows(call, wanted, await namesByHash(call)) };
}

async function namesOfHash(call: MethodCall, text: string): Promise<Table | number> {
  const hash = parseUint32(text);
  if (hash === null) return Exit.tempFail;
  const names = (await namesByHash(call)).get(hash) ?? [];
  return { columns: [column('user')], slices: rows(...names.map((name) => [name])) };
}

async function* userRows(
  { admin }: MethodCall,
  wanted: readonly string[] | null,
  names: Names,
): Table['slices'] {
  const only = wanted?.length === 1 ? wanted : [];
  const timeText = rememberedTimes();
  for await (const users of admin.list('USER-LIST', ...only)) {
    yield users.flatMap(([hash, expires, ip]) => {
      if (wanted !== null && !wanted.includes(ip)) return [];
      const time = timeText(expires);
      return (names.get(Number(hash)) ?? UNKNOWN).map((name) => [name, hash, ip, time]);
    });
  }
}

/** Users expire within user_expire from now: there are few different times, and each is costly. */
function rememberedTimes(): (unixSecs: string) => string {
  const texts = new Map<string, string>();
  return (unixSecs) => {
    let text = texts.get(unixSecs);
    if (text === undefined) {
      text = localTime(Number(unixSecs));
      if (texts.size === httpLimits.rememberedTimes) texts.clear();
      texts.set(unixSecs, text);
    }
    return text;
  };
}

/** From the last to the first, as doveadm lists them. */
async function namesByHash({ values, view }: MethodCall): Promise<Names> {
  const names = new Map<number, string[]>();
  const text = textOf(values, 'users-file');
  if (text === undefined) return names;
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  for (const [i, name] of lines.entries()) {
    const hash = view.hashUser(name);
    const known = names.get(hash);
    if (known === undefined) names.set(hash, [name]);
    else known.unshift(name);
    if ((i + 1) % httpLimits.namesPerSlice === 0) await setImmediate();
  }
  return names;
}
