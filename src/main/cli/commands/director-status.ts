import { splitTabEscaped } from '../../../shared/wire/tab-escape.ts';
import { type ByteOutput, utf8Bytes } from '../byte-output.ts';
import { CommandError } from '../command-error.ts';
import { DirectorClient } from '../director-client.ts';
import { ExitCode } from '../exit-code.ts';
import { localTime } from '../local-time.ts';
import { column, type Formatter } from '../print/formatter.ts';
import { LinesFormatter } from '../print/lines.ts';
import { Report } from '../print/report.ts';

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
export const userStatusLines = new LinesFormatter([
  ([status, expires]) => `Current: ${status} (expires ${expires})`,
  ([, , hashed]) => `Hashed: ${hashed}`,
  ([, , , initialConfig]) => `Initial config: ${initialConfig}`,
]);

/** `director status`: all backends. */
export async function printHosts(
  socketPath: string,
  formatter: Formatter,
  output: ByteOutput,
): Promise<void> {
  const client = await DirectorClient.connect(socketPath);
  const report = new Report(formatter, output, HOST_COLUMNS);
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
      if (output.isBroken) break;
    }
  } finally {
    client.close();
    await report.end();
  }
}

/** `director status USER [TAG]`: where one user is and would be. */
export async function printUser(
  socketPath: string,
  user: string,
  tag: string,
  formatter: Formatter,
  output: ByteOutput,
): Promise<void> {
  const client = await DirectorClient.connect(socketPath);
  try {
    client.send('USER-LOOKUP', utf8Bytes(user), utf8Bytes(tag));
    const fields = splitTabEscaped(await client.readLine());
    const [current, expires, hashed, configured] = fields;
    const expiresSecs = readTime(expires ?? '');
    if (fields.length !== 4 || expiresSecs === null) {
      throw new CommandError('Invalid reply from director', ExitCode.Protocol);
    }
    const report = new Report(formatter, output, USER_COLUMNS);
    const isKnown = current !== '';
    const where = isKnown ? [current, localTime(expiresSecs)] : ['n/a', '-1'];
    await report.row([...where, hashed, configured]);
    await report.end();
  } finally {
    client.close();
  }
}

/** Unix seconds; null: not a time that a Date can show. */
export function readTime(text: string): number | null {
  return /^-?\d{1,12}$/.test(text) ? Number(text) : null;
}
