import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Directory, TICK_MS } from '../../src/main/directory/directory.ts';
import { AdminMoves } from '../../src/main/moves/admin-moves.ts';
import { moveLimits } from '../../src/main/moves/move-limits.ts';
import type { MoveOrder } from '../../src/main/moves/move-order.ts';
import { RecentMoves } from '../../src/main/moves/recent-moves.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../src/shared/memory/session-registry.ts';
import { hashOf } from '../user-hashes.ts';

/**
 * How long long moves hold the main thread at a time:
 * `node bench/moves/turns.ts [--users 1000000] [--sessions 100000] [--seconds 20]`. Directory and jobs are the
 * product's; a worker is its registry and acknowledges every kick at the next tick. Single turns are
 * measured by the wall clock, as the CPU time of a thread has a resolution of 4 ms on some kernels; their mean by CPU time.
 */
const { values } = parseArgs({
  options: { users: { type: 'string' }, sessions: { type: 'string' }, seconds: { type: 'string' } },
});
const users = Number(values.users ?? 1_000_000);
const sessions = Number(values.sessions ?? 100_000);
const seconds = Number(values.seconds ?? 20);
const BACKENDS = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const WORKERS = 2;
/** What the documentation promises of a turn. */
const GOAL_MS = 5;
const MAX_MOVING = 1000;

interface Turns {
  readonly millis: number[];
  /** Of all turns together. */
  cpuMs: number;
  moved: number;
}

/** A directory with users, of whom some have a session, and its jobs. */
class Rig {
  readonly directory: Directory;
  readonly moves: AdminMoves;
  readonly #kicks: { workerId: number; killId: number }[] = [];
  readonly #ticker: NodeJS.Timeout;

  constructor() {
    this.directory = new Directory(
      {
        ...{ userExpireSecs: 86_400, userKickDelayMs: 0, hashUser: () => 1, nowMs: Date.now() },
        mailServers: BACKENDS.map((ip) => ({ ip, hostname: '', vhostCount: 100, tag: '' })),
      },
      {
        ...{ publish: () => {}, kickField: () => {}, workerHangs: () => {}, flush: () => {} },
        kick: (workerId, killId) => this.#kicks.push({ workerId, killId }),
        ...{ answer: () => {}, log: () => {} },
      },
    );
    this.moves = new AdminMoves(this.directory, new RecentMoves(), {
      ...{ now: Date.now, monotonicNow: () => performance.now() },
      soon: (run) => setTimeout(run, moveLimits.pauseMs),
      log: () => {},
    });
    this.#fill();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  #fill(): void {
    const writers = Array.from({ length: WORKERS }, (_, i) => {
      const registry = createRegistry(Math.ceil(sessions / WORKERS));
      this.directory.attachWorker(i + 1, registry);
      return new SessionRegistryWriter(registry);
    });
    const every = Math.max(1, Math.floor(users / sessions));
    for (let i = 0; i < users; i++) {
      const userHash = hashOf(i, 0);
      const request = { workerId: 1, requestId: 0, tagIndex: 0, userHash };
      this.directory.requestLogin(request, Date.now());
      if (i % every !== 0) continue;
      const writer = writers[(i / every) % WORKERS];
      const slot = writer.enter(0, userHash);
      if (slot >= 0) writer.setState(slot, SessionState.active, 1);
    }
  }

  #tick(): void {
    for (const { workerId, killId } of this.#kicks.splice(0)) {
      this.directory.acknowledgeKick(workerId, killId, Date.now());
    }
    this.directory.tick(Date.now());
    this.moves.jobs.run();
  }

  close(): void {
    clearInterval(this.#ticker);
  }
}

function timed<T>(turns: Turns, run: () => T): T {
  const before = process.threadCpuUsage();
  const startMs = performance.now();
  const result = run();
  turns.millis.push(performance.now() - startMs);
  const { user, system } = process.threadCpuUsage(before);
  turns.cpuMs += (user + system) / 1000;
  return result;
}

async function runJob(rig: Rig, order: Pick<MoveOrder, 'kind' | 'ip'>): Promise<Turns> {
  const turns: Turns = { millis: [], cpuMs: 0, moved: 0 };
  const { jobs } = rig.moves;
  const run = jobs.run.bind(jobs);
  jobs.run = () => timed(turns, run);
  const limits = { maxMoving: MAX_MOVING, ratePerSec: null, withinMs: null };
  const outcome = jobs.start({ ...order, ...limits, by: 'bench' });
  if (outcome.kind !== 'started') throw new Error(JSON.stringify(outcome));
  const endMs = performance.now() + seconds * 1000;
  const progress = () => jobs.get(outcome.id)!.progress;
  while (performance.now() < endMs && progress().endedMs === 0) await nextTurn();
  turns.moved = progress().movedCount;
  jobs.interrupt(outcome.id, 'bench');
  while (progress().endedMs === 0) await nextTurn();
  return turns;
}

/** As HOST-RESET-USERS: see reset-command.ts. */
async function runReset(rig: Rig, ip: string): Promise<Turns> {
  const turns: Turns = { millis: [], cpuMs: 0, moved: 0 };
  const reset = rig.directory.resetHost(ip)!;
  const endMs = performance.now() + seconds * 1000;
  let outcome = 'more';
  while (performance.now() < endMs && outcome !== 'done') {
    const nowMs = Date.now();
    outcome = timed(turns, () => reset.step(MAX_MOVING, nowMs));
    await nextTurn();
  }
  turns.moved = reset.movedCount;
  return turns;
}

function report(what: string, { millis, cpuMs, moved }: Turns): void {
  const sorted = [...millis].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
  const rounded = (ms: number): number => Math.round(ms * 100) / 100;
  const line = {
    ...{ what, users, sessions, moved, turns: millis.length },
    meanCpuMs: rounded(cpuMs / millis.length),
    ...{ p50Ms: rounded(at(0.5)), p99Ms: rounded(at(0.99)), longestMs: rounded(at(1)) },
    overGoal: millis.filter((ms) => ms > GOAL_MS).length,
  };
  console.log(JSON.stringify(line));
}

async function measure(what: string, run: (rig: Rig) => Promise<Turns>): Promise<void> {
  const rig = new Rig();
  try {
    report(what, await run(rig));
  } finally {
    rig.close();
  }
}

const [ONE] = BACKENDS;
await measure('drain', (rig) => runJob(rig, { kind: 'drain', ip: ONE }));
await measure('rebalance', (rig) => {
  rig.directory.addHost('10.0.0.4', 100, '', Date.now());
  return runJob(rig, { kind: 'rebalance', ip: null });
});
await measure('HOST-RESET-USERS', (rig) => {
  rig.directory.setDown(ONE, true, Date.now());
  return runReset(rig, ONE);
});
