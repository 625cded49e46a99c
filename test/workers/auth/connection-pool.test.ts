import { expect, test } from 'vitest';
import {
  ConnectionPool,
  type ConnectionPoolOptions,
  DatabaseError,
  errorText,
  type PoolConnection,
} from '../../../src/workers/auth/connection-pool.ts';
import { eventually, withDeadline } from '../../support/deadline.ts';

const TIMEOUT_MS = 10_000;

class FakeConnection implements PoolConnection {
  readonly server: string;
  isEnded = false;
  hasQuit = false;
  #onEnd: () => void = () => {};
  readonly #ended = Promise.withResolvers<never>();

  constructor(server: string) {
    this.server = server;
    this.#ended.promise.catch(() => {});
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  quit(): void {
    this.hasQuit = true;
    this.isEnded = true;
  }

  destroy(): void {
    this.isEnded = true;
    this.#ended.reject(new Error('connection destroyed'));
  }

  /** Ends while nobody uses it. */
  end(): void {
    this.isEnded = true;
    this.#onEnd();
  }

  /** Never answers. */
  async hang(): Promise<never> {
    return await this.#ended.promise;
  }
}

/** A pool whose connections are all in `opened`; `connect` may be another one. */
function poolOf(options: Partial<ConnectionPoolOptions<FakeConnection>> = {}) {
  const opened: FakeConnection[] = [];
  const pool = new ConnectionPool<FakeConnection>({
    servers: ['a'],
    maxConnections: 2,
    maxWaiting: 3,
    connectTimeoutMs: 5000,
    connect: async (server) => {
      const connection = new FakeConnection(server);
      opened.push(connection);
      return connection;
    },
    ...options,
  });
  return { pool, opened };
}

async function serverOf(connection: FakeConnection): Promise<string> {
  return connection.server;
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  const settled = await withDeadline(
    promise.then(
      () => '',
      (error) => errorText(error),
    ),
    TIMEOUT_MS,
    'a failure',
  );
  return settled;
}

test('a connection is used again, by one at a time', async () => {
  const { pool, opened } = poolOf();
  let inUse = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inUse++;
    most = Math.max(most, inUse);
    await new Promise(setImmediate);
    inUse--;
  };
  // As many as there are, and as many as may wait.
  await Promise.all(Array.from({ length: 3 }, () => pool.use(TIMEOUT_MS, work)));
  await pool.use(TIMEOUT_MS, work);
  expect(most).toBe(2);
  expect(opened).toHaveLength(2);
  pool.close();
  expect(opened.every(({ hasQuit }) => hasQuit)).toBe(true);
});

test('the limit of those who wait: one fewer, as many, one more', async () => {
  const { pool } = poolOf({ maxConnections: 1, maxWaiting: 2 });
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = pool.use(TIMEOUT_MS, async () => {
    started.resolve();
    await gate.promise;
  });
  await started.promise;
  const waiting = [pool.use(TIMEOUT_MS, serverOf), pool.use(TIMEOUT_MS, serverOf)];
  expect(await failureOf(pool.use(TIMEOUT_MS, serverOf))).toBe('2 others wait for a connection');
  gate.resolve();
  await first;
  expect(await Promise.all(waiting)).toEqual(['a', 'a']);
  expect(await pool.use(TIMEOUT_MS, serverOf)).toBe('a');
  pool.close();
});

test('what is late loses its connection, and nobody else gets it', async () => {
  const { pool, opened } = poolOf({ maxConnections: 1 });
  expect(await failureOf(pool.use(50, (connection) => connection.hang()))).toBe(
    'no answer within 50 ms',
  );
  expect(opened[0].isEnded).toBe(true);
  expect(await pool.use(TIMEOUT_MS, serverOf)).toBe('a');
  expect(opened).toHaveLength(2);
  pool.close();
});

test('who waits too long gives up its place, and takes no connection with it', async () => {
  const { pool, opened } = poolOf({ maxConnections: 1 });
  const gate = Promise.withResolvers<void>();
  const first = pool.use(TIMEOUT_MS, async () => await gate.promise);
  expect(await failureOf(pool.use(50, serverOf))).toBe('no answer within 50 ms');
  gate.resolve();
  await first;
  expect(await pool.use(TIMEOUT_MS, serverOf)).toBe('a');
  expect(opened).toHaveLength(1);
  pool.close();
});

test('connections that ended unnoticed are replaced within the question', async () => {
  const { pool, opened } = poolOf();
  await Promise.all([pool.use(TIMEOUT_MS, serverOf), pool.use(TIMEOUT_MS, serverOf)]);
  let asked = 0;
  const answer = await pool.use(TIMEOUT_MS, async (connection) => {
    asked++;
    if (connection === opened[0] || connection === opened[1]) {
      connection.isEnded = true;
      throw new Error('reset');
    }
    return 'fresh';
  });
  expect([answer, asked, opened.length]).toEqual(['fresh', 2, 3]);
  // A fresh one that ends is the server's failure: there is no third attempt.
  opened[2].end();
  const failing = pool.use(TIMEOUT_MS, async (connection) => {
    asked++;
    connection.isEnded = true;
    throw new Error('reset again');
  });
  expect([await failureOf(failing), asked]).toEqual(['reset again', 3]);
  pool.close();
});

