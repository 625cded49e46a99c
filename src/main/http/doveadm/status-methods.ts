import { localTime } from '../../cli/local-time.ts';
import { column } from '../../cli/print/formatter.ts';
import { Exit, type Method, type MethodCall, rows, type Table, textOf } from './method.ts';

const SOCKET_PATH = { name: 'socket-path', type: 'string' } as const;

const HOST_COLUMNS = [
  ...['mail server ip', 'tag', 'vhosts', 'state'].map(column),
  { key: 'state-changed', title: 'state changed' },
  column('users'),
];
const USER_COLUMNS = ['status', 'expires', 'hashed', 'initial-config'].map(column);
const DUMP_COLUMNS = ['command', 'socket-path', 'host', 'vhost_count'].map(column);
const RING_COLUMNS = [
  ...['director ip', 'port', 'type', 'last failed', 'status', 'ping ms', 'input', 'output'],
  ...['buffered', 'buffered peak', 'last read', 'last write'],
].map(column);
/** Of DIRECTOR-LIST's fields these are times. */
const RING_TIMES: readonly number[] = [3, 10, 11];

/** What only shows something: doveadm-director.c of Dovecot 2.3.19.1. */
export const statusMethods: readonly Method[] = [
  {
    name: 'director status',
    isRead: true,
    parameters: [SOCKET_PATH, { name: 'user', type: 'string' }, { name: 'tag', type: 'string' }],
    run: status,
  },
  { name: 'director dump', isRead: true, parameters: [SOCKET_PATH], run: dump },
  { name: 'director ring status', isRead: true, parameters: [SOCKET_PATH], run: ringStatus },
];

async function status(call: MethodCall): Promise<Table | number> {
  const user = textOf(call.values, 'user');
  if (user === undefined) return { columns: HOST_COLUMNS, slices: hostRows(call) };
  const tag = textOf(call.values, 'tag') ?? '';
  const line = await call.admin.line('USER-LOOKUP', user, tag);
  if (line === null) return Exit.tempFail;
  const [current, expires, hashed, configured] = line.split('\t');
  const where = current === '' ? ['n/a', '-1'] : [current, localTime(Number(expires))];
  return { columns: USER_COLUMNS, slices: rows([...where, hashed, configured]) };
}

async function* hostRows({ admin }: MethodCall): Table['slices'] {
  for await (const hosts of admin.list('HOST-LIST')) {
    yield hosts.map(([ip, vhosts, users, tag, state, changed]) => {
      const changedText = changed === '0' ? '-' : localTime(Number(changed));
      return [ip, tag, vhosts, state === 'D' ? 'down' : 'up', changedText, users];
    });
  }
}

async function dump(call: MethodCall): Promise<Table> {
  return { columns: DUMP_COLUMNS, slices: dumpRows(call) };
}

async function* dumpRows({ admin, socketPath }: MethodCall): Table['slices'] {
  for await (const hosts of admin.list('HOST-LIST')) {
    yield hosts.map(([ip, vhosts, , tag]) => {
      return ['add', socketPath, tag === '' ? ip : `${ip}@${tag}`, vhosts];
    });
  }
  for await (const removed of admin.list('HOST-LIST-REMOVED')) {
    yield removed.map(([ip]) => ['remove', socketPath, ip, '']);
  }
}

async function ringStatus(call: MethodCall): Promise<Table> {
  return { columns: RING_COLUMNS, slices: ringRows(call) };
}

async function* ringRows({ admin }: MethodCall): Table['slices'] {
  for await (const entries of admin.list('DIRECTOR-LIST')) {
    yield entries.map((fields) => RING_COLUMNS.map((_column, i) => ringField(fields[i], i)));
  }
}

function ringField(text: string | undefined, index: number): string {
  if (text === undefined) return '-';
  if (!RING_TIMES.includes(index) || !/^\d+$/.test(text)) return text;
  return text === '0' ? 'never' : localTime(Number(text));
}
