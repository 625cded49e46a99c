import { beforeEach, describe, expect, test } from 'vitest';
import {
  DelayReason,
  LoginRequests,
  MAX_WAITING_REQUESTS,
  REQUEST_TIMEOUT_MS,
} from '../../../src/main/directory/login-requests.ts';
import { START_MS, server, TestDirectory } from './test-directory.ts';

const HOST = '10.0.0.1';
let made: TestDirectory;

beforeEach(() => {
  made = new TestDirectory([]);
});

describe('without a backend', () => {
  test('a login waits 30 s and fails with the text of Dovecot', () => {
    made.login(4711, 0, 1, 7);
    made.pass(REQUEST_TIMEOUT_MS - 1);
    expect(made.answers).toEqual([]);
    // The edge looks every 100 ms, the directory every second.
    made.pass(1000);
    const error =
      'Timeout because no hosts - queued for 30 secs (Ring synced for 30 secs, hash=4711)';
    expect(made.takeAnswers()).toEqual([{ workerId: 1, requestId: 7, error }]);
    made.pass(60_000);
    expect(made.answers).toEqual([]);
  });

  test('one that is put again fails 30 s after it was put first', () => {
    const sinceSecs = Math.floor(made.nowMs / 1000);
    made.pass(20_000);
    const request = { workerId: 1, requestId: 7, tagIndex: 0, userHash: 4711, sinceSecs };
    made.directory.requestLogin(request, made.nowMs);
    made.pass(9000);
    expect(made.answers).toEqual([]);
    made.pass(3000);
    expect(made.takeAnswers()).toHaveLength(1);
  });

  test('all drained, or all down, is the same', () => {
    made.directory.addHost(HOST, 0, '', made.nowMs);
    made.login(1);
    made.directory.setVhostCount(HOST, 1, made.nowMs);
    expect(made.takeAnswers()).toHaveLength(1);
    expect(made.hostOf(1)).toBe(HOST);
    made.directory.setDown(HOST, true, made.nowMs);
    made.login(2, 0, 1, 22);
    expect(made.takeAnswers()).toEqual([]);
    // Who has a host keeps it, also while it is down.
    made.login(1);
    expect(made.takeAnswers()).toHaveLength(1);
    made.directory.setDown(HOST, false, made.nowMs);
    expect(made.takeAnswers()).toEqual([{ workerId: 1, requestId: 22, error: null }]);
  });

  test('a host of another tag does not help; one of the tag wakes the login', () => {
    made.directory.addHost('10.1.0.1', 100, 'eu', made.nowMs);
    made.login(9, 0);
    made.login(9, 1, 1, 3);
    expect(made.takeAnswers()).toEqual([{ workerId: 1, requestId: 3, error: null }]);
    made.directory.addHost(HOST, 100, '', made.nowMs);
    expect(made.takeAnswers()).toHaveLength(1);
    expect([made.hostOf(9), made.hostOf(9, 'eu')]).toEqual([HOST, '10.1.0.1']);
  });

  test('one worker dies: its logins are forgotten, those of others are not', () => {
    made.directory.attachWorker(1, new SharedArrayBuffer(12));
    made.directory.attachWorker(2, new SharedArrayBuffer(12));
    made.login(5, 0, 1);
    made.login(5, 0, 2);
    made.directory.detachWorker(1, made.nowMs);
    made.directory.addHost(HOST, 100, '', made.nowMs);
    expect(made.answers.map(({ workerId }) => workerId)).toEqual([2]);
  });
});

test('the text of a kill tells when the user was seen, and its tag', () => {
  made = new TestDirectory([server('10.1.0.1', 100, 'eu'), server('10.1.0.2', 100, 'eu')]);
  const { directory } = made;
  directory.attachWorker(1, new SharedArrayBuffer(12));
  directory.moveUser('eu', 77, '10.1.0.1', made.nowMs);
  expect(directory.moveUser('eu', 77, '10.1.0.2', made.nowMs)).toBe('moving');
  made.pass(5000);
  made.login(77, 1, 1, 1);
  made.pass(31_000);
  expect(made.answers[0].error).toBe(
    'Timeout because kill waiting - queued for 31 secs ' +
      '(Ring synced for 36 secs, user refreshed 36 secs ago, hash=77, tag=eu)',
  );
});

test('time of waiting counts from the login, however often it was tried again', () => {
  made.login(1);
  made.pass(20_000);
  made.directory.addHost('10.1.0.1', 100, 'eu', made.nowMs);
  made.directory.addHost(HOST, 0, '', made.nowMs);
  made.pass(10_000);
  expect(made.answers[0].error).toContain('queued for 30 secs');
});

describe('the table of waiting logins', () => {
  const request = (requestId: number, userHash = 1) => {
    return { workerId: 1, requestId, tagIndex: 0, userHash };
  };

  test.each([
    [MAX_WAITING_REQUESTS - 1, true],
    [MAX_WAITING_REQUESTS, false],
    [MAX_WAITING_REQUESTS + 1, false],
  ])('with %i in it takes one more: %s', (count, isTaken) => {
    const requests = new LoginRequests();
    for (let i = 0; i < count; i++) requests.add(request(i, i + 1), DelayReason.kill, START_MS);
    expect(requests.size).toBe(Math.min(count, MAX_WAITING_REQUESTS));
    expect(requests.add(request(count), DelayReason.kill, START_MS)).toBe(isTaken);
  });

  test('has room again for what was taken out', () => {
    const requests = new LoginRequests(2);
    requests.add(request(1, 1), DelayReason.kill, START_MS);
    requests.add(request(2, 2), DelayReason.noHosts, START_MS);
    expect(requests.add(request(3, 3), DelayReason.kill, START_MS)).toBe(false);
    expect(requests.takeReasons(DelayReason.noHosts)).toHaveLength(1);
    expect(requests.add(request(3, 3), DelayReason.kill, START_MS)).toBe(true);
    expect(requests.takeUser(0, 1)).toHaveLength(1);
    expect(requests.takeExpired(START_MS + REQUEST_TIMEOUT_MS)).toHaveLength(1);
    expect(requests.size).toBe(0);
    expect(requests.takeUser(0, 3)).toEqual([]);
  });

  test('tells users of two tags apart', () => {
    const requests = new LoginRequests();
    requests.add({ ...request(1, 0xffffffff), tagIndex: 0 }, DelayReason.kill, START_MS);
    requests.add({ ...request(2, 0xffffffff), tagIndex: 1 }, DelayReason.kill, START_MS);
    expect(requests.takeUser(1, 0xffffffff).map(({ requestId }) => requestId)).toEqual([2]);
    expect(requests.size).toBe(1);
  });

  test('drops 100,000 logins of one user in a moment', () => {
    const requests = new LoginRequests();
    for (let i = 0; i < 100_000; i++) requests.add(request(i), DelayReason.kill, START_MS);
    const start = performance.now();
    expect(requests.takeExpired(START_MS + REQUEST_TIMEOUT_MS)).toHaveLength(100_000);
    // A list per user that is searched for each of them takes minutes.
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

test('a login that finds the table full is refused at once, with the reason', () => {
  for (let i = 1; i <= MAX_WAITING_REQUESTS; i++) made.login(i);
  expect(made.answers).toEqual([]);
  made.login(MAX_WAITING_REQUESTS + 1, 0, 1, 5);
  const error = `more than ${MAX_WAITING_REQUESTS} logins wait (no hosts)`;
  expect(made.answers).toEqual([{ workerId: 1, requestId: 5, error }]);
});
