import { randomInt } from 'node:crypto';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { Piscina } from 'piscina';
import { Counter, Counters } from '../shared/memory/counters.ts';
import type { Publication } from '../shared/memory/directory-memory.ts';
import { PenaltyTable } from '../shared/memory/penalty-table.ts';
import { createRegistry } from '../shared/memory/session-registry.ts';
import type {
  FromWorker,
  ServerTls,
  ServiceAddress,
  SessionFilter,
  ToWorker,
  WorkerSettings,
  WorkerStart,
} from '../shared/messages.ts';
import type { PasswordJob } from '../shared/passwords/password-job.ts';
import { CpuPool } from './cpu-pool.ts';
import type { Directory } from './directory/directory.ts';
import { type SessionList, SessionLists } from './session-list.ts';

/** A worker that dies again is started again after a pause that doubles from the first to the last. */
const RESTART_FIRST_MS = 20;
const RESTART_LAST_MS = 5000;
/** A worker that has lived this long has not failed at its start. */
const RESTART_RESET_MS = 60_000;
/** What a worker may take to end its sessions at a stop. */
const STOP_DEADLINE_MS = 5000;

const WORKER_FILE = import.meta.url.endsWith('.ts')
  ? '../workers/worker.ts'
  : '../workers/worker.js';

export interface SupervisorOptions {
  readonly workers: number;
  /** That hash passwords. */
  readonly passwordThreads: number;
  readonly settings: WorkerSettings;
  readonly services: readonly ServiceAddress[];
  readonly log: Logger;
  readonly now: () => number;
}

/** One worker thread, from its start to its end. */
interface RunningWorker {
  readonly workerId: number;
  readonly index: number;
  readonly control: MessagePort;
  readonly publications: MessagePort;
  readonly counters: Counters;
  readonly startedMs: number;
  readonly ended: Promise<void>;
}

