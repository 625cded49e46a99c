import { PostilionError } from '../../shared/errors.ts';
import { databaseLimits } from '../../shared/limits.ts';

/** One connection to a database server, used by one question at a time. */
export interface PoolConnection {
  /** Ended, by whomever; or broken in the middle of an answer. */
  readonly isEnded: boolean;
  /** Called once, when it has ended by itself while nobody used it. */
  onEnd(listener: () => void): void;
  /** With a goodbye, as nobody uses it. */
  quit(): void;
  /** At once, whatever is on its way. May be called again. */
  destroy(): void;
}

/** Why there was no answer; the text is for the log. */
export class DatabaseError extends PostilionError {
  constructor(text: string, options?: ErrorOptions) {
    super('DATABASE_FAILED', text, options);
  }
}

export interface ConnectionPoolOptions<C extends PoolConnection> {
  /** Tried in this order; each is left alone for a while after it could not be reached. */
  readonly servers: readonly string[];
  /** Must end by itself when the signal is aborted. */
  connect(server: string, signal: AbortSignal): Promise<C>;
  readonly maxConnections: number;
  /** Questions that wait for a connection; further ones fail at once. */
  readonly maxWaiting?: number;
  readonly connectTimeoutMs: number;
}

interface Server {
  readonly name: string;
  failures: number;
  /** performance.now() */
  pausedUntilMs: number;
  lastError: string;
}

interface Held<C> {
  readonly connection: C;
  readonly openedMs: number;
  /** Opened for the question that it serves first, and that one has not had it yet. */
  isFresh: boolean;
  idleTimer: NodeJS.Timeout | null;
}

interface Waiter<C> {
  resolve(held: Held<C>): void;
  reject(error: Error): void;
}

/**
 * Connections to a database, opened when they are needed and kept for the next question. Everything is
 * bounded: the connections, the questions that wait for one, and the time of each.
 */
export class ConnectionPool<C extends PoolConnection> {
  readonly #options: ConnectionPoolOptions<C>;
  readonly #servers: readonly Server[];
  readonly #idle: Held<C>[] = [];
  readonly #busy = new Set<Held<C>>();
  readonly #waiting = new Set<Waiter<C>>();
  readonly #closing = new AbortController();
  #connecting = 0;

