import { formatAddress } from '../../../../shared/ip-address.ts';
import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { parseUint32 } from '../../../admin/admin-protocol.ts';
import { parseNetAddress } from '../../../admin/net-address.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { column } from '../../print/formatter.ts';
import { Report } from '../../print/report.ts';
import {
  type DirectorCommand,
  format,
  need,
  positional,
  socketPath,
  UsageError,
  withClient,
} from './call.ts';
import { readTime } from './status.ts';

const MAX_PORT = 65535;
const COLUMNS = [
  ...['director ip', 'port', 'type', 'last failed', 'status', 'ping ms'],
  ...['input', 'output', 'buffered', 'buffered peak', 'last read', 'last write'],
].map(column);
/** Of the columns. */
const TIMES = new Set([3, 10, 11]);

export const ringAdd = ringCommand('ring add', 'DIRECTOR-ADD');
export const ringRemove = ringCommand('ring remove', 'DIRECTOR-REMOVE');

function ringCommand(name: string, command: string): DirectorCommand {
  return {
    name,
    usage: '[-a <director socket path>] <ip> [<port>]',
    parameters: [socketPath, positional('ip'), positional('port')],
    run: (call) =>
      withClient(call, async (client) => {
        const bytes = parseNetAddress(need(call, 'ip'));
        const port = readPort(call.given.get('port'));
        if (bytes === null) throw new UsageError();
        const words = [formatAddress(bytes), ...(port === null ? [] : [String(port)])];
        client.send(command, ...words);
        const answer = await client.readLine();
        call.results.add({ director: words.join(' ') }, answer);
        if (answer === 'NOTFOUND') call.notices.notFound('Error', 'Not found');
        else if (answer !== 'OK') call.notices.error(`Failed: ${answer}`, ExitCode.TempFail);
      }),
  };
}

function readPort(text: string | undefined): number | null {
  if (text === undefined) return null;
  const port = parseUint32(text);
  if (port === null || port === 0 || port > MAX_PORT) throw new UsageError();
  return port;
}

export const ringStatus: DirectorCommand = {
  name: 'ring status',
  usage: '[-a <director socket path>]',
  parameters: [socketPath, format],
  run: (call) =>
    withClient(call, async (client) => {
      const report = new Report(call.formatter(), call.output, COLUMNS);
      try {
        client.send('DIRECTOR-LIST');
        for await (const line of client.readList()) await report.row(readDirector(line));
      } finally {
        await report.end();
      }
    }),
};

/** What a director says less of than there are columns is `-`. */
function readDirector(line: string): string[] {
  const fields = splitTabEscaped(line);
  return COLUMNS.map((_column, i) => {
    const field = fields[i] ?? '-';
    const secs = TIMES.has(i) ? readTime(field) : null;
    if (secs === null) return field;
    return secs === 0 ? 'never' : localTime(secs);
  });
}
