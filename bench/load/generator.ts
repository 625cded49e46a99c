/**
 * Load generator on worker threads, for machines without a C compiler. Options and JSON lines as
 * bench/native/load.c (see wire-contract.ts).
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type LoadResult, MODES } from '../wire-contract.ts';
import { latencyOf } from './histogram.ts';
import {
  BYTES,
  createSharedState,
  ERRORS,
  LOGINS,
  type LoadSettings,
  type LoadThreadData,
  MAX_ERRORS,
  OPS,
  WRONG_BACKEND,
  WRONG_USER,
} from './shared-state.ts';

const POLL_MS = 5;
const option = (initial: string) => ({ type: 'string', default: initial }) as const;
const { values } = parseArgs({
  options: {
    mode: option('login'),
    proto: option('imap'),
    host: option('127.0.0.1'),
    port: option('0'),
    concurrency: option('64'),
    seconds: option('5'),
    warmup: option('1'),
    'first-user': option('0'),
    users: option('10000'),
    threads: option('1'),
    check: option('1'),
    tls: option('0'),
  },
});
const mode = MODES.find((known) => known === values.mode);
if (mode === undefined) throw new Error(`unknown mode ${values.mode}`);
const settings: LoadSettings = {
  mode,
  protocol: values.proto === 'pop3' ? 'pop3' : 'imap',
  host: values.host,
  port: Number(values.port),
  concurrency: Number(values.concurrency),
  firstUser: Number(values['first-user']),
  users: Number(values.users),
  threads: Number(values.threads),
  isChecked: values.check !== '0',
  tls: values.tls !== '0',
};
const shared = createSharedState(settings.users);
let firstError = '';
const workers = Array.from({ length: settings.threads }, (_, index) => {
  const workerData: LoadThreadData = { settings, shared, index };
  const worker = new Worker(new URL('./load-thread.ts', import.meta.url), { workerData });
  worker.on('message', (error: string) => {
    firstError ||= error;
  });
  return worker;
});
const exits = workers.map((worker) => once(worker, 'exit'));

function counter(index: number): number {
  return Number(Atomics.load(shared.counters, index));
}

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone() && counter(ERRORS) < MAX_ERRORS) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function elapsed(seconds: number): () => boolean {
  const end = performance.now() + seconds * 1000;
  return () => performance.now() >= end;
}

function say(event: string): void {
  const sessions = Atomics.load(shared.ready, 0);
  process.stdout.write(`${JSON.stringify({ event, sessions })}\n`);
}

/** Returns the seconds measured. */
async function measure(): Promise<number> {
  if (mode !== 'login') {
    await until(() => Atomics.load(shared.ready, 0) === settings.concurrency);
  }
  if (mode === 'hold') {
    say('held');
    process.stdin.resume();
    await once(process.stdin, 'end');
    return 0;
  }
  await until(elapsed(Number(values.warmup)));
  say('start');
  const start = performance.now();
  Atomics.store(shared.phase, 0, 1);
  await until(elapsed(Number(values.seconds)));
  Atomics.store(shared.phase, 0, 2);
  const seconds = (performance.now() - start) / 1000;
  say('end');
  return seconds;
}

const seconds = await measure();
Atomics.store(shared.phase, 0, 2);
await Promise.all(exits);
const result: LoadResult = {
  ops: counter(OPS),
  seconds,
  perSecond: seconds > 0 ? counter(OPS) / seconds : 0,
  bytes: counter(BYTES),
  logins: counter(LOGINS),
  loginMicros: latencyOf(shared.loginHistogram),
  opMicros: latencyOf(shared.opHistogram),
  errors: counter(ERRORS),
  wrongUser: counter(WRONG_USER),
  wrongBackend: counter(WRONG_BACKEND),
  firstError,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exitCode = result.errors >= MAX_ERRORS ? 1 : 0;
