import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type {
  BackendThreadCommand,
  BackendThreadData,
  BackendThreadReply,
  BackendThreadReport,
  ThreadBackendOptions,
} from './backend-thread-messages.ts';
import type { BackendFaults } from './faults.ts';

interface Waiter {
  resolve(report: BackendThreadReport): void;
  reject(error: Error): void;
}

/** Several embedded backends on an event loop of their own, all on the same two ports. */
export class BackendThread {
  readonly imapPort: number;
  readonly pop3Port: number;
  readonly #worker: Worker;
  readonly #waiters = new Map<number, Waiter>();
  #nextId = 1;

  constructor(worker: Worker, imapPort: number, pop3Port: number) {
    this.#worker = worker;
    this.imapPort = imapPort;
    this.pop3Port = pop3Port;
    worker.on('message', (message: BackendThreadReply) => this.#answered(message));
    worker.on('error', (error: Error) => this.#failAll(error));
    worker.on('exit', (code) => this.#failAll(new Error(`backend thread ended (${code})`)));
  }

  /** Logins and open sessions per backend, and the violations of the promise. */
  report(): Promise<BackendThreadReport> {
    return this.#ask({ kind: 'report' });
  }

  async setFaults(name: string, faults: BackendFaults): Promise<void> {
    await this.#ask({ kind: 'set-faults', name, faults });
  }

  async die(name: string): Promise<void> {
    await this.#ask({ kind: 'die', name });
  }

  async revive(name: string): Promise<void> {
    await this.#ask({ kind: 'revive', name });
  }

  async notify(name: string, user: string): Promise<void> {
    await this.#ask({ kind: 'notify', name, user });
  }

  /** Stops the backends and the thread; resolves to the last report. */
  async stop(): Promise<BackendThreadReport> {
    const exited = once(this.#worker, 'exit');
    const last = await this.#ask({ kind: 'stop' });
    await exited;
    return last;
  }

  #ask(command: BackendThreadCommand): Promise<BackendThreadReport> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#worker.postMessage({ id, command });
    });
  }

  #answered(message: BackendThreadReply): void {
    if (message.kind === 'ready') return;
    const waiter = this.#waiters.get(message.id);
    this.#waiters.delete(message.id);
    if (message.kind === 'report') waiter?.resolve(message.report);
    else waiter?.reject(new Error(message.text));
  }

  #failAll(error: Error): void {
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }
}

/** Starts the thread and waits until all its backends listen. */
export async function startBackendThread(
  backends: readonly ThreadBackendOptions[],
): Promise<BackendThread> {
  const data: BackendThreadData = { backends };
  // The same file by its source name, or by its built name in dist/.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = new URL(`./backend-thread-entry.${extension}`, import.meta.url);
  const worker = new Worker(entry, { workerData: data });
  const [ready] = (await once(worker, 'message')) as [BackendThreadReply];
  if (ready.kind !== 'ready') throw new Error(`unexpected first message: ${ready.kind}`);
  return new BackendThread(worker, ready.imapPort, ready.pop3Port);
}
