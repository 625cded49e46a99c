import { parseUint32 } from '../../../admin/admin-protocol.ts';
import { utf8Bytes } from '../../byte-output.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { backendAddresses } from './backend-addresses.ts';
import {
  type Call,
  type DirectorCommand,
  need,
  positional,
  socketPath,
  UsageError,
  withClient,
} from './call.ts';
import { knowsJobs, watchFlush } from './move-jobs.ts';

/** As none: the weight is left as it is. */
const NO_VHOST_COUNT = 0xffffffff;

export const add: DirectorCommand = {
  name: 'add',
  usage: '[-a <director socket path>] [-t <tag>] <host> [<vhost count>]',
  parameters: [
    socketPath,
    { name: 'tag', short: 't', kind: 'text' },
    positional('host'),
    positional('vhost-count'),
  ],
  run: (call) => withClient(call, (client) => setHost(call, client, 'HOST-SET')),
};

export const update: DirectorCommand = {
  name: 'update',
  usage: '[-a <director socket path>] <host> <vhost count>',
  parameters: [socketPath, positional('host'), positional('vhost-count')],
  run: (call) => withClient(call, (client) => setHost(call, client, 'HOST-UPDATE')),
};

async function setHost(
  call: Call,
  client: DirectorClient,
  command: 'HOST-SET' | 'HOST-UPDATE',
): Promise<void> {
  const given = need(call, 'host');
  const weight = call.given.get('vhost-count');
  const vhostCount = weight === undefined ? NO_VHOST_COUNT : parseUint32(weight);
  if (vhostCount === null || (weight === undefined && command === 'HOST-UPDATE')) {
    throw new UsageError();
  }
  if (parseUint32(given) !== null) {
    // It would be an address, which is hardly meant.
    call.notices.error(`Invalid host '${given}'`, ExitCode.Usage);
    throw new UsageError();
  }
  const { host, tag } = splitTag(given, call.given.get('tag') ?? '');
  const addresses = await backendAddresses(host);
  for (const ip of addresses) {
    const target = tag === null ? ip : `${ip}@${tag}`;
    if (vhostCount === NO_VHOST_COUNT) client.send(command, utf8Bytes(target));
    else client.send(command, utf8Bytes(target), String(vhostCount));
  }
  for (const ip of addresses) {
    const answer = await client.readLine();
    call.results.add({ host: ip }, answer);
    if (answer === 'OK') call.notices.info(`${ip}: OK`);
    else {
      const text = answer === 'NOTFOUND' ? "doesn't exist" : answer;
      call.notices.error(`${ip}: ${text}`, ExitCode.TempFail);
    }
  }
}

/** The tag of its own option wins; then the host's name is the whole of the argument. */
function splitTag(given: string, tag: string): { host: string; tag: string | null } {
  const at = given.indexOf('@');
  if (tag !== '' || at < 0) return { host: given, tag: tag === '' ? null : tag };
  return { host: given.slice(0, at), tag: given.slice(at + 1) };
}

export const remove = addressCommand('remove', 'HOST-REMOVE', 'removed');
export const up = addressCommand('up', 'HOST-UP', 'up');
export const down = addressCommand('down', 'HOST-DOWN', 'down');

function addressCommand(name: string, command: string, success: string): DirectorCommand {
  return {
    name,
    usage: '[-a <director socket path>] <host>',
    parameters: [socketPath, positional('host')],
    run: (call) =>
      withClient(call, async (client) => {
        const addresses = await backendAddresses(need(call, 'host'));
        for (const ip of addresses) client.send(command, ip);
        for (const ip of addresses) {
          const answer = await client.readLine();
          call.results.add({ host: ip }, answer);
          if (answer === 'OK') call.notices.info(`${ip}: ${success}`);
          else if (answer === 'NOTFOUND') call.notices.notFound('Error', `${ip}: doesn't exist`);
          else call.notices.error(`${ip}: ${answer}`, ExitCode.TempFail);
        }
      }),
  };
}

export const flush: DirectorCommand = {
  name: 'flush',
  usage: '[-a <director socket path>] [-F] [--max-parallel <n>] <host>|all',
  parameters: [
    socketPath,
    { name: 'force-flush', short: 'F', kind: 'switch' },
    { name: 'max-parallel', kind: 'number' },
    { name: 'progress', kind: 'switch' },
    positional('host'),
  ],
  run: (call) => withClient(call, (client) => flushHost(call, client)),
};

/** Somebody watches: progress is shown. (To others it is all the same as doveadm.) */
function isWatched({ given }: Call): boolean {
  if (given.has('force-flush') || given.has('dry-run')) return false;
  return given.has('progress') || given.has('json') || process.stderr.isTTY === true;
}

async function flushHost(call: Call, client: DirectorClient): Promise<void> {
  const host = need(call, 'host');
  const isForced = call.given.has('force-flush');
  // No number, like 0 and less: the director's own limit.
  const parallel = BigInt(call.given.get('max-parallel') ?? 0);
  const limit = parallel > 0n ? [String(parallel)] : [];
  const { notices } = call;
  if (isWatched(call) && (await knowsJobs(call))) {
    await watchFlush(call, client, host);
    return;
  }
  if (host === 'all') {
    if (isForced) client.send('HOST-FLUSH');
    else client.send('HOST-RESET-USERS', ...(limit.length > 0 ? ['', ...limit] : []));
    const answer = await client.readLine();
    call.results.add({ host }, answer);
    if (answer === 'OK') notices.info('flushed');
    else notices.error(`failed: ${answer}`, ExitCode.TempFail);
    return;
  }
  const addresses = await backendAddresses(host);
  for (const ip of addresses) {
    if (isForced) client.send('HOST-FLUSH', ip);
    else client.send('HOST-RESET-USERS', ip, ...limit);
  }
  for (const ip of addresses) {
    const answer = await client.readLine();
    call.results.add({ host: ip }, answer);
    if (answer === 'OK') notices.info(`${ip}: flushed`);
    else if (answer === 'NOTFOUND') notices.notFound('Warning', `${ip}: doesn't exist`);
    else notices.warning(`${ip}: ${answer}`, ExitCode.TempFail);
  }
}
