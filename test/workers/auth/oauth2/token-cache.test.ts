import { expect, test } from 'vitest';
import { MAX_CACHED_TOKENS, TokenCache } from '../../../../src/workers/auth/oauth2/token-cache.ts';

test('a token is known until its time', () => {
  const cache = new TokenCache();
  cache.add('a', { sub: 'x' }, 1000);
  expect(cache.find('a', 999)).toEqual({ sub: 'x' });
  expect(cache.find('b', 999)).toBeNull();
  expect(cache.find('a', 1000)).toBeNull();
  // And not remembered beyond it.
  expect(cache.size).toBe(0);
});

test.each([-1, 0, 1])('tokens of the limit %i', (over) => {
  const cache = new TokenCache();
  const count = MAX_CACHED_TOKENS + over;
  for (let i = 0; i < count; i++) {
    cache.add(`${i}`, {}, 1000);
    // Asked for all the time: another one makes room.
    expect(cache.find('0', 0)).not.toBeNull();
  }
  expect(cache.size).toBe(Math.min(count, MAX_CACHED_TOKENS));
  expect(cache.find('1', 0) === null).toBe(over > 0);
  expect(cache.find('2', 0)).not.toBeNull();
});
