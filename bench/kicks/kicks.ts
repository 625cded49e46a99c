import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { parseConfig } from '../../src/main/config/config.ts';
import { resolveMailServers } from '../../src/main/config/resolve-mail-servers.ts';
import { type Director, startDirector } from '../../src/main/director.ts';
import { directorYaml } from '../director-process.ts';
import { JsonProcess } from '../json-process.ts';
import { benchPrograms } from '../native-programs.ts';
import type { BackendReady, BackendReport, LoadEvent } from '../wire-contract.ts';

/**
 * How long kicks and lists of many sessions of one worker take, and how long they hold up the others:
 * `node bench/kicks/kicks.ts [--sessions 9000] [--users 9000]`. The director lives in this process (two
 * descriptors a session), clients and backends in others.
 */
const { values } = parseArgs({
  options: { sessions: { type: 'string' }, users: { type: 'string' } },
});
const sessions = Number(values.sessions ?? 9000);
const users = Number(values.users ?? sessions);
const HOSTS = ['127.0.0.31', '127.0.0.32', '127.0.0.33'];
const PAUSE_MS = 2000;
const POLL_MS = 1;

const programs = benchPrograms(false);
const scratch = mkdtempSync(join(tmpdir(), 'postilion-kicks-'));
const backend = new JsonProcess(programs.backend.command, [
  ...programs.backend.args,
  ...HOSTS.flatMap((host) => ['--listen', host]),
]);
const setup = { workers: 1, backendHosts: HOSTS, backend: await backend.next<BackendReady>() };
const config = parseConfig(directorYaml(setup, scratch), join(scratch, 'postilion.yaml'));
const director = await startDirector({
  config,
  mailServers: await resolveMailServers(config),
  logDestination: join(scratch, 'log'),
});
const port = director.addresses().find(({ protocol }) => protocol === 'imap')!.port;
const prober = new Worker(new URL('prober.ts', import.meta.url), { workerData: { port } });

/** Round trips of a client beside it since the last call. */
async function probe(): Promise<object> {
  prober.postMessage('report');
  const [report] = await once(prober, 'message');
  const round = ([name, value]: [string, unknown]): [string, number] => [
    name,
    Math.round(Number(value) * 100) / 100,
  ];
  return Object.fromEntries(Object.entries(report as object).map(round));
}

async function measure(what: string, work: () => Promise<unknown>): Promise<void> {
  await probe();
  const started = performance.now();
  const result = await work();
  const millis = Math.round((performance.now() - started) * 10) / 10;
  console.log(JSON.stringify({ what, millis, result, besideMillis: await probe() }));
  await sleep(PAUSE_MS);
}

async function settled(isSettled: (director: Director) => boolean): Promise<void> {
  while (!isSettled(director)) await sleep(POLL_MS);
}

async function hold(): Promise<JsonProcess> {
  const load = new JsonProcess(programs.load.command, [
    ...programs.load.args,
    ...['--mode', 'hold', '--proto', 'imap', '--host', '127.0.0.1', '--port', `${port}`],
    ...['--concurrency', `${sessions}`, '--users', `${users}`],
  ]);
  const held = await load.next<LoadEvent>();
  if (held.event !== 'held') throw new Error(`load generator said ${JSON.stringify(held)}`);
  return load;
}

function openSessions(): number {
  return director.sessionCounts().reduce((sum, { sessions: open }) => sum + open, 0);
}

async function listed(filter: Parameters<Director['sessions']>[0]): Promise<number> {
  let count = 0;
  for await (const part of director.sessions(filter)) count += part.length;
  return count;
}

let load = await hold();
await sleep(PAUSE_MS);
const { directory } = director;
await measure('nothing', async () => await sleep(PAUSE_MS));
await measure('list all', async () => await listed({}));
await measure('list a backend', async () => await listed({ backend: HOSTS[0] }));
await measure('list a user', async () => await listed({ user: 'user000001' }));
await measure('kick a user', async () => {
  directory.kickUser('user000001');
  await settled(() => directory.kickCount === 0);
});
await measure('kick 100 users who are not there', async () => {
  for (let i = 0; i < 100; i++) directory.kickUser(`nobody${i}`);
  await settled(() => directory.kickCount === 0);
});
await measure('kick by a field that nobody has', async () => {
  directory.kickUserAlt('user_x', 'y');
  await settled(() => directory.kickCount === 0);
});
await measure('flush all backends', async () => {
  // Clients come back at once, as clients do.
  for (const host of HOSTS) directory.flushHost(host);
  await settled(() => !directory.isPurging);
  return director.counters().kicked;
});
await load.stop();
await settled(() => openSessions() === 0);
load = await hold();
await sleep(PAUSE_MS);
await measure('stop', async () => {
  await director.stop();
  return (await backend.ask<BackendReport>('report')).backends;
});
await load.stop();
await prober.terminate();
await backend.stop();
rmSync(scratch, { recursive: true, force: true });
