import { parseDuration } from '../../../config/units.ts';
import { moveLimits } from '../../../moves/move-limits.ts';
import { CommandError } from '../../command-error.ts';
import { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { localTime } from '../../local-time.ts';
import { JOB_COLUMNS, readJob } from '../../moves/job-line.ts';
import { readStarted, watchJob } from '../../moves/watch-job.ts';
import { Report } from '../../print/report.ts';
import { backendAddresses } from './backend-addresses.ts';
import {
  type Call,
  type DirectorCommand,
  format,
  need,
  positional,
  socketPath,
  withClient,
} from './call.ts';

/** Of JOB_COLUMNS. */
const TIMES = new Set([10, 11]);
const LIMITS = [
  { name: 'max-parallel', kind: 'text' },
  { name: 'rate', kind: 'text' },
] as const;

export const drain: DirectorCommand = {
  name: 'drain',
  usage:
    '[-a <director socket path>] [--within <time>] [--max-parallel <n>] [--rate <users/s>] ' +
    '[--dry-run] [--json] <host>',
  parameters: [socketPath, { name: 'within', kind: 'text' }, ...LIMITS, positional('host')],
  run: (call) =>
    withClient(call, async (client) => {
      const host = need(call, 'host');
      const within = call.given.get('within');
      const secs = within === undefined ? '' : withinSecs(within);
      const addresses = await backendAddresses(host);
      const again = againText('drain', call, ['within', 'max-parallel', 'rate'], host);
      for (const ip of addresses) await runJob(call, client, ['X-DRAIN', ip, secs], again, ip);
    }),
};

export const rebalance: DirectorCommand = {
  name: 'rebalance',
  usage: '[-a <director socket path>] [--max-parallel <n>] [--rate <users/s>] [--dry-run] [--json]',
  parameters: [socketPath, ...LIMITS],
  run: (call) =>
    withClient(call, async (client) => {
      const again = againText('rebalance', call, ['max-parallel', 'rate'], '');
      await runJob(call, client, ['X-REBALANCE'], again, '');
    }),
};

/** Time as in the configuration, but a bare number is seconds. */
function withinSecs(text: string): string {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms !== null && ms >= 1000 && ms <= moveLimits.withinMs) return String(Math.ceil(ms / 1000));
  throw new CommandError(`Invalid time: ${text} (1s to 7d)`, ExitCode.Usage);
}

function againText(name: string, call: Call, options: readonly string[], host: string): string {
  const given = ['socket-path', ...options].flatMap((option) => {
    const value = call.given.get(option);
    return value === undefined ? [] : [`--${option}`, value];
  });
  return ['postilion director', name, ...given, host].filter((word) => word !== '').join(' ');
}

/** As doveadm's `flush`: 0 and less is the director's own limit, and none is too large. */
function limitText(given: Call['given']): string {
  const text = given.get('max-parallel') ?? '';
  if (!/^-?\d{1,19}$/.test(text)) return text;
  const limit = BigInt(text);
  if (limit <= 0n) return '';
  return String(limit < BigInt(moveLimits.maxMoving) ? limit : moveLimits.maxMoving);
}

/** Starts a long move and shows it to its end. */
export async function runJob(
  call: Call,
  client: DirectorClient,
  command: readonly string[],
  again: string,
  ip: string,
): Promise<void> {
  const [name, ...args] = command;
  client.send(name, ...args, limitText(call.given), call.given.get('rate') ?? '');
  const answer = await client.readLine();
  const started = readStarted(answer);
  if (started === null) call.results.add({ host: ip === '' ? 'all' : ip }, answer);
  else call.results.isToldElsewhere = true;
  if (started !== null) await watchJob(call, client, started, again);
  else if (answer === 'NOTFOUND') call.notices.notFound('Error', `${ip}: doesn't exist`);
  else if (answer.startsWith('invalid ')) {
    call.notices.error(answer, ExitCode.Usage);
  } else if (answer !== 'OK') {
    call.notices.error(ip === '' ? answer : `${ip}: ${answer}`, ExitCode.TempFail);
  }
}

export const moves: DirectorCommand = {
  name: 'moves',
  usage: '[-a <director socket path>] [--json]',
  parameters: [socketPath, format],
  run: (call) =>
    withClient(call, async (client) => {
      const report = new Report(call.formatter(), call.output, JOB_COLUMNS);
      try {
        client.send('X-MOVES');
        for await (const line of client.readList()) {
          const fields = readJob(line).fields.slice(0, JOB_COLUMNS.length);
          await report.row(
            fields.map((field, i) => {
              if (!TIMES.has(i)) return field === '' ? '-' : field;
              return field === '0' ? '-' : localTime(Number(field));
            }),
          );
        }
      } finally {
        await report.end();
      }
    }),
};

/** False: a director of Dovecot, which hangs up on what it does not know. */
export async function knowsJobs({ target }: Call): Promise<boolean> {
  const client = await DirectorClient.connect(target);
  try {
    client.send('X-MOVES', '0');
    return (await client.readLine()) === '';
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  } finally {
    client.close();
  }
}

/** `flush` with progress, as jobs. */
export async function watchFlush(call: Call, client: DirectorClient, host: string): Promise<void> {
  const again = againText('flush', call, ['max-parallel'], host);
  const ips = host === 'all' ? [''] : await backendAddresses(host);
  for (const ip of ips) await runJob(call, client, ['X-FLUSH', ip], again, ip);
}
