import { splitTabEscaped } from '../../../../shared/wire/tab-escape.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { column } from '../../print/formatter.ts';
import { Report } from '../../print/report.ts';
import { backendAddresses } from './backend-addresses.ts';
import { type Call, type DirectorCommand, format, socketPath, withClient } from './call.ts';

const COLUMNS = [
  ...['user', 'protocol', 'client', 'backend', 'state', 'since'],
  ...['bytes in', 'bytes out', 'session'],
].map(column);

/** The sessions through a director. */
export const who: DirectorCommand = {
  name: 'who',
  usage:
    '[-a <director socket path>] [-u <user>] [-b <backend>] [-n <client network>] [-f <formatter>] [--json]',
  parameters: [
    socketPath,
    format,
    { name: 'user', short: 'u', kind: 'text' },
    { name: 'backend', short: 'b', kind: 'text' },
    { name: 'network', short: 'n', kind: 'text' },
  ],
  run: (call) =>
    withClient(call, async (client) => {
      const backend = call.given.get('backend');
      const addresses = backend === undefined ? [''] : await backendAddresses(backend);
      const report = new Report(call.formatter(), call.output, COLUMNS);
      try {
        for (const address of addresses) await listSessions(call, client, report, address);
      } finally {
        await report.end();
      }
    }),
};

async function listSessions(
  call: Call,
  client: DirectorClient,
  report: Report,
  address: string,
): Promise<void> {
  const { given, notices } = call;
  client.send('X-WHO', utf8Bytes(given.get('user') ?? ''), address, given.get('network') ?? '');
  for (let line = await client.readLine(); line !== ''; line = await client.readLine()) {
    const [kind, ...fields] = splitTabEscaped(line);
    if (kind === 'session') {
      await report.row(rowOf(line, fields));
    } else if (kind === 'missing') {
      notices.warning(`not all sessions: ${fields[0]} workers did not answer`, ExitCode.TempFail);
    } else {
      notices.error(line, ExitCode.Usage);
      return;
    }
    if (call.output.isBroken) return;
  }
}

function rowOf(line: string, fields: readonly string[]): string[] {
  const [user, protocol, ip, port, backend, session, state, since, bytesIn, bytesOut] = fields;
  if (bytesOut === undefined) {
    const text = `Invalid X-WHO reply: ${JSON.stringify(line)}`;
    throw new CommandError(text, ExitCode.Protocol, { kind: 'Error' });
  }
  const peer = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  const time = localTime(Number(since));
  return [user, protocol, peer, backend || '-', state, time, bytesIn, bytesOut, session];
}
