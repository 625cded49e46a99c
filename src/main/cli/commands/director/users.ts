import { adminLimits } from '../../../admin/admin-limits.ts';
import { parseDuration } from '../../../config/units.ts';
import { utf8Bytes } from '../../byte-output.ts';
import { CommandError } from '../../command-error.ts';
import type { DirectorClient } from '../../director-client.ts';
import { ExitCode } from '../../exit-code.ts';
import { kickAndWait } from '../../kick-and-wait.ts';
import { adminPort } from '../../other-directors.ts';
import { backendAddresses } from './backend-addresses.ts';
import {
  type Call,
  type DirectorCommand,
  need,
  positional,
  socketPath,
  withClient,
} from './call.ts';
import { knowsJobs } from './move-jobs.ts';

const WAIT = [
  { name: 'wait', kind: 'switch' },
  { name: 'timeout', kind: 'text' },
] as const;

export const move: DirectorCommand = {
  name: 'move',
  usage: '[-a <director socket path>] <user> <host>',
  ownUsage: '[--wait [--timeout <time>]]',
  parameters: [socketPath, ...WAIT, positional('user'), positional('host')],
  run: (call) =>
    withClient(call, async (client) => {
      const { notices } = call;
      const user = need(call, 'user');
      const host = need(call, 'host');
      const waitSecs = await readWait(call);
      const hash = call.hashUser(utf8Bytes(user));
      const [ip] = await backendAddresses(host);
      client.send('USER-MOVE', String(hash), ip);
      const answer = await client.readLine();
      const facts = { user: utf8Bytes(user), hash: String(hash), host: ip };
      call.results.add(facts, answer);
      if (answer === 'OK') notices.info(`User hash ${hash} moved to ${ip}`);
      else if (answer === 'NOTFOUND') notices.notFound('Error', `Host '${ip}' doesn't exist`);
      else if (answer === 'TRYAGAIN') {
        const text = 'User is already being moved, wait a while for it to be finished';
        notices.error(text, ExitCode.TempFail);
      } else notices.error(`failed: ${answer}`, ExitCode.TempFail);
      if (answer === 'OK' && waitSecs !== null) await waitForMove(call, client, hash, waitSecs);
    }),
};

async function waitForMove(
  { notices }: Call,
  client: DirectorClient,
  hash: number,
  waitSecs: number,
): Promise<void> {
  client.send('X-WAIT-MOVE', String(hash), String(waitSecs));
  const answer = await client.readLine();
  const [outcome, state] = answer.split('\t');
  if (outcome === 'OK') {
    notices.info(`User hash ${hash}: its old sessions are closed on all directors`);
  } else if (outcome === 'TIMEOUT') {
    const text = `User hash ${hash} is still being moved after ${waitSecs}s (${state}); it goes on`;
    notices.error(text, ExitCode.TempFail);
  } else {
    notices.error(`failed: ${answer}`, ExitCode.TempFail);
  }
}

export const kick: DirectorCommand = {
  name: 'kick',
  usage: '[-a <director socket path>] [-f <passdb field>] <user>',
  ownUsage: '[--wait [--timeout <time>] [--admin-port <port>]]',
  parameters: [
    socketPath,
    { name: 'passdb-field', short: 'f', kind: 'text' },
    ...WAIT,
    adminPort,
    positional('user'),
  ],
  run: (call) =>
    withClient(call, async (client) => {
      const user = need(call, 'user');
      const field = call.given.get('passdb-field') ?? null;
      const waitSecs = await readWait(call);
      if (waitSecs !== null) {
        await kickAndWait(call, client, { user, field, waitSecs });
        return;
      }
      if (field === null) client.send('USER-KICK', utf8Bytes(user));
      else client.send('USER-KICK-ALT', utf8Bytes(field), utf8Bytes(user));
      const answer = await client.readLine();
      const facts = { user: utf8Bytes(user), field: utf8Bytes(field ?? 'user') };
      call.results.add(facts, answer);
      if (answer === 'OK') call.notices.info(`User ${user} kicked`);
      else call.notices.error(`failed: ${answer}`, ExitCode.TempFail);
    }),
};

/** Seconds; null: the end is not waited for. A dry run has none. */
async function readWait(call: Call): Promise<number | null> {
  const text = call.given.get('timeout') ?? `${adminLimits.defaultWaitSecs}s`;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms === null || ms < 1000 || ms > adminLimits.waitSecs * 1000) {
    throw new CommandError(`Invalid time: ${text} (1s to 10m)`, ExitCode.Usage);
  }
  if (!call.given.has('wait') || call.given.has('dry-run')) return null;
  if (await knowsJobs(call)) return Math.ceil(ms / 1000);
  const reason =
    '--wait needs a Postilion director: one of Dovecot does not say when it is finished';
  throw new CommandError(reason, ExitCode.TempFail);
}
