import { Worker } from 'node:worker_threads';
import type { SqlPassdbSettings } from '../../../shared/database-passdb-settings.ts';
import { databaseLimits } from '../../../shared/limits.ts';
import { DatabaseError } from '../connection-pool.ts';
import { openUntilAborted } from '../database-socket.ts';
import type { SqlConnection, SqlResult } from './sql-connection.ts';
import type { SqliteReply, SqliteRequest, SqliteThreadData } from './sqlite-thread-messages.ts';

/** Threads that have not ended, by file. */
const threads = new Map<string, number>();

/**
 * SQLite answers synchronously: a file system that is slow, or a writer that has locked the file, would stop
 * all sessions of a worker. So the database has a thread of its own. `server` is the file.
 */
export async function connectSqlite(
  { timeoutMs }: SqlPassdbSettings,
  server: string,
  signal: AbortSignal,
): Promise<SqlConnection> {
  const data: SqliteThreadData = { path: server, timeoutMs };
  // The same file by its source name, or by its built name in dist/.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = new URL(`./sqlite-thread-entry.${extension}`, import.meta.url);
  const running = threads.get(server) ?? 0;
  if (running >= databaseLimits.sqliteThreads)
    throw new DatabaseError(`${running} threads are stuck`);
  threads.set(server, running + 1);
  const thread = new Worker(entry, { workerData: data });
  thread.once('exit', () => threads.set(server, threads.get(server)! - 1));
  const connection = new SqliteConnection(thread);
  return await openUntilAborted(connection, signal, () => connection.opened);
}

class SqliteConnection implements SqlConnection {
  readonly #thread: Worker;
  readonly #opened = Promise.withResolvers<void>();
  #waiting: PromiseWithResolvers<SqlResult> | null = null;
  #requestId = 0;
  isEnded = false;
  #onEnd: () => void = () => {};

  constructor(thread: Worker) {
    this.#thread = thread;
    // It does not keep a worker alive that is done.
    thread.unref();
    this.#opened.promise.catch(() => {});
    thread.on('message', (reply: SqliteReply) => {
      if (reply.kind === 'opened') this.#opened.resolve();
      else this.#answered(reply);
    });
    thread.on('error', (error: Error) => this.#fail(error));
    thread.on('exit', () => {
      this.#fail(new DatabaseError('the thread of the database has ended'));
      this.#onEnd();
    });
  }

  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /** One at a time, which the pool sees to. */
  async query(statement: string, parameters: readonly string[]): Promise<SqlResult> {
    const request: SqliteRequest = { id: ++this.#requestId, statement, parameters };
    this.#waiting = Promise.withResolvers<SqlResult>();
    this.#thread.postMessage(request);
    return await this.#waiting.promise;
  }

  quit(): void {
    this.destroy();
  }

  /** The thread ends when SQLite comes back from what it is doing; nobody waits for that. */
  destroy(): void {
    this.#fail(new DatabaseError('given up'));
    void this.#thread.terminate();
  }

  #fail(error: Error): void {
    this.isEnded = true;
    this.#opened.reject(error);
    this.#waiting?.reject(error);
    this.#waiting = null;
  }

  #answered(reply: Exclude<SqliteReply, { kind: 'opened' }>): void {
    const waiting = this.#waiting;
    if (reply.id !== this.#requestId) return;
    this.#waiting = null;
    if (reply.kind === 'result') waiting?.resolve(reply.result);
    else waiting?.reject(new DatabaseError(reply.text));
  }
}
