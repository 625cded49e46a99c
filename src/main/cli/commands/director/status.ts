import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { column } from '../../print/formatter.ts';
import { LinesFormatter } from '../../print/lines.ts';
import { Report } from '../../print/report.ts';
import {
  type Call,
  type DirectorCommand,
  format,
  positional,
  socketPath,
  withClient,
} from './call.ts';

const HOST_COLUMNS = [
  column('mail server ip'),
  column('tag'),
  column('vhosts'),
  column('state'),
  { key: 'state-changed', title: 'state changed' },
  column('users'),
];
const USER_COLUMNS = ['status', 'expires', 'hashed', 'initial-config'].map(column);

/** What a report of one user looks like when no other format is asked for. */
const userLines = new LinesFormatter([
  ([status, expires]) => `Current: ${status} (expires ${expires})`,
  ([, , hashed]) => `Hashed: ${hashed}`,
  ([, , , initialConfig]) => `Initial config: ${initialConfig}`,
]);

export const status: DirectorCommand = {
  name: 'status',
  usage: '[-a <director socket path>] [<user>] [<tag>]',
  parameters: [socketPath, format, positional('user'), positional('tag')],
  run: (call) =>
    withClient(call, async (client) => {
      const user = call.given.get('user');
      if (user === undefined) await printHosts(call, client);
      else await printUser(call, client, user, call.given.get('tag') ?? '');
    }),
};

async function printHosts(call: Call, client: DirectorClient): Promise<void> {
  const report = new Report(call.formatter(), call.output, HOST_COLUMNS);
  try {
    client.send('HOST-LIST');
    for await (const line of client.readList()) {
      const [ip, vhosts, users, tag, state, changed] = splitTabEscaped(line);
      // An older director says less; doveadm leaves such a host out.
      if (changed === undefined) continue;
      const changedSecs = readTime(changed) ?? 0;
      const changedText = changedSecs > 0 ? localTime(changedSecs) : '-';
      const stateText = state.startsWith('D') ? 'down' : 'up';
      await report.row([ip, tag, vhosts, stateText, changedText, users]);
      if (call.output.isBroken) break;
    }
  } finally {
    await report.end();
  }
}

async function printUser(
  call: Call,
  client: DirectorClient,
  user: string,
  tag: string,
): Promise<void> {
  client.send('USER-LOOKUP', utf8Bytes(user), utf8Bytes(tag));
  const fields = splitTabEscaped(await client.readLine());
  const [current, expires, hashed, configured] = fields;
  const expiresSecs = readTime(expires ?? '');
  if (fields.length !== 4 || expiresSecs === null) {
    const kind = 'Error';
    throw new CommandError('Invalid reply from director', ExitCode.Protocol, { kind });
  }
  const report = new Report(call.formatter(userLines), call.output, USER_COLUMNS);
  const where = current !== '' ? [current, localTime(expiresSecs)] : ['n/a', '-1'];
  await report.row([...where, hashed, configured]);
  await report.end();
}

/** Unix seconds; null: not a time that a Date can show. */
export function readTime(text: string): number | null {
  return /^-?\d{1,12}$/.test(text) ? Number(text) : null;
}
