import { expect, it } from 'vitest';
import { SELF } from '../../../src/main/directory/ring-link.ts';
import { KICK_TIMEOUT_MS } from '../../../src/main/directory/worker-kicks.ts';
import { createRegistry } from '../../../src/shared/memory/session-registry.ts';
import { TestDirectory } from './test-directory.ts';

function directoryWithWorkers(...workerIds: readonly number[]): TestDirectory {
  const test = new TestDirectory([]);
  for (const workerId of workerIds) test.directory.attachWorker(workerId, createRegistry(16));
  return test;
}

it('a kick by name goes to every worker, and is over when all have closed', () => {
  const test = directoryWithWorkers(1, 2);
  test.directory.kickUser(SELF, 'alice');
  expect(test.fieldKicks).toEqual([
    { workerId: 1, killId: 1, field: 'user', value: 'alice' },
    { workerId: 2, killId: 1, field: 'user', value: 'alice' },
  ]);
  expect(test.directory.kickCount).toBe(1);
  test.directory.acknowledgeKick(1, 1, test.nowMs);
  test.directory.acknowledgeKick(1, 1, test.nowMs);
  test.directory.acknowledgeKick(7, 1, test.nowMs);
  expect(test.directory.kickCount).toBe(1);
  test.directory.acknowledgeKick(2, 1, test.nowMs);
  expect(test.directory.kickCount).toBe(0);
});

it('a worker that is gone has closed all', () => {
  const test = directoryWithWorkers(1, 2);
  test.directory.kickUserAlt(SELF, 'field', 'value');
  test.directory.kickUser(SELF, 'bob');
  test.directory.acknowledgeKick(1, 2, test.nowMs);
  test.directory.detachWorker(2, test.nowMs);
  expect(test.directory.kickCount).toBe(1);
  test.directory.detachWorker(1, test.nowMs);
  expect(test.directory.kickCount).toBe(0);
});

it('without workers there is nothing to wait for', () => {
  const test = new TestDirectory([]);
  test.directory.kickUser(SELF, 'alice');
  expect(test.directory.kickCount).toBe(0);
});

it('a worker that does not answer is not waited for for ever', () => {
  const test = directoryWithWorkers(1);
  test.directory.kickUser(SELF, 'alice');
  test.pass(100);
  test.pass(KICK_TIMEOUT_MS - 1);
  expect(test.directory.kickCount).toBe(1);
  test.pass(1);
  expect(test.directory.kickCount).toBe(0);
});
