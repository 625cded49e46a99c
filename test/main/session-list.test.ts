import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  EVERY_SESSION,
  LIST_TIMEOUT_MS,
  type SessionList,
  SessionLists,
} from '../../src/main/session-list.ts';
import type { ListedSession, ToWorker } from '../../src/shared/messages.ts';

type Question = Extract<ToWorker, { kind: 'list-sessions' }> & { readonly workerId: number };

let ids: number[];
let questions: Question[];
let lists: SessionLists;

beforeEach(() => {
  vi.useFakeTimers();
  ids = [1, 2];
  questions = [];
  lists = new SessionLists({
    ids: () => ids,
    send: (workerId, message) => {
      if (message.kind === 'list-sessions') questions.push({ ...message, workerId });
    },
  });
});

afterEach(() => {
  vi.useRealTimers();
});

function session(user: string): ListedSession {
  return {
    user,
    protocol: 'imap',
    client: '192.0.2.1',
    clientPort: 1,
    backend: '10.0.0.1',
    sessionId: user,
    state: 'open',
    sinceMs: 0,
    bytesFromClient: 0,
    bytesFromBackend: 0,
  };
}

function answer(users: readonly string[], next: number): void {
  const { requestId } = questions.shift()!;
  lists.answered({ kind: 'sessions', requestId, sessions: users.map(session), next });
}

/** Reads the list to its end in the background. */
function read(list: SessionList): { users: string[]; done: Promise<void> } {
  const users: string[] = [];
  const done = (async () => {
    for await (const part of list) users.push(...part.map(({ user }) => user));
  })();
  return { users, done };
}

function asked(): (number | string)[][] {
  return questions.map(({ workerId, from }) => [workerId, from]);
}

async function turn(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

test('asks one worker after the other, each from where its last answer ended', async () => {
  const { users, done } = read(lists.list({ ...EVERY_SESSION, backend: '10.0.0.1' }));
  expect(questions[0].filter).toEqual({ ...EVERY_SESSION, backend: '10.0.0.1' });
  expect(asked()).toEqual([[1, 0]]);
  answer(['a', 'b'], 300);
  await turn();
  expect(asked()).toEqual([[1, 300]]);
  answer([], 600);
  await turn();
  answer(['c'], -1);
  await turn();
  expect(asked()).toEqual([[2, 0]]);
  answer(['d'], -1);
  await done;
  expect(users).toEqual(['a', 'b', 'c', 'd']);
  expect(lists.size).toBe(0);
});

test('a reader that does not read is one part behind, and no more is asked for', async () => {
  const parts = lists.list(EVERY_SESSION)[Symbol.asyncIterator]();
  const first = parts.next();
  await turn();
  answer(['a'], 1);
  expect((await first).value).toHaveLength(1);
  answer(['b'], 2);
  await turn();
  expect(questions).toEqual([]);
  expect((await parts.next()).value).toHaveLength(1);
  expect(asked()).toEqual([[1, 2]]);
});

test('a reader that leaves ends it', async () => {
  const list = lists.list(EVERY_SESSION);
  const reader = (async () => {
    for await (const _part of list) return;
  })();
  await turn();
  answer(['a'], 1);
  await reader;
  answer(['b'], 2);
  await turn();
  expect([questions, lists.size]).toEqual([[], 0]);
});

test('a worker that ends, before or in the middle of its part, is missing; the others are not', async () => {
  ids = [1, 2, 3];
  const list = lists.list(EVERY_SESSION);
  const { users, done } = read(list);
  answer(['a'], 1);
  await turn();
  expect(asked()).toEqual([[1, 1]]);
  questions = [];
  ids = [2];
  lists.workerGone(1);
  lists.workerGone(3);
  await turn();
  expect(asked()).toEqual([[2, 0]]);
  answer(['b'], -1);
  await done;
  expect([users, list.missingWorkers, lists.size]).toEqual([['a', 'b'], 2, 0]);
});

test('a worker that does not answer in time is missing, and its late answer harms nothing', async () => {
  const list = lists.list(EVERY_SESSION);
  const { users, done } = read(list);
  const late = questions.shift()!;
  await vi.advanceTimersByTimeAsync(LIST_TIMEOUT_MS - 1);
  expect(questions).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  lists.answered({
    kind: 'sessions',
    requestId: late.requestId,
    sessions: [session('x')],
    next: 5,
  });
  answer(['b'], -1);
  await done;
  expect([users, list.missingWorkers, lists.size]).toEqual([['b'], 1, 0]);
});

test('several lists at once do not get into each other', async () => {
  const first = read(lists.list(EVERY_SESSION));
  const second = read(lists.list(EVERY_SESSION));
  questions.reverse();
  for (const user of ['of second', 'of first']) {
    answer([user], -1);
  }
  await turn();
  for (let i = 0; i < 2; i++) answer([], -1);
  await Promise.all([first.done, second.done]);
  expect([first.users, second.users]).toEqual([['of first'], ['of second']]);
});