test('an answer that is an error keeps the connection', async () => {
  const { pool, opened } = poolOf();
  const refused = pool.use(TIMEOUT_MS, () => Promise.reject(new Error('no such table')));
  expect(await failureOf(refused)).toBe('no such table');
  expect(await pool.use(TIMEOUT_MS, serverOf)).toBe('a');
  expect(opened).toHaveLength(1);
  pool.close();
});

test('servers are tried in their order; one that is down is left alone for a while', async () => {
  const attempts: string[] = [];
  let isDown = true;
  const { pool } = poolOf({
    servers: ['a', 'b'],
    connect: async (server) => {
      attempts.push(server);
      if (server === 'a' && isDown) throw new Error('refused');
      return new FakeConnection(server);
    },
  });
  const drop = async (connection: FakeConnection): Promise<string> => {
    connection.isEnded = true;
    return connection.server;
  };
  expect(await pool.use(TIMEOUT_MS, drop)).toBe('b');
  expect(await pool.use(TIMEOUT_MS, drop)).toBe('b');
  expect(await pool.use(TIMEOUT_MS, drop)).toBe('b');
  expect(attempts).toEqual(['a', 'b', 'a', 'b', 'b']);
  isDown = false;
  await eventually('the first one is tried again', TIMEOUT_MS, async () => {
    return (await pool.use(TIMEOUT_MS, drop)) === 'a';
  });
  pool.close();
});

test('all servers down: two attempts, then the same answer at once; those who wait are told', async () => {
  let attempts = 0;
  const { pool } = poolOf({
    servers: ['a', 'b'],
    connect: async (server) => {
      attempts++;
      await new Promise(setImmediate);
      throw new Error(`${server} refused`);
    },
  });
  const questions = [1, 2, 3].map(() => failureOf(pool.use(TIMEOUT_MS, serverOf)));
  const text = 'a: a refused; b: b refused';
  expect(await Promise.all(questions)).toEqual([text, text, text]);
  for (let i = 0; i < 3; i++) expect(await failureOf(pool.use(TIMEOUT_MS, serverOf))).toBe(text);
  expect(attempts).toBe(4);
  pool.close();
});

test('a server with no room for more does not fail those whom open connections can serve', async () => {
  let opened = 0;
  const { pool } = poolOf({
    connect: async (server) => {
      if (++opened > 1) throw new Error('too many connections');
      return new FakeConnection(server);
    },
  });
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const first = pool.use(TIMEOUT_MS, async () => {
    started.resolve();
    await gate.promise;
  });
  await started.promise;
  const second = pool.use(TIMEOUT_MS, serverOf);
  await eventually('a second connection was refused', TIMEOUT_MS, () => opened === 2);
  gate.resolve();
  await first;
  expect(await second).toBe('a');
  pool.close();
});

test('connecting has a time limit of its own, whatever the connector does', async () => {
  const { pool } = poolOf({
    connectTimeoutMs: 50,
    connect: async (_server, signal) => {
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => reject(new Error('aborted')));
      return await promise;
    },
  });
  expect(await failureOf(pool.use(TIMEOUT_MS, serverOf))).toBe('a: no connection within 50 ms');
  pool.close();
});

test('closed: those on their way fail, and there are no new ones', async () => {
  const { pool, opened } = poolOf({ maxConnections: 1 });
  const started = Promise.withResolvers<void>();
  const running = pool.use(TIMEOUT_MS, (connection) => {
    started.resolve();
    return connection.hang();
  });
  await started.promise;
  const waiting = pool.use(TIMEOUT_MS, serverOf);
  const failures = [failureOf(running), failureOf(waiting)];
  pool.close();
  expect(await Promise.all(failures)).toEqual(['connection destroyed', 'stopped']);
  expect(await failureOf(pool.use(TIMEOUT_MS, serverOf))).toBe('stopped');
  expect(opened).toHaveLength(1);
});

test('texts of errors are one line and not endless', () => {
  expect(errorText(new DatabaseError('a\r\nb\x1b[31m'))).toBe('a b [31m');
  expect(errorText(new AggregateError([new Error('first')], ''))).toBe('first');
  expect(errorText(new Error('x'.repeat(1000)))).toHaveLength(200);
});

test('a connection that was opened for nothing may be stale like any other', async () => {
  const gate = Promise.withResolvers<void>();
  const opened: FakeConnection[] = [];
  const { pool } = poolOf({
    connect: async (server) => {
      const connection = new FakeConnection(server);
      opened.push(connection);
      if (opened.length === 2) await gate.promise;
      return connection;
    },
  });
  // The first connection serves both, as the second one is late.
  await Promise.all([pool.use(TIMEOUT_MS, serverOf), pool.use(TIMEOUT_MS, serverOf)]);
  gate.resolve();
  await new Promise(setImmediate);
  const served: number[] = [];
  const answer = await pool.use(TIMEOUT_MS, async (connection) => {
    served.push(opened.indexOf(connection));
    if (served.length > 1) return 'answer';
    connection.isEnded = true;
    throw new Error('cut meanwhile');
  });
  expect(answer).toBe('answer');
  expect(served[0]).toBe(1);
});
