import type { FromWorker, ListedSession, SessionFilter, ToWorker } from '../shared/messages.ts';

/** A worker that does not answer for so long is left out. */
export const LIST_TIMEOUT_MS = 5000;

type Part = Extract<FromWorker, { kind: 'sessions' }>;

interface Request {
  readonly workerId: number;
  readonly timer: NodeJS.Timeout;
  /** Null: the worker has gone, or does not answer. */
  readonly resolve: (part: Part | null) => void;
}

/** What listing needs of the workers. */
export interface ListedWorkers {
  ids(): readonly number[];
  send(workerId: number, message: ToWorker): void;
}

export const EVERY_SESSION: SessionFilter = {
  user: null,
  userHash: null,
  backend: null,
  network: null,
};

/**
 * Asks workers for their sessions, a part at a time: a worker keeps nothing between two parts, and is asked for
 * the next one while the last is being read, so that a slow reader holds two parts at most.
 */
export class SessionLists {
  readonly #workers: ListedWorkers;
  readonly #requests = new Map<number, Request>();
  #lastRequestId = 0;

  constructor(workers: ListedWorkers) {
    this.#workers = workers;
  }

  /** Questions that are not answered yet. */
  get size(): number {
    return this.#requests.size;
  }

  list(filter: SessionFilter): SessionList {
    return new SessionList(this.#workers.ids(), (workerId, from) => {
      return this.#ask(workerId, filter, from);
    });
  }

  #ask(workerId: number, filter: SessionFilter, from: number): Promise<Part | null> {
    if (!this.#workers.ids().includes(workerId)) return Promise.resolve(null);
    const requestId = ++this.#lastRequestId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(requestId, null), LIST_TIMEOUT_MS);
      this.#requests.set(requestId, { workerId, timer, resolve });
      this.#workers.send(workerId, { kind: 'list-sessions', requestId, filter, from });
    });
  }

  #settle(requestId: number, part: Part | null): void {
    const request = this.#requests.get(requestId);
    if (request === undefined) return;
    this.#requests.delete(requestId);
    clearTimeout(request.timer);
    request.resolve(part);
  }

  answered(part: Part): void {
    this.#settle(part.requestId, part);
  }

  workerGone(workerId: number): void {
    for (const [requestId, request] of this.#requests) {
      if (request.workerId === workerId) this.#settle(requestId, null);
    }
  }
}

/**
 * The sessions of all workers, in parts. Each session that is open all the time is in it once; those that come
 * or go meanwhile may be. To stop reading is enough to end it.
 */
export class SessionList implements AsyncIterable<readonly ListedSession[]> {
  readonly #workerIds: readonly number[];
  readonly #ask: (workerId: number, from: number) => Promise<Part | null>;
  #missing = 0;

  constructor(
    workerIds: readonly number[],
    ask: (workerId: number, from: number) => Promise<Part | null>,
  ) {
    this.#workerIds = workerIds;
    this.#ask = ask;
  }

  /** Workers whose part is not there, or not whole: they ended, or did not answer. */
  get missingWorkers(): number {
    return this.#missing;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly ListedSession[], void> {
    for (const workerId of this.#workerIds) yield* this.#ofWorker(workerId);
  }

  async *#ofWorker(workerId: number): AsyncGenerator<readonly ListedSession[], void> {
    let asked = this.#ask(workerId, 0);
    for (;;) {
      const part = await asked;
      if (part === null) {
        this.#missing++;
        return;
      }
      const isLast = part.next < 0;
      if (!isLast) asked = this.#ask(workerId, part.next);
      if (part.sessions.length > 0) yield part.sessions;
      if (isLast) return;
    }
  }
}