/**
 * Starts the worker threads, gives them the directory, carries their messages, and replaces one that
 * dies. The directory learns of a death only after the thread has ended, when its sockets are closed.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #pool: Piscina;
  readonly #cpuPool: CpuPool;
  /** Outlives workers. */
  readonly #penalties = PenaltyTable.createBuffer(randomInt(2 ** 32));
  readonly #running = new Map<number, RunningWorker>();
  readonly #threads = new Map<number, { thread: Worker; exited: Promise<void> }>();
  /** Workers that are being ended because they do not answer. */
  readonly #hung = new Set<number>();
  readonly #lists = new SessionLists({
    ids: () => [...this.#running.keys()],
    send: (workerId, message) => this.send(workerId, message),
  });
  readonly #restartPauseMs: number[] = [];
  /** Sums of the workers that are gone. */
  readonly #pastCounters = new Map<string, number>();
  #directory: Directory | null = null;
  #services: readonly ServiceAddress[];
  #settings: WorkerSettings;
  #lastWorkerId = 0;
  #isStopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#services = options.services;
    this.#settings = options.settings;
    this.#cpuPool = new CpuPool(options.passwordThreads);
    this.#pool = new Piscina({
      filename: new URL(WORKER_FILE, import.meta.url).href,
      minThreads: options.workers,
      maxThreads: options.workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With its default a worker thread waits in Atomics.wait() and serves no socket.
      atomics: 'disabled',
      concurrentTasksPerWorker: 1,
      recordTiming: false,
    });
    // Threads end by errors that the task's promise reports as well.
    this.#pool.on('error', () => {});
  }

  /** Starts all workers; resolves when every one listens. Rejects when an address is not to be had. */
  async start(directory: Directory): Promise<void> {
    this.#directory = directory;
    for (const service of this.#options.services) await assertFree(service);
    // The first worker chooses the ports that are left open.
    this.#services = await this.#startWorker(0);
    const others = [];
    for (let index = 1; index < this.#options.workers; index++) {
      others.push(this.#startWorker(index));
    }
    await Promise.all(others);
  }

  /** Where the workers listen. */
  get services(): readonly ServiceAddress[] {
    return this.#services;
  }

  publish(publication: Publication): void {
    for (const worker of this.#running.values()) worker.publications.postMessage(publication);
  }

  /** For handshakes to come, of all workers that are and will be. */
  useTls(tls: ServerTls | null): void {
    this.#settings = { ...this.#settings, tls };
    for (const worker of this.#running.values()) worker.control.postMessage({ kind: 'tls', tls });
  }

  /** What the user databases said counts no more, in no worker. */
  forgetLogins(): void {
    for (const worker of this.#running.values()) {
      worker.control.postMessage({ kind: 'forget-logins' });
    }
  }

  send(workerId: number, message: ToWorker): void {
    this.#running.get(workerId)?.control.postMessage(message);
  }

  /** The sessions of all workers that fit. */
  sessions(filter: SessionFilter): SessionList {
    return this.#lists.list(filter);
  }

  /** Counters by name, summed over all workers that ever ran. */
  counters(): Record<keyof typeof Counter, number> {
    const sums = {} as Record<keyof typeof Counter, number>;
    for (const name of Object.keys(Counter) as (keyof typeof Counter)[]) {
      let sum = this.#pastCounters.get(name) ?? 0;
      for (const worker of this.#running.values()) sum += worker.counters.get(Counter[name]);
      sums[name] = sum;
    }
    return sums;
  }

  /** Ends a worker thread at once, as a crash would; it is replaced. For tests. */
  async kill(index: number): Promise<void> {
    const worker = [...this.#running.values()].find((other) => other.index === index);
    if (worker === undefined) return;
    await this.#threads.get(worker.workerId)?.thread.terminate();
    await worker.ended;
  }

  /** Ends a worker that no longer answers, so that its sessions end. It is replaced. */
  endHung(workerId: number): void {
    const started = this.#threads.get(workerId);
    if (started === undefined || this.#hung.has(workerId)) return;
    this.#hung.add(workerId);
    this.#options.log.error({ worker: workerId }, 'worker does not answer; ending it');
    started.thread.terminate().catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const ended = [...this.#running.values()].map((worker) => worker.ended);
    for (const worker of this.#running.values()) worker.control.postMessage({ kind: 'stop' });
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_DEADLINE_MS);
    });
    await Promise.race([Promise.all(ended), deadline]);
    clearTimeout(timer);
    await this.#pool.destroy();
    await this.#cpuPool.stop();
  }

  /** Resolves with the addresses when the worker listens; rejects if it ends before that. */
  #startWorker(index: number): Promise<readonly ServiceAddress[]> {
    const directory = this.#directory!;
    const workerId = ++this.#lastWorkerId;
    const control = new MessageChannel();
    const publications = new MessageChannel();
    const registry = createRegistry(this.#settings.maxSessions);
    const counters = Counters.createBuffer();
    const start: WorkerStart = {
      workerId,
      settings: this.#settings,
      // Nobody can share a unix socket as workers share a port.
      services: this.#services.filter(({ path }) => index === 0 || path === undefined),
      memory: directory.snapshot(),
      registry,
      counters,
      penalties: this.#penalties,
      controlPort: control.port2,
      publicationPort: publications.port2,
    };
    const task = this.#pool.run(start, { transferList: [control.port2, publications.port2] });
    // Same tick as the snapshot: the worker misses no publication and no kick.
    directory.attachWorker(workerId, registry);
    const listening = new Promise<readonly ServiceAddress[]>((resolve, reject) => {
      control.port1.on('message', (message: FromWorker) => {
        if (message.kind === 'started') this.#started(workerId, message.threadId);
        else if (message.kind === 'listening') resolve(message.services);
        else this.#receive(workerId, message);
      });
      task.then(
        () => reject(new Error('the worker ended')),
        (error: Error) => reject(error),
      );
    });
    const ended = this.#watch(workerId, index, task);
    this.#running.set(workerId, {
      workerId,
      index,
      control: control.port1,
      publications: publications.port1,
      counters: new Counters(counters),
      startedMs: this.#options.now(),
      ended,
    });
    listening.catch(() => {});
    return listening;
  }

  /** The first thing a worker says: which thread it is. Until then it has no socket. */
  #started(workerId: number, threadId: number): void {
    const thread = this.#pool.threads.find((other) => other.threadId === threadId);
    if (thread === undefined) return;
    const exited = new Promise<void>((resolve) => {
      thread.once('exit', () => resolve());
    });
    this.#threads.set(workerId, { thread, exited });
  }

  /** Waits for the end of the task and of its thread, then takes everything back. */
  async #watch(workerId: number, index: number, task: Promise<unknown>): Promise<void> {
    let failure: unknown = null;
    try {
      await task;
    } catch (error) {
      failure = error;
      await this.#endThread(workerId);
    }
    this.#workerEnded(workerId, index, failure);
  }

  /**
   * An error is reported before the thread has closed its sockets, and one that was thrown (a port
   * that is not to be had) leaves the thread and its sockets alive: ends it, and waits until it has.
   */
  async #endThread(workerId: number): Promise<void> {
    // 'started' was posted earlier, but by another port: one turn of the loop brings it.
    await nextTurn();
    const started = this.#threads.get(workerId);
    if (started === undefined) return;
    await started.thread.terminate();
    await started.exited;
  }

  #workerEnded(workerId: number, index: number, failure: unknown): void {
    const worker = this.#running.get(workerId);
    if (worker === undefined) return;
    for (const name of Object.keys(Counter) as (keyof typeof Counter)[]) {
      const past = this.#pastCounters.get(name) ?? 0;
      this.#pastCounters.set(name, past + worker.counters.get(Counter[name]));
    }
    this.#running.delete(workerId);
    this.#threads.delete(workerId);
    this.#hung.delete(workerId);
    worker.control.close();
    worker.publications.close();
    this.#lists.workerGone(workerId);
    const nowMs = this.#options.now();
    this.#directory!.detachWorker(workerId, nowMs);
    if (this.#isStopping) return;
    const lived = nowMs - worker.startedMs;
    const pauseMs = this.#nextPauseMs(index, lived);
    this.#options.log.error(
      { worker: workerId, error: failure instanceof Error ? failure.message : String(failure) },
      `worker died after ${Math.round(lived)} ms, its sessions are lost; starting another one`,
    );
    setTimeout(() => this.#restart(index), pauseMs);
  }

  #nextPauseMs(index: number, livedMs: number): number {
    const last = livedMs > RESTART_RESET_MS ? 0 : (this.#restartPauseMs[index] ?? 0);
    const pauseMs = Math.min(RESTART_LAST_MS, Math.max(RESTART_FIRST_MS, last * 2));
    this.#restartPauseMs[index] = pauseMs;
    return pauseMs;
  }

  #restart(index: number): void {
    if (this.#isStopping) return;
    this.#startWorker(index).then(
      () => this.#options.log.info({ worker: this.#lastWorkerId }, 'worker replaced'),
      // Its end is logged, and it is tried again, by #workerEnded().
      () => {},
    );
  }

  #receive(
    workerId: number,
    message: Exclude<FromWorker, { kind: 'started' | 'listening' }>,
  ): void {
    const directory = this.#directory!;
    switch (message.kind) {
      case 'login':
        directory.requestLogin({ ...message, workerId }, this.#options.now());
        break;
      case 'kicked':
        directory.acknowledgeKick(workerId, message.killId, this.#options.now());
        break;
      case 'sessions':
        this.#lists.answered(message);
        break;
      case 'check-password':
        void this.#checkPassword(workerId, message.requestId, message.job);
        break;
    }
  }

  async #checkPassword(workerId: number, requestId: number, job: PasswordJob): Promise<void> {
    const result = await this.#cpuPool.run(job);
    this.send(workerId, { kind: 'password-checked', requestId, result });
  }
}

/**
 * Workers listen with SO_REUSEPORT, which would let a second process of the same user share the port
 * in silence. One exclusive bind before they start finds such a process.
 */
async function assertFree(service: ServiceAddress): Promise<void> {
  if (service.port === 0 || service.path !== undefined) return;
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: service.host, port: service.port }, () => {
      server.close(() => resolve());
    });
  });
}
