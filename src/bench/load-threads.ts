import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type {
  LoadCommand,
  LoadReport,
  LoadThreadData,
  RunTimes,
  SharedLoad,
  ThreadResult,
} from './load-messages.ts';
import type { BenchSettings } from './settings.ts';
import { createUserPlaces } from './user-places.ts';

/** One worker thread; its ready() and ended() resolve once. */
class LoadWorker {
  readonly ready: Promise<void>;
  readonly ended: Promise<ThreadResult>;
  readonly #worker: Worker;

  constructor(data: LoadThreadData) {
    // The same file by its source name, or by its built name in dist/.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const entry = new URL(`./load-thread-entry.${extension}`, import.meta.url);
    this.#worker = new Worker(entry, { workerData: data });
    const ready = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<ThreadResult>();
    this.#worker.on('message', (report: LoadReport) => {
      // One that ends while it opens its sessions keeps nobody waiting.
      ready.resolve();
      if (report.kind === 'ended') ended.resolve(report.result);
    });
    this.#worker.on('error', (error: Error) => {
      ready.reject(error);
      ended.reject(error);
    });
    this.ready = ready.promise;
    this.ended = ended.promise;
    // Whoever waits for the first thread's end must not leave the others' unhandled.
    this.ready.catch(() => {});
    this.ended.catch(() => {});
  }

  tell(command: LoadCommand): void {
    this.#worker.postMessage(command);
  }

  async terminate(): Promise<void> {
    const exited = once(this.#worker, 'exit');
    await this.#worker.terminate();
    await exited;
  }
}

/** All threads of a run. */
export class LoadThreads {
  readonly #workers: readonly LoadWorker[];

  constructor(settings: BenchSettings) {
    const shared: SharedLoad = {
      places: createUserPlaces(settings.users),
      errors: new SharedArrayBuffer(4),
    };
    this.#workers = Array.from({ length: settings.threads }, (_, thread) => {
      return new LoadWorker({ settings, thread, shared });
    });
  }

  /** All sessions that stay are open. */
  async ready(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.ready));
  }

  run(times: RunTimes): void {
    for (const worker of this.#workers) worker.tell({ kind: 'run', times });
  }

  stop(): void {
    for (const worker of this.#workers) worker.tell({ kind: 'stop' });
  }

  async results(): Promise<ThreadResult[]> {
    return await Promise.all(this.#workers.map((worker) => worker.ended));
  }

  async terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
