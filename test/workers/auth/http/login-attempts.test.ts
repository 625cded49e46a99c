import { expect, test } from 'vitest';
import { httpClientLimits } from '../../../../src/shared/limits.ts';
import { LoginAttempts } from '../../../../src/workers/auth/http/login-attempts.ts';

test('attempts are counted for each connection, anew behind a success', () => {
  const attempts = new LoginAttempts();
  expect([attempts.next('a'), attempts.next('a'), attempts.next('b')]).toEqual([1, 2, 1]);
  attempts.succeeded('a');
  expect([attempts.next('a'), attempts.next('b')]).toEqual([1, 2]);
});

test.each([-1, 0, 1])('connections of the limit %i', (over) => {
  const attempts = new LoginAttempts();
  for (let i = 0; i < httpClientLimits.countedConnections + over; i++) attempts.next(`${i}`);
  // The first one is forgotten when there are too many.
  expect(attempts.next('0')).toBe(over > 0 ? 1 : 2);
  expect(attempts.next('2')).toBe(2);
});
