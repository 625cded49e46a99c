import { expect, test } from 'vitest';
import { tokenLimits } from '../../../../src/shared/limits.ts';
import { TokenCache } from '../../../../src/workers/auth/oauth2/token-cache.ts';

test('a token is known until its time', () => {
  const cache = new TokenCache();
  cache.add('a', 'bob', 1000);
  expect(cache.find('a', 999)).toBe('bob');
  expect(cache.find('b', 999)).toBeNull();
  expect(cache.find('a', 1000)).toBeNull();
  // And not remembered beyond it.
  expect(cache.size).toBe(0);
});

test.each([-1, 0, 1])('tokens of the limit %i', (over) => {
  const cache = new TokenCache();
  const count = tokenLimits.cachedTokens + over;
  for (let i = 0; i < count; i++) {
    cache.add(`${i}`, 'bob', 1000);
    // Asked for all the time: another one makes room.
    expect(cache.find('0', 0)).not.toBeNull();
  }
  expect(cache.size).toBe(Math.min(count, tokenLimits.cachedTokens));
  expect(cache.find('1', 0) === null).toBe(over > 0);
  expect(cache.find('2', 0)).not.toBeNull();
});
