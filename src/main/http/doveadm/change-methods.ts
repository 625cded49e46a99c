import { formatAddress } from '../../../shared/ip-address.ts';
import { parseUint32 } from '../../admin/admin-protocol.ts';
import { parseNetAddress } from '../../admin/net-address.ts';
import { addressesOf } from './host-addresses.ts';
import { Exit, type Method, type MethodCall, type Parameter, textOf } from './method.ts';

const NOT_FOUND = 'NOTFOUND';
const OK = 'OK';
const MAX_PORT = 65535;

const SOCKET_PATH: Parameter = { name: 'socket-path', type: 'string' };
const HOST: Parameter = { name: 'host', type: 'string' };
const VHOST_COUNT: Parameter = { name: 'vhost-count', type: 'string' };
const USER: Parameter = { name: 'user', type: 'string' };
const RING_PARAMETERS: readonly Parameter[] = [
  SOCKET_PATH,
  { name: 'ip', type: 'string' },
  { name: 'port', type: 'string' },
];

/** What changes hosts, users or the ring: doveadm-director.c of Dovecot 2.3.19.1. */
export const changeMethods: readonly Method[] = [
  change('director add', [{ name: 'tag', type: 'string' }, HOST, VHOST_COUNT], (call) => {
    return setHost(call, 'HOST-SET');
  }),
  change('director update', [HOST, VHOST_COUNT], (call) => setHost(call, 'HOST-UPDATE')),
  change('director up', [HOST], (call) => hostCommand(call, 'HOST-UP')),
  change('director down', [HOST], (call) => hostCommand(call, 'HOST-DOWN')),
  change('director remove', [HOST], (call) => hostCommand(call, 'HOST-REMOVE')),
  change('director move', [USER, HOST], move),
  change('director kick', [{ name: 'passdb-field', type: 'string' }, USER], kick),
  change(
    'director flush',
    [{ name: 'force-flush', type: 'boolean' }, { name: 'max-parallel', type: 'integer' }, HOST],
    flush,
  ),
  {
    ...{ name: 'director ring add', isRead: false, parameters: RING_PARAMETERS },
    run: (call) => ringCommand(call, 'DIRECTOR-ADD'),
  },
  {
    ...{ name: 'director ring remove', isRead: false, parameters: RING_PARAMETERS },
    run: (call) => ringCommand(call, 'DIRECTOR-REMOVE'),
  },
];

function change(
  name: string,
  parameters: readonly Parameter[],
  run: (call: MethodCall) => Promise<number>,
): Method {
  return { name, isRead: false, parameters: [SOCKET_PATH, ...parameters], run };
}

/** Says in the log what the client is not told. */
function failed({ log }: MethodCall, what: string, line: string | null): number {
  log('warn', `${what}: ${line ?? 'not understood'}`);
  return line === NOT_FOUND ? Exit.notFound : Exit.tempFail;
}

async function setHost(call: MethodCall, command: 'HOST-SET' | 'HOST-UPDATE'): Promise<number> {
  const { values, admin } = call;
  const hostText = textOf(values, 'host');
  const count = textOf(values, 'vhost-count');
  if (hostText === undefined || (count === undefined && command === 'HOST-UPDATE')) {
    return Exit.usage;
  }
  if (count !== undefined && parseUint32(count) === null) return Exit.usage;
  // It would be taken for an address, which is probably a mistake.
  if (parseUint32(hostText) !== null) return Exit.usage;
  const [host, tagOfHost] = splitTag(hostText, textOf(values, 'tag') ?? '');
  const ips = await addressesOf(host);
  if (ips.length === 0) return failed(call, command, 'the host has no address');
  let exit: number = Exit.ok;
  for (const ip of ips) {
    const target = tagOfHost === '' ? ip : `${ip}@${tagOfHost}`;
    const line = await admin.line(command, target, ...(count === undefined ? [] : [count]));
    if (line === OK) continue;
    failed(call, `${command} ${ip}`, line);
    exit = Exit.tempFail;
  }
  return exit;
}

/** `HOST@TAG` has a tag unless one is given besides: then all of it is the name. */
function splitTag(text: string, tag: string): [host: string, tag: string] {
  const at = text.indexOf('@');
  return tag !== '' || at < 0 ? [text, tag] : [text.slice(0, at), text.slice(at + 1)];
}

async function hostCommand(call: MethodCall, command: string): Promise<number> {
  const host = textOf(call.values, 'host');
  if (host === undefined) return Exit.usage;
  return await forAddresses(call, host, command, []);
}

/** A backend that is not there is told only when nothing worse has happened. */
async function forAddresses(
  call: MethodCall,
  host: string,
  command: string,
  args: readonly string[],
): Promise<number> {
  const ips = await addressesOf(host);
  if (ips.length === 0) return failed(call, command, 'the host has no address');
  let exit: number = Exit.ok;
  for (const ip of ips) {
    const line = await call.admin.line(command, ip, ...args);
    if (line === OK) continue;
    const own = failed(call, `${command} ${ip}`, line);
    if (own !== Exit.notFound || exit === Exit.ok) exit = own;
  }
  return exit;
}

async function move(call: MethodCall): Promise<number> {
  const { values, admin, view } = call;
  const user = textOf(values, 'user');
  const host = textOf(values, 'host');
  if (user === undefined || host === undefined) return Exit.usage;
  const [ip] = await addressesOf(host);
  if (ip === undefined) return failed(call, 'USER-MOVE', 'the host has no address');
  const line = await admin.line('USER-MOVE', `${view.hashUser(user)}`, ip);
  return line === OK ? Exit.ok : failed(call, 'USER-MOVE', line);
}

async function kick(call: MethodCall): Promise<number> {
  const { values, admin } = call;
  const user = textOf(values, 'user');
  const field = textOf(values, 'passdb-field');
  if (user === undefined) return Exit.usage;
  const line =
    field === undefined
      ? await admin.line('USER-KICK', user)
      : await admin.line('USER-KICK-ALT', field, user);
  if (line === OK) return Exit.ok;
  failed(call, 'USER-KICK', line);
  return Exit.tempFail;
}

async function flush(call: MethodCall): Promise<number> {
  const { values, admin } = call;
  const host = textOf(values, 'host');
  if (host === undefined) return Exit.usage;
  const limit = textOf(values, 'max-parallel') ?? '0';
  const isForced = values.get('force-flush') === true;
  const command = isForced ? 'HOST-FLUSH' : 'HOST-RESET-USERS';
  // 0 and less are what the director is configured with.
  const args = !isForced && Number(limit) > 0 ? [limit] : [];
  if (host !== 'all') return await forAddresses(call, host, command, args);
  const line = await admin.line(command, ...(args.length > 0 ? ['', ...args] : []));
  if (line === OK) return Exit.ok;
  failed(call, command, line);
  return Exit.tempFail;
}

async function ringCommand(call: MethodCall, command: string): Promise<number> {
  const address = parseNetAddress(textOf(call.values, 'ip') ?? '');
  const portText = textOf(call.values, 'port');
  const port = portText === undefined ? 0 : parseUint32(portText);
  if (address === null || port === null || port > MAX_PORT) return Exit.usage;
  if (portText !== undefined && port === 0) return Exit.usage;
  const ip = formatAddress(address);
  const line = await call.admin.line(command, ip, ...(port === 0 ? [] : [`${port}`]));
  return line === OK ? Exit.ok : failed(call, `${command} ${ip}`, line);
}
