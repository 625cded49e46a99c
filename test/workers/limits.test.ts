import { describe, expect, test } from 'vitest';
import { BackendHealth, IMMEDIATE_FAILURE_AFTER_MS } from '../../src/workers/backend-health.ts';
import { PreloginLimit } from '../../src/workers/prelogin-limit.ts';

describe('connections that are not logged in, per address', () => {
  test('limit - 1, limit, and one too many', () => {
    const limit = new PreloginLimit(3);
    const entered = Array.from({ length: 4 }, () => limit.enter('192.0.2.1'));
    expect(entered).toEqual([true, true, true, false]);
    expect(limit.enter('192.0.2.2')).toBe(true);
    limit.leave('192.0.2.1');
    expect(limit.enter('192.0.2.1')).toBe(true);
    expect(limit.enter('192.0.2.1')).toBe(false);
  });

  test('that all leave make room for as many, and one leave too many gives no credit', () => {
    const limit = new PreloginLimit(1);
    limit.enter('192.0.2.1');
    limit.leave('192.0.2.1');
    limit.leave('192.0.2.1');
    expect([limit.enter('192.0.2.1'), limit.enter('192.0.2.1')]).toEqual([true, false]);
  });
});

describe('a backend that fails', () => {
  const HOST = '10.0.0.1:143';

  function failingFor(ms: number): BackendHealth {
    const health = new BackendHealth();
    for (const nowMs of [1000, 1000 + ms]) {
      expect(health.mayConnect(HOST, nowMs)).toBe(true);
      health.settled(HOST, 'failed', nowMs, nowMs);
    }
    return health;
  }

  test.each([
    [IMMEDIATE_FAILURE_AFTER_MS - 1, true],
    [IMMEDIATE_FAILURE_AFTER_MS, true],
    [IMMEDIATE_FAILURE_AFTER_MS + 1, false],
  ])('for %i ms: a second login beside one that tries it may too: %s', (ms, mayTry) => {
    const health = failingFor(ms);
    expect(health.mayConnect(HOST, 50_000)).toBe(true);
    expect(health.mayConnect(HOST, 50_000)).toBe(mayTry);
    // Others are not concerned.
    expect(health.mayConnect('10.0.0.2:143', 50_000)).toBe(true);
  });

  test('is tried by one login after the other, and by all after a success', () => {
    const health = failingFor(IMMEDIATE_FAILURE_AFTER_MS + 1);
    for (let i = 0; i < 3; i++) {
      expect(health.mayConnect(HOST, 60_000 + i)).toBe(true);
      expect(health.mayConnect(HOST, 60_000 + i)).toBe(false);
      health.settled(HOST, 'failed', 60_000 + i, 60_000 + i);
    }
    expect(health.mayConnect(HOST, 70_000)).toBe(true);
    health.settled(HOST, 'connected', 70_000, 70_000);
    const many = Array.from({ length: 5 }, () => health.mayConnect(HOST, 70_001));
    expect(many).toEqual([true, true, true, true, true]);
  });

  test('for the first time, long after it was first seen, is down only without a success', () => {
    const health = new BackendHealth();
    health.mayConnect(HOST, 0);
    health.settled(HOST, 'connected', 0, 0);
    health.mayConnect(HOST, 10 * IMMEDIATE_FAILURE_AFTER_MS);
    health.settled(
      HOST,
      'connected',
      10 * IMMEDIATE_FAILURE_AFTER_MS,
      10 * IMMEDIATE_FAILURE_AFTER_MS,
    );
    health.mayConnect(HOST, 10 * IMMEDIATE_FAILURE_AFTER_MS + 1);
    health.settled(
      HOST,
      'failed',
      10 * IMMEDIATE_FAILURE_AFTER_MS + 1,
      10 * IMMEDIATE_FAILURE_AFTER_MS + 1,
    );
    const both = [0, 1].map(() => health.mayConnect(HOST, 10 * IMMEDIATE_FAILURE_AFTER_MS + 2));
    expect(both).toEqual([true, true]);
  });

  test('an attempt given up by the client says nothing of the backend', () => {
    const health = failingFor(IMMEDIATE_FAILURE_AFTER_MS);
    health.mayConnect(HOST, 90_000);
    health.settled(HOST, 'aborted', 90_000, 95_000);
    const both = [0, 1].map(() => health.mayConnect(HOST, 96_000));
    expect(both).toEqual([true, true]);
  });

  test('a failure of an attempt older than the last success does not count', () => {
    const health = new BackendHealth();
    health.mayConnect(HOST, 1000);
    health.mayConnect(HOST, 2000);
    health.settled(HOST, 'connected', 2000, 2001);
    health.settled(HOST, 'failed', 1000, 3000 + IMMEDIATE_FAILURE_AFTER_MS);
    const both = [0, 1].map(() => health.mayConnect(HOST, 4000 + IMMEDIATE_FAILURE_AFTER_MS));
    expect(both).toEqual([true, true]);
  });
});
