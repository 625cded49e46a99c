import type { MailServer } from '../../../src/main/directory/host-set.ts';
import { MoveJobs, type StartOutcome } from '../../../src/main/moves/move-jobs.ts';
import type { JobProgress, MoveOrder } from '../../../src/main/moves/move-order.ts';
import { RecentMoves } from '../../../src/main/moves/recent-moves.ts';
import { RunningMoves } from '../../../src/main/moves/running-moves.ts';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server, TestDirectory } from '../directory/test-directory.ts';

export const HOSTS = [server('10.0.0.1'), server('10.0.0.2'), server('10.0.0.3')];
const TICK_MS = 100;
const WORKER = 1;

/** A ring that is synced when the test says so. */
class RigMoves extends RunningMoves {
  hasSync = true;

  override get isSynced(): boolean {
    return this.hasSync && super.isSynced;
  }
}

/** Jobs on a real directory with one worker; clock, event loop and the worker are the test's. */
export class MoveRig {
  readonly test: TestDirectory;
  readonly recent: RecentMoves;
  readonly moves: RigMoves;
  readonly jobs: MoveJobs;
  readonly log: string[] = [];
  readonly #registry: SessionRegistryWriter;
  readonly #slots = new Map<number, number[]>();
  #soon: (() => void)[] = [];
  turns = 0;
  /** Users moved per turn, and the most that were on the way. */
  mostMoving = 0;

  constructor(mailServers: readonly MailServer[] = HOSTS, recent = new RecentMoves()) {
    this.test = new TestDirectory(mailServers);
    this.recent = recent;
    const { directory } = this.test;
    const registry = createRegistry(20_000);
    this.#registry = new SessionRegistryWriter(registry);
    directory.attachWorker(WORKER, registry);
    this.moves = new RigMoves(directory, () => this.test.nowMs);
    let clock = 0;
    this.jobs = new MoveJobs({
      ...{ directory: this.moves, recent },
      now: () => this.test.nowMs,
      // A turn is a few parts: every look at the clock takes a third of a millisecond.
      monotonicNow: () => clock++ / 3,
      soon: (run) => this.#soon.push(run),
      log: (level, text) => this.log.push(`${level} ${text}`),
    });
  }

  /** Users all over the table, of whom every `busyEvery`th has a session (0: none has). */
  addUsers(count: number, busyEvery = 0): number[] {
    const hashes = Array.from({ length: count }, (_, i) => (((i * 2654435761) >>> 0) | 1) >>> 0);
    for (const [i, hash] of hashes.entries()) {
      this.test.login(hash);
      if (busyEvery > 0 && i % busyEvery === 0) this.openSession(hash);
    }
    this.test.takeAnswers();
    // Else everybody was seen a moment ago.
    this.pass(60_000, 60_000);
    return hashes;
  }

  openSession(userHash: number): void {
    const slot = this.#registry.enter(0, userHash);
    this.#registry.setState(slot, SessionState.active, 1);
    this.#slots.set(userHash, [...(this.#slots.get(userHash) ?? []), slot]);
  }

  closeSessions(userHash: number): void {
    for (const slot of this.#slots.get(userHash) ?? []) this.#registry.leave(slot);
    this.#slots.delete(userHash);
  }

  get sessionUsers(): number {
    return this.#slots.size;
  }

  hasSession(userHash: number): boolean {
    return this.#slots.has(userHash);
  }

  order(order: Partial<MoveOrder> & Pick<MoveOrder, 'kind'>): StartOutcome {
    return this.jobs.start({
      ...{ ip: null, maxMoving: 100, ratePerSec: null, withinMs: null, by: 'me' },
      ...order,
    });
  }

  start(order: Partial<MoveOrder> & Pick<MoveOrder, 'kind'>): number {
    const outcome = this.order(order);
    if (outcome.kind !== 'started') throw new Error(JSON.stringify(outcome));
    this.settle();
    return outcome.id;
  }

  progress(id: number): JobProgress {
    const job = this.jobs.get(id);
    if (job === null) throw new Error(`no job ${id}`);
    return job.progress;
  }

  turn(): void {
    const soon = this.#soon;
    this.#soon = [];
    for (const run of soon) run();
    this.turns++;
    this.mostMoving = Math.max(this.mostMoving, this.test.directory.counts().kills);
  }

  settle(): void {
    while (this.#soon.length > 0) this.turn();
  }

  /** Time passes in ticks; the worker obeys kicks. */
  pass(ms: number, tickMs = TICK_MS): void {
    for (let passed = 0; passed < ms; passed += tickMs) {
      for (const { killId, userHashes } of this.test.kicks.splice(0)) {
        for (const userHash of userHashes) this.closeSessions(userHash);
        this.test.directory.acknowledgeKick(WORKER, killId, this.test.nowMs);
      }
      this.test.pass(tickMs);
      this.jobs.run();
      this.settle();
    }
  }

  /** Until the job has ended; gives the time it took. */
  finish(id: number, limitMs = 3_600_000): number {
    const startMs = this.test.nowMs;
    while (this.progress(id).endedMs === 0) {
      if (this.test.nowMs > startMs + limitMs) {
        throw new Error(`goes on: ${JSON.stringify(this.progress(id))}`);
      }
      this.pass(TICK_MS);
    }
    return this.test.nowMs - startMs;
  }

  /** Users who are not where their hash says. */
  misplaced(hashes: readonly number[]): number {
    const { status } = this.test.directory;
    return hashes.filter((hash) => this.test.hostOf(hash) !== status.hashedHost('', hash)).length;
  }
}
