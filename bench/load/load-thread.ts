import { parentPort, workerData } from 'node:worker_threads';
import { LoadConnection, type LoadOwner } from './load-connection.ts';
import { ERRORS, type LoadThreadData, MAX_ERRORS, MAX_OPENING } from './shared-state.ts';

const PHASE_CHECK_MS = 20;
const { settings, shared, index } = workerData as LoadThreadData;
const port = parentPort;
if (port === null) throw new Error('runs in a worker thread only');

const share =
  Math.floor(settings.concurrency / settings.threads) +
  (index < settings.concurrency % settings.threads ? 1 : 0);
const openingLimit =
  settings.mode === 'login' ? share : Math.floor(MAX_OPENING / settings.threads) + 1;

class LoadThread implements LoadOwner {
  readonly settings = settings;
  readonly shared = shared;
  isRunning = false;
  readonly #connections: LoadConnection[] = [];
  #opening = 0;
  #random = 88_172_645 + index * 7919;

  openMore(): void {
    while (this.#connections.length < share && this.#opening < openingLimit) {
      const connection = new LoadConnection(this, this.#connections.length);
      this.#connections.push(connection);
      this.#open(connection);
    }
  }

  nextUser(connection: number): number {
    if (settings.mode !== 'login') {
      return (connection * settings.threads + index) % settings.users;
    }
    // xorshift32, so that a run can be repeated.
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return (this.#random >>> 0) % settings.users;
  }

  becameReady(): void {
    this.#opening--;
    Atomics.add(shared.ready, 0, 1);
    this.openMore();
  }

  ended(connection: LoadConnection, wasReady: boolean, error: string | null): void {
    if (wasReady) Atomics.sub(shared.ready, 0, 1);
    else this.#opening--;
    if (Atomics.load(shared.phase, 0) >= 2) return;
    if (error !== null) {
      Atomics.add(shared.counters, ERRORS, 1n);
      port?.postMessage(error);
    }
    if (Atomics.load(shared.counters, ERRORS) < MAX_ERRORS) this.#open(connection);
  }

  run(): void {
    this.isRunning = true;
    for (const connection of this.#connections) connection.run();
  }

  stop(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #open(connection: LoadConnection): void {
    this.#opening++;
    connection.open();
  }
}

const thread = new LoadThread();
thread.openMore();
const timer = setInterval(() => {
  if (Atomics.load(shared.phase, 0) >= 2) {
    clearInterval(timer);
    thread.stop();
    port.close();
  } else if (!thread.isRunning && Atomics.load(shared.ready, 0) === settings.concurrency) {
    thread.run();
  }
}, PHASE_CHECK_MS);