  constructor(options: ConnectionPoolOptions<C>) {
    this.#options = options;
    this.#servers = options.servers.map((name) => {
      return { name, failures: 0, pausedUntilMs: 0, lastError: '' };
    });
  }

  /**
   * Runs `work` with a connection that nobody else uses meanwhile. When the time is over the connection is
   * destroyed, as nobody knows what it would say next. Throws DatabaseError, or what `work` throws.
   */
  async use<T>(timeoutMs: number, work: (connection: C) => Promise<T>): Promise<T> {
    const deadline = new Deadline(timeoutMs);
    try {
      let held = await this.#acquire(deadline);
      const { isFresh } = held;
      try {
        return await this.#run(held, deadline, work);
      } catch (error) {
        // The server was restarted since, or a firewall has forgotten the connection: that says nothing
        // about the question. The others are as old.
        if (isFresh || !held.connection.isEnded || deadline.isOver) throw error;
        this.#dropIdle();
      }
      held = await this.#acquire(deadline);
      return await this.#run(held, deadline, work);
    } finally {
      deadline.clear();
    }
  }

  /** Questions that are on their way fail. */
  close(): void {
    this.#closing.abort();
    this.#rejectWaiters(new DatabaseError('stopped'));
    for (const held of this.#busy) held.connection.destroy();
    this.#dropIdle();
  }

  async #run<T>(held: Held<C>, deadline: Deadline, work: (c: C) => Promise<T>): Promise<T> {
    const { connection } = held;
    const working = work(connection);
    try {
      const result = await deadline.race(working);
      held.isFresh = false;
      return result;
    } catch (error) {
      if (deadline.isOver || this.#closing.signal.aborted) {
        connection.destroy();
        // It fails now that its connection is gone, and nobody waits for it any more.
        working.catch(() => {});
      }
      throw error;
    } finally {
      this.#busy.delete(held);
      this.#release(held);
    }
  }

  async #acquire(deadline: Deadline): Promise<Held<C>> {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      clearTimeout(idle.idleTimer ?? undefined);
      this.#busy.add(idle);
      return idle;
    }
    if (this.#closing.signal.aborted) throw new DatabaseError('stopped');
    if (this.#waiting.size >= (this.#options.maxWaiting ?? databaseLimits.waitingQuestions)) {
      throw new DatabaseError(`${this.#waiting.size} others wait for a connection`);
    }
    const { promise, ...waiter } = Promise.withResolvers<Held<C>>();
    this.#waiting.add(waiter);
    this.#openForWaiters();
    try {
      return await deadline.race(promise);
    } catch (error) {
      this.#waiting.delete(waiter);
      // It may have been given a connection in the very moment in which its time was over.
      promise.then(
        (held) => {
          this.#busy.delete(held);
          this.#release(held);
        },
        () => {},
      );
      throw error;
    }
  }

  #rejectWaiters(error: Error): void {
    for (const waiter of this.#waiting) waiter.reject(error);
    this.#waiting.clear();
  }

  #openForWaiters(): void {
    const open = this.#busy.size + this.#idle.length + this.#connecting;
    const mayOpen = open < this.#options.maxConnections && this.#connecting < this.#waiting.size;
    if (mayOpen && !this.#closing.signal.aborted) void this.#open();
  }

  async #open(): Promise<void> {
    this.#connecting++;
    let connection: C;
    try {
      connection = await this.#connect();
    } catch (error) {
      this.#connecting--;
      // Others may still end their questions and be of use: the server may just have no room for more.
      if (this.#busy.size === 0 && this.#connecting === 0) this.#rejectWaiters(error as Error);
      return;
    }
    this.#connecting--;
    const held: Held<C> = {
      ...{ connection, openedMs: performance.now() },
      ...{ isFresh: true, idleTimer: null },
    };
    connection.onEnd(() => this.#forget(held));
    this.#release(held);
  }

  /** The first server that answers. */
  async #connect(): Promise<C> {
    for (const server of this.#servers) {
      if (performance.now() < server.pausedUntilMs) continue;
      const timeout = AbortSignal.timeout(this.#options.connectTimeoutMs);
      try {
        const signal = AbortSignal.any([this.#closing.signal, timeout]);
        const connection = await this.#options.connect(server.name, signal);
        server.failures = 0;
        return connection;
      } catch (error) {
        const { firstPauseMs, maxPauseMs } = databaseLimits;
        // One failure may be that of the connection alone.
        const pauseMs =
          server.failures === 0
            ? 0
            : Math.min(firstPauseMs * 2 ** (server.failures - 1), maxPauseMs);
        server.failures++;
        server.pausedUntilMs = performance.now() + pauseMs;
        const late = `no connection within ${this.#options.connectTimeoutMs} ms`;
        server.lastError = timeout.aborted ? late : errorText(error);
      }
    }
    const errors = this.#servers.map(({ name, lastError }) => `${name}: ${lastError}`);
    throw new DatabaseError(errors.join('; '));
  }

  #release(held: Held<C>): void {
    const isOld = performance.now() - held.openedMs > databaseLimits.connectionAgeMs;
    if (held.connection.isEnded || isOld || this.#closing.signal.aborted) {
      if (!held.connection.isEnded) held.connection.quit();
      this.#openForWaiters();
      return;
    }
    const [waiter] = this.#waiting;
    if (waiter !== undefined) {
      this.#waiting.delete(waiter);
      this.#busy.add(held);
      waiter.resolve(held);
      return;
    }
    held.idleTimer = setTimeout(() => {
      this.#forget(held);
      held.connection.quit();
    }, databaseLimits.idleConnectionMs).unref();
    // Even one that nobody has needed in the end grows old.
    held.isFresh = false;
    this.#idle.push(held);
  }

  #dropIdle(): void {
    for (const held of this.#idle.splice(0)) {
      clearTimeout(held.idleTimer ?? undefined);
      held.connection.quit();
    }
  }

  #forget(held: Held<C>): void {
    clearTimeout(held.idleTimer ?? undefined);
    const index = this.#idle.indexOf(held);
    if (index >= 0) this.#idle.splice(index, 1);
  }
}

/** One time limit for all steps of a question. */
class Deadline {
  readonly #late: Promise<never>;
  readonly #timer: NodeJS.Timeout;
  isOver = false;

  constructor(timeoutMs: number) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#late = promise;
    // Only those who race with it are told.
    promise.catch(() => {});
    this.#timer = setTimeout(() => {
      this.isOver = true;
      reject(new DatabaseError(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
  }

  async race<T>(promise: Promise<T>): Promise<T> {
    return await Promise.race([promise, this.#late]);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** What a library said, on one line and without end. */
export function errorText(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorText(error.errors[0]);
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/[^ -~]+/g, ' ').slice(0, 200);
}
