import { lookup } from 'node:dns/promises';
import { errorCode } from '../../../shared/errors.ts';
import { canonicalAddress, formatAddress } from '../../../shared/ip-address.ts';
import { splitTabEscaped } from '../../../shared/wire/tab-escape.ts';
import { parseUint32 } from '../../admin/admin-protocol.ts';
import { parseNetAddress } from '../../admin/net-address.ts';
import { type ByteOutput, utf8Bytes } from '../byte-output.ts';
import { CommandError } from '../command-error.ts';
import { DirectorClient } from '../director-client.ts';
import { ExitCode } from '../exit-code.ts';
import { localTime } from '../local-time.ts';
import { column, type Formatter } from '../print/formatter.ts';
import { Report } from '../print/report.ts';
import { readUsersFile } from '../users-file.ts';
import { readTime } from './director-status.ts';

const MAP_COLUMNS = [
  { key: 'user', title: 'user', isExpanding: true },
  column('hash'),
  column('mail server ip'),
  column('expire time'),
];

export interface MapOptions {
  readonly socketPath: string;
  /** Null: no names are known. doveadm asks a userdb then; there is none here. */
  readonly usersFile: string | null;
  readonly hashUser: (name: string) => number;
}

/** `director map -u USER`: the user's hash, without asking anybody. */
export async function printHash(
  user: string,
  hashUser: (name: string) => number,
  formatter: Formatter,
  output: ByteOutput,
): Promise<void> {
  const report = new Report(formatter, output, [{ ...column('hash'), isTitleHidden: true }]);
  await report.row([String(hashUser(utf8Bytes(user)))]);
  await report.end();
}

/** `director map -h HASH`: the names in the users file that have this hash. */
export async function printNames(
  hashText: string,
  options: MapOptions,
  formatter: Formatter,
  output: ByteOutput,
): Promise<void> {
  const hash = parseUint32(hashText);
  const users = await readNames(options);
  if (hash === null) {
    throw new CommandError(`Invalid username hash: ${hashText}`, ExitCode.TempFail);
  }
  const report = new Report(formatter, output, [{ ...column('user'), isTitleHidden: true }]);
  for (const name of users.get(hash) ?? []) await report.row([name]);
  await report.end();
}

/** `director map [HOST]`: the users of the directory, all or those of one backend. */
export async function printUsers(
  host: string | null,
  options: MapOptions,
  formatter: Formatter,
  output: ByteOutput,
): Promise<void> {
  const client = await DirectorClient.connect(options.socketPath);
  try {
    const wanted = host === null ? null : await addressesOf(host);
    const users = await readNames(options);
    const report = new Report(formatter, output, MAP_COLUMNS);
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
  } finally {
    client.close();
  }
}

function readNames({ usersFile, hashUser }: MapOptions): Promise<Map<number, string[]>> {
  return usersFile === null ? Promise.resolve(new Map()) : readUsersFile(usersFile, hashUser);
}

/** A line of USER-LIST: hash, time of expiry, address. */
function readEntry(line: string): { hash: number; ip: string; shown: string[] } {
  const [hashText = '', expires = '', ipText = ''] = splitTabEscaped(line);
  const hash = parseUint32(hashText);
  const expiresSecs = readTime(expires);
  const ip = canonicalAddress(ipText);
  if (hash === null || expiresSecs === null || ip === null) {
    throw new CommandError(`Invalid USER-LIST reply: ${JSON.stringify(line)}`, ExitCode.Protocol);
  }
  return { hash, ip, shown: [hashText, ipText, localTime(expiresSecs)] };
}

/** Canonical addresses of a backend given by address or name. */
async function addressesOf(host: string): Promise<string[]> {
  const bytes = parseNetAddress(host);
  if (bytes !== null) return [formatAddress(bytes)];
  try {
    const found = await lookup(host, { all: true });
    return found.map(({ address }) => canonicalAddress(address) ?? address);
  } catch (error) {
    const text = `${host} has no address (${errorCode(error) || String(error)})`;
    throw new CommandError(text, ExitCode.TempFail, { cause: error });
  }
}
