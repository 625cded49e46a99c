import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { adminPort, withOthers } from '../../other-directors.ts';
import { column } from '../../print/formatter.ts';
import { Report } from '../../print/report.ts';
import { listSessions, type SessionLine } from '../../session-lines.ts';
import { backendAddresses } from './backend-addresses.ts';
import { type Call, type DirectorCommand, format, socketPath, withClient } from './call.ts';

const COLUMNS = [
  ...['user', 'protocol', 'client', 'backend', 'state', 'since'],
  ...['bytes in', 'bytes out', 'session'],
].map(column);
const RING_COLUMNS = [column('director'), ...COLUMNS];

/** The sessions through a director, or through all of its ring. */
export const who: DirectorCommand = {
  name: 'who',
  usage:
    '[-a <director socket path>] [-u <user>] [-b <backend>] [-n <client network>] ' +
    '[--ring] [--admin-port <port>] [-f <formatter>] [--json]',
  parameters: [
    socketPath,
    format,
    { name: 'user', short: 'u', kind: 'text' },
    { name: 'backend', short: 'b', kind: 'text' },
    { name: 'network', short: 'n', kind: 'text' },
    { name: 'ring', kind: 'switch' },
    adminPort,
  ],
  run: (call) =>
    withClient(call, async (client) => {
      const backend = call.given.get('backend');
      const addresses = backend === undefined ? [''] : await backendAddresses(backend);
      if (call.given.has('ring')) await listRing(call, client, addresses);
      else await listOne(call, client, addresses);
    }),
};

async function listOne(
  call: Call,
  client: DirectorClient,
  addresses: readonly string[],
): Promise<void> {
  const report = new Report(call.formatter(), call.output, COLUMNS);
  try {
    for (const address of addresses) {
      await listTo(call, client, address, '', (values) => report.row(values));
    }
  } finally {
    await report.end();
  }
}

async function listRing(
  call: Call,
  client: DirectorClient,
  addresses: readonly string[],
): Promise<void> {
  await withOthers(call, client, async ({ selfIp, others }) => {
    const report = new Report(call.formatter(), call.output, RING_COLUMNS);
    const list = async (ip: string, from: DirectorClient): Promise<boolean> => {
      for (const address of addresses) {
        const row = (values: readonly string[]) => report.row([ip, ...values]);
        if (!(await listTo(call, from, address, ip, row))) return false;
      }
      return true;
    };
    try {
      // What this one cannot make sense of, nobody is asked.
      if (!(await list(selfIp, client))) return;
      await Promise.all(
        others.map(async (other) => {
          try {
            if (other.client !== null) await list(other.ip, other.client);
            else missing(call, other.ip, other.reason);
          } catch (error) {
            if (!(error instanceof CommandError)) throw error;
            missing(call, other.ip, error.message);
          }
        }),
      );
    } finally {
      await report.end();
    }
  });
}

function missing({ notices }: Call, ip: string, reason: string): void {
  notices.warning(`not all sessions: ${ip} could not be asked (${reason})`, ExitCode.TempFail);
}

/** False: the director refuses to list any. */
async function listTo(
  call: Call,
  client: DirectorClient,
  address: string,
  director: string,
  row: (values: readonly string[]) => Promise<void>,
): Promise<boolean> {
  const { given, notices } = call;
  const filter = [utf8Bytes(given.get('user') ?? ''), address, given.get('network') ?? ''];
  for await (const line of listSessions(client, filter)) {
    if (line.kind === 'session') {
      await row(rowOf(line));
    } else if (line.kind === 'missing') {
      const of = director === '' ? '' : ` of ${director}`;
      const text = `not all sessions: ${line.workers} workers${of} did not answer`;
      notices.warning(text, ExitCode.TempFail);
    } else {
      notices.error(line.text, ExitCode.Usage);
      return false;
    }
    if (call.output.isBroken) return false;
  }
  return true;
}

function rowOf({ user, protocol, ip, port, backend, ...session }: SessionLine): string[] {
  const peer = ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
  const { state, since, bytesIn, bytesOut } = session;
  const time = localTime(Number(since));
  return [user, protocol, peer, backend || '-', state, time, bytesIn, bytesOut, session.session];
}
