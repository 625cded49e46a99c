import { Arrivals } from './arrivals.ts';
import { BenchClient, type ClientOwner } from './bench-client.ts';
import { BENCH_LIMITS } from './bench-limits.ts';
import type { Clock } from './clock.ts';
import { DueQueue } from './due-queue.ts';
import type { Measure } from './latencies.ts';
import { Ledger } from './ledger.ts';
import type { LoadThreadData, RunTimes, ThreadResult } from './load-messages.ts';
import { seededRandom, threadSeed } from './random.ts';
import { type BenchMode, type BenchSettings, holdsSessions } from './settings.ts';
import { TargetDoor } from './target-door.ts';
import { UserPlaces } from './user-places.ts';
import { Visits } from './visits.ts';

const MAIN_MEASURES: Readonly<Record<BenchMode, Measure>> = {
  login: 'login',
  echo: 'noop',
  fetch: 'fetch',
  hold: 'noop',
  deliver: 'deliver',
  mixed: 'login',
};

type Phase = 'opening' | 'ready' | 'running' | 'draining' | 'ending' | 'leaving' | 'ended';

export interface LoadThreadEvents {
  ready(): void;
  ended(result: ThreadResult): void;
}

/**
 * One thread's part of the load. A closed loop gives every client something new as soon as it is done; an open
 * one begins at scheduled instants, and what finds no client free waits, its clock running.
 */
export class LoadThread implements ClientOwner {
  readonly #settings: BenchSettings;
  readonly #clock: Clock;
  readonly #events: LoadThreadEvents;
  readonly #thread: number;
  readonly #errors: Int32Array;
  readonly #ledger: Ledger;
  readonly #visits: Visits;
  readonly #doors: readonly TargetDoor[];
  readonly #holds: boolean;
  readonly #clients: BenchClient[] = [];
  /** Ready for work. */
  readonly #free: BenchClient[] = [];
  /** At work; also those that open or say goodbye. */
  readonly #busy = new Set<BenchClient>();
  /** After an error, with what ends their pause before its time. */
  readonly #resting = new Map<BenchClient, () => void>();
  readonly #waiting = new DueQueue(BENCH_LIMITS.waitingArrivals);
  #phase: Phase = 'opening';
  #opened = 0;
  #arrivals: Arrivals | null = null;
  #isCutShort = false;

