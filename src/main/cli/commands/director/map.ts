import { canonicalAddress } from '../../../../shared/ip-address.ts';
import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { parseUint32 } from '../../../admin/admin-protocol.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { column } from '../../print/formatter.ts';
import { Report } from '../../print/report.ts';
import { readUsersFile } from '../../users-file.ts';
import { backendAddresses } from './backend-addresses.ts';
import {
  type Call,
  type DirectorCommand,
  need,
  positional,
  socketPath,
  withClient,
} from './call.ts';
import { readTime } from './status.ts';

const COLUMNS = [
  { key: 'user', title: 'user', isExpanding: true },
  column('hash'),
  column('mail server ip'),
  column('expire time'),
];

export const map: DirectorCommand = {
  name: 'map',
  usage: '[-a <director socket path>] [-f <users file>] [-h | -u] [<host>]',
  parameters: [
    socketPath,
    { name: 'users-file', short: 'f', kind: 'text' },
    { name: 'hash-map', short: 'h', kind: 'switch' },
    { name: 'user-map', short: 'u', kind: 'switch' },
    positional('host'),
  ],
  async run(call) {
    // -u wins over -h, as in doveadm, and asks nobody.
    if (call.given.has('user-map')) await printHash(call);
    else await withClient(call, (client) => printMap(call, client));
  },
};

/** `director map -u USER`: the user's hash. */
async function printHash(call: Call): Promise<void> {
  const hash = call.hashUser(utf8Bytes(need(call, 'host')));
  const columns = [{ ...column('hash'), isTitleHidden: true }];
  const report = new Report(call.formatter(), call.output, columns);
  await report.row([String(hash)]);
  await report.end();
}

async function printMap(call: Call, client: DirectorClient): Promise<void> {
  if (call.given.has('hash-map')) await printNames(call, need(call, 'host'));
  else await printUsers(call, client);
}

/** `director map -h HASH`: the names in the users file that have this hash. */
async function printNames(call: Call, hashText: string): Promise<void> {
  const users = await readNames(call);
  const hash = parseUint32(hashText);
  if (hash === null) {
    throw new CommandError(`Invalid username hash: ${hashText}`, ExitCode.TempFail);
  }
  const columns = [{ ...column('user'), isTitleHidden: true }];
  const report = new Report(call.formatter(), call.output, columns);
  for (const name of users.get(hash) ?? []) await report.row([name]);
  await report.end();
}

/** `director map [HOST]`: the users of the directory, all or those of one backend. */
async function printUsers(call: Call, client: DirectorClient): Promise<void> {
  const { output } = call;
  const host = call.given.get('host');
  const wanted = host === undefined ? null : await backendAddresses(host);
  const users = await readNames(call);
  const report = new Report(call.formatter(), output, COLUMNS);
  if (wanted?.length === 1) client.send('USER-LIST', wanted[0]);
  else client.send('USER-LIST');
  try {
    for await (const line of client.readList()) {
      const entry = readEntry(line);
      if (wanted !== null && !wanted.includes(entry.ip)) continue;
      for (const name of users.get(entry.hash) ?? ['<unknown>']) {
        await report.row([name, ...entry.shown]);
      }
      if (output.isBroken) break;
    }
  } finally {
    await report.end();
  }
}

/** Without a users file no names are known. doveadm asks a userdb then; there is none here. */
async function readNames({ given, hashUser }: Call): Promise<Map<number, string[]>> {
  const path = given.get('users-file');
  return path === undefined ? new Map() : await readUsersFile(path, hashUser);
}

/** A line of USER-LIST: hash, time of expiry, address. */
function readEntry(line: string): { hash: number; ip: string; shown: string[] } {
  const [hashText = '', expires = '', ipText = ''] = splitTabEscaped(line);
  const hash = parseUint32(hashText);
  const expiresSecs = readTime(expires);
  const ip = canonicalAddress(ipText);
  if (hash === null || expiresSecs === null || ip === null) {
    const text = `Invalid USER-LIST reply: ${JSON.stringify(line)}`;
    throw new CommandError(text, ExitCode.Protocol, { kind: 'Error' });
  }
  return { hash, ip, shown: [hashText, ipText, localTime(expiresSecs)] };
}
