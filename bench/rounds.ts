import { JsonProcess } from './json-process.ts';
import type { Program } from './native-programs.ts';
import { type BenchOptions, concurrencyOf } from './options.ts';
import { memoryOfTree, type ProcessMemory, usageOfTree } from './process-usage.ts';
import type { LoadEvent, LoadResult, Mode } from './wire-contract.ts';

export interface RoundTarget {
  readonly host: string;
  readonly port: number;
  /** The server's process, to measure its CPU time and memory; null: not ours. */
  readonly pid: number | null;
  /** The server's login replies name user and backend. */
  readonly isChecked: boolean;
  /** The number in the first user's name. */
  readonly firstUser: number;
}

export interface Round {
  readonly load: LoadResult;
  /** CPU seconds of the server's process tree within the window, null when not measured. */
  readonly cpuSeconds: number | null;
  /** Growth of the resident memory by the held sessions, null in other modes. */
  readonly rssGrowthBytes: number | null;
  /** As that, of the proportional set size: what several processes share counts once. */
  readonly pssGrowthBytes: number | null;
  readonly heldSessions: number;
}

/** One run of the load generator against a server. */
export async function runRound(
  program: Program,
  options: BenchOptions,
  mode: Mode,
  target: RoundTarget,
): Promise<Round> {
  const before = mode === 'hold' ? memory(target) : null;
  const load = new JsonProcess(program.command, [
    ...program.args,
    ...loadArguments(options, mode, target),
  ]);
  try {
    return mode === 'hold' ? await hold(load, target, before) : await window(load, target);
  } finally {
    await load.stop();
  }
}

function cpuSeconds(target: RoundTarget): number | null {
  return target.pid === null ? null : usageOfTree(target.pid).cpuSeconds;
}

function memory(target: RoundTarget): ProcessMemory | null {
  return target.pid === null ? null : memoryOfTree(target.pid);
}

async function window(load: JsonProcess, target: RoundTarget): Promise<Round> {
  await expectEvent(load, 'start');
  const start = cpuSeconds(target);
  await expectEvent(load, 'end');
  const end = cpuSeconds(target);
  const result = await load.next<LoadResult>();
  return {
    load: result,
    cpuSeconds: start === null || end === null ? null : end - start,
    rssGrowthBytes: null,
    pssGrowthBytes: null,
    heldSessions: 0,
  };
}

async function hold(
  load: JsonProcess,
  target: RoundTarget,
  before: ProcessMemory | null,
): Promise<Round> {
  const held = await expectEvent(load, 'held');
  const after = memory(target);
  load.endInput();
  return {
    load: await load.next<LoadResult>(),
    cpuSeconds: null,
    rssGrowthBytes: before === null || after === null ? null : after.rssBytes - before.rssBytes,
    pssGrowthBytes: before === null || after === null ? null : after.pssBytes - before.pssBytes,
    heldSessions: held.sessions,
  };
}

async function expectEvent(load: JsonProcess, event: LoadEvent['event']): Promise<LoadEvent> {
  const line = await load.next<LoadEvent>();
  if (line.event !== event) throw new Error(`load generator said ${JSON.stringify(line)}`);
  return line;
}

function loadArguments(options: BenchOptions, mode: Mode, target: RoundTarget): string[] {
  const values = {
    mode,
    proto: options.protocol,
    host: target.host,
    port: target.port,
    concurrency: concurrencyOf(options, mode),
    seconds: options.seconds,
    warmup: options.warmupSeconds,
    'first-user': target.firstUser,
    users: options.users,
    threads: options.threads,
    check: target.isChecked ? 1 : 0,
    // The native one does not know it.
    ...(options.tls ? { tls: 1 } : {}),
    // The one for Node does not know it.
    ...(options.rate === null ? {} : { rate: options.rate }),
  };
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

/** The promise and the answers: what must be zero for a figure to count. */
export function faultsOf(round: Round): string[] {
  const { errors, wrongUser, wrongBackend, firstError } = round.load;
  const faults: string[] = [];
  if (wrongUser > 0) faults.push(`${wrongUser} logins answered for another user`);
  if (wrongBackend > 0) faults.push(`${wrongBackend} logins on another backend than before`);
  if (errors > 0) faults.push(`${errors} errors, the first: ${firstError}`);
  return faults;
}