  constructor(data: LoadThreadData, clock: Clock, events: LoadThreadEvents) {
    const { settings, thread, shared } = data;
    this.#settings = settings;
    this.#thread = thread;
    this.#clock = clock;
    this.#events = events;
    this.#errors = new Int32Array(shared.errors);
    this.#ledger = new Ledger(new UserPlaces(shared.places), {
      bytes: settings.bodyBytes,
      sha256: settings.bodySha256,
    });
    this.#visits = new Visits(settings, seededRandom(threadSeed(settings.seed, thread)));
    this.#doors = settings.targets.map((target) => new TargetDoor(target, settings.resumesTls));
    this.#holds = holdsSessions(settings.mode);
  }

  /** Opens the sessions that stay; says ready. */
  open(): void {
    this.#sweep();
    const { connections, threads, isHashed, timeoutSeconds, mode } = this.#settings;
    const share = Math.floor(connections / threads);
    const count = share + (this.#thread < connections % threads ? 1 : 0);
    const options = {
      ledger: this.#ledger,
      clock: this.#clock,
      doors: this.#doors,
      isHashed,
      timeoutMs: timeoutSeconds * 1000,
      mainMeasure: MAIN_MEASURES[mode],
      nameOf: (user: number) => this.#visits.nameOf(user),
    };
    for (let i = 0; i < count; i++) this.#clients.push(new BenchClient(options, this));
    if (this.#holds && count > 0) {
      this.#openMore();
      return;
    }
    this.#free.push(...this.#clients);
    this.#ready();
  }

  run(times: RunTimes): void {
    if (this.#phase !== 'ready') return;
    this.#phase = 'running';
    const { mode, ratePerSecond, threads, arrivals, seed } = this.#settings;
    this.#ledger.window = times;
    if (mode === 'hold') {
      // What fails while it is held is opened again, but not forgotten: errors fail the run.
      this.#at(times.fromMs, () => this.#askHeld());
      return;
    }
    this.#at(times.toMs, () => this.#drain());
    if (ratePerSecond === null) {
      this.#at(times.beginMs, () => this.#dispatchFree());
      return;
    }
    // Not from the visits' numbers: what is drawn must not depend on when.
    const random = arrivals === 'poisson' ? seededRandom(threadSeed(~seed, this.#thread)) : null;
    const options = { ratePerSecond, threads, thread: this.#thread, random };
    this.#arrivals = new Arrivals(times.beginMs, options);
    this.#pump();
  }

  /** Ends before the time. */
  stop(): void {
    if (this.#phase === 'ended') return;
    this.#isCutShort = true;
    for (const takeBack of this.#resting.values()) takeBack();
    for (const client of this.#clients) client.destroy();
    this.#end();
  }

  clientDone(client: BenchClient): void {
    this.#busy.delete(client);
    switch (this.#phase) {
      case 'opening':
        this.#free.push(client);
        this.#openMore();
        return;
      case 'ready':
        this.#free.push(client);
        return;
      case 'running':
      case 'draining':
        this.#next(client);
        return;
      case 'leaving':
        if (this.#busy.size === 0) this.#end();
        return;
      default:
        return;
    }
  }

  clientFailed(client: BenchClient): void {
    // A session that stays may be lost while nothing is asked of it.
    if (!this.#busy.delete(client)) this.#free.splice(this.#free.indexOf(client), 1);
    this.#countError();
    switch (this.#phase) {
      case 'opening':
      case 'ready':
      case 'running':
        this.#rest(client);
        return;
      case 'draining':
        if (!this.#holds) this.#next(client);
        else this.#checkDrained();
        return;
      case 'leaving':
        if (this.#busy.size === 0) this.#end();
        return;
      default:
        return;
    }
  }

  /** Only so many at a time: a server's queue of new connections is finite. */
  #openMore(): void {
    const limit = Math.ceil(BENCH_LIMITS.openingConnections / this.#settings.threads);
    while (this.#opened < this.#clients.length && this.#busy.size < limit) {
      const client = this.#clients[this.#opened++];
      if (client !== undefined) this.#openHeld(client);
    }
    if (this.#free.length === this.#clients.length) this.#ready();
  }

  #openHeld(client: BenchClient): void {
    this.#busy.add(client);
    client.open(this.#visits.heldSession(this.#clients.indexOf(client)));
  }

  #ready(): void {
    this.#phase = 'ready';
    this.#events.ready();
  }

  #dispatchFree(): void {
    if (this.#phase !== 'running') return;
    for (const client of this.#free.splice(0)) this.#dispatch(client, this.#clock.now());
  }

  #askHeld(): void {
    if (this.#phase !== 'running') return;
    // From now: timers may be early by a fraction of a millisecond.
    this.#ledger.window = { fromMs: this.#clock.now(), toMs: Number.POSITIVE_INFINITY };
    const asked = this.#free.splice(0);
    this.#drain();
    for (const client of asked) this.#dispatch(client, this.#clock.now());
    this.#checkDrained();
  }

  #dispatch(client: BenchClient, sinceMs: number): void {
    this.#busy.add(client);
    if (this.#holds) client.operate(this.#visits.operation(), sinceMs);
    else client.visit(this.#visits.visit(), sinceMs);
  }

  /** What a client that is free does next. */
  #next(client: BenchClient): void {
    const dueMs = this.#waiting.shift();
    if (dueMs !== null) {
      this.#dispatch(client, dueMs);
      return;
    }
    const isClosedLoop = this.#settings.ratePerSecond === null && this.#settings.mode !== 'hold';
    if (isClosedLoop && this.#phase === 'running') {
      this.#dispatch(client, this.#clock.now());
      return;
    }
    this.#free.push(client);
    if (this.#phase === 'draining') this.#checkDrained();
  }

  /** After an error; then the client is opened, or free, again. */
  #rest(client: BenchClient): void {
    const takeBack = this.#clock.later(BENCH_LIMITS.pauseAfterErrorMs, () => {
      this.#resting.delete(client);
      if (this.#holds) this.#openHeld(client);
      else this.#next(client);
    });
    this.#resting.set(client, takeBack);
  }

  #pump(): void {
    const arrivals = this.#arrivals;
    if (arrivals === null || this.#phase !== 'running') return;
    const nowMs = this.#clock.now();
    for (let i = 0; i < BENCH_LIMITS.arrivalsPerTurn; i++) {
      const dueMs = arrivals.take(Math.min(nowMs, this.#ledger.window.toMs));
      if (dueMs === null || dueMs >= this.#ledger.window.toMs) break;
      this.#arrived(dueMs, nowMs);
    }
    const leftMs = arrivals.nextMs - this.#clock.now();
    if (leftMs <= 0 || (this.#settings.spins && leftMs < 2)) this.#clock.soon(() => this.#pump());
    else this.#clock.later(this.#settings.spins ? leftMs - 1 : leftMs, () => this.#pump());
  }

  #arrived(dueMs: number, nowMs: number): void {
    const client = this.#free.pop();
    if (client !== undefined) {
      this.#ledger.record('lateness', dueMs, dueMs, nowMs);
      this.#dispatch(client, dueMs);
    } else if (!this.#waiting.push(dueMs)) {
      this.#ledger.fault({ kind: 'overload', text: 'too many arrivals wait already' });
      this.#countError();
    }
  }

  /** Nothing new begins, but what has been scheduled is carried out. */
  #drain(): void {
    if (this.#phase !== 'running') return;
    // Arrivals whose instant was in the last moment before the end.
    this.#takeLastArrivals();
    this.#phase = 'draining';
    for (const [client, takeBack] of this.#resting) {
      takeBack();
      if (!this.#holds) this.#next(client);
    }
    this.#resting.clear();
    for (const client of this.#busy) client.cutPause();
    this.#at(this.#clock.now() + BENCH_LIMITS.drainMs, () => this.#endDrain());
    if (this.#settings.mode !== 'hold') this.#checkDrained();
  }

  #takeLastArrivals(): void {
    const { toMs } = this.#ledger.window;
    const nowMs = this.#clock.now();
    for (;;) {
      const dueMs = this.#arrivals?.take(toMs) ?? null;
      if (dueMs === null || dueMs >= toMs) return;
      this.#arrived(dueMs, nowMs);
    }
  }

  #checkDrained(): void {
    if (this.#phase !== 'draining' || this.#busy.size > 0) return;
    this.#endDrain();
  }

  /** What is not done by now counts as an error, and as late as it is. */
  #endDrain(): void {
    if (this.#phase !== 'draining') return;
    this.#phase = 'ending';
    const nowMs = this.#clock.now();
    const measure = MAIN_MEASURES[this.#settings.mode];
    for (let dueMs = this.#waiting.shift(); dueMs !== null; dueMs = this.#waiting.shift()) {
      this.#ledger.record(measure, dueMs, dueMs, nowMs);
      this.#ledger.fault({ kind: 'timeout', text: 'not begun at the end: no free connection' });
      this.#countError();
    }
    for (const client of [...this.#busy]) client.giveUp();
    // Not when that was one error too many.
    if (this.#phase === 'ending') this.#leave();
  }

  #leave(): void {
    this.#phase = 'leaving';
    if (this.#holds) {
      for (const client of this.#free.splice(0)) {
        this.#busy.add(client);
        client.sayGoodbye(this.#visits.goodbye());
      }
    }
    if (this.#busy.size === 0) {
      this.#end();
      return;
    }
    this.#at(this.#clock.now() + BENCH_LIMITS.logoutMs, () => {
      for (const client of [...this.#busy]) client.giveUp();
    });
  }

  #end(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    const tls = { handshakes: 0, resumed: 0 };
    for (const { counts } of this.#doors) {
      tls.handshakes += counts.handshakes;
      tls.resumed += counts.resumed;
    }
    const { latencies, faults, checks, bodyBytes } = this.#ledger;
    const isCutShort = this.#isCutShort;
    const encoded = latencies.encode();
    this.#events.ended({ latencies: encoded, faults, checks, tls, bodyBytes, isCutShort });
  }

  #countError(): void {
    if (Atomics.add(this.#errors, 0, 1) + 1 >= this.#settings.maxErrors) this.stop();
  }

  #at(ms: number, what: () => void): void {
    this.#clock.later(Math.max(ms - this.#clock.now(), 0), what);
  }

  /** Looks for answers that are overdue, and whether all threads together have had enough errors. */
  #sweep(): void {
    if (this.#phase === 'ended') return;
    const nowMs = this.#clock.now();
    for (const client of [...this.#busy]) client.checkDeadline(nowMs);
    if (Atomics.load(this.#errors, 0) >= this.#settings.maxErrors) this.stop();
    else this.#clock.later(BENCH_LIMITS.sweepMs, () => this.#sweep());
  }
}
