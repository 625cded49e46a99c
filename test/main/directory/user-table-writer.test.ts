import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserTableWriter } from '../../../src/main/directory/user-table-writer.ts';
import {
  findSlot,
  MIN_SHARD_SLOTS,
  SHARDS,
  shardSlots,
  WORD,
} from '../../../src/shared/memory/user-table.ts';

const MANY_USERS = 10_000_000;
const MAX_BYTES_PER_USER = 64;
/** Odd, so that `index * STEP` meets every 32-bit number once before it repeats. */
const STEP = 0x9e3779b1;

interface User {
  word: number;
  stamp: number;
}

/** All users as the table's own walk shows them. */
function contents(table: UserTableWriter): Map<number, User> {
  const users = new Map<number, User>();
  for (let shard = 0; shard < SHARDS; shard++) {
    table.forEachInShard(shard, (hash, word, stamp) => {
      if (users.has(hash) || hash >>> 24 !== shard) throw new Error(`${hash} out of place`);
      users.set(hash, { word, stamp });
    });
  }
  return users;
}

test('any sequence of changes: as a plain Map', () => {
  // Few shards and colliding low bits, so that chains, dead slots and growth come quickly.
  const hash = fc
    .tuple(fc.constantFrom(0, 1, 255), fc.nat(400), fc.constantFrom(0, 64, 0x10000))
    .map(([shard, low, high]) => Math.max(1, (shard << 24) + low + high * 16) >>> 0);
  const change = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('set' as const), hash) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('delete' as const), hash) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('setWord' as const), hash) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('touch' as const), hash) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('shrink' as const), hash) },
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 1500, size: 'max' }), (changes) => {
      const published = new Map<number, Int32Array>();
      const table = new UserTableWriter((shard, words) => published.set(shard, words));
      const model = new Map<number, User>();
      changes.forEach(([what, user], i) => {
        const word = 1 + (i % 0x3ffff);
        const stamp = 1000 + ((i * 7) % 50);
        const known = model.get(user);
        if (what === 'set') {
          table.set(user, word, stamp);
          model.set(user, { word, stamp: Math.max(stamp, known?.stamp ?? 0) });
        } else if (what === 'delete') {
          table.delete(user);
          model.delete(user);
        } else if (what === 'setWord') {
          table.setWord(user, word);
          if (known !== undefined) known.word = word;
        } else if (what === 'touch') {
          table.touch(user, stamp);
          if (known !== undefined) known.stamp = Math.max(known.stamp, stamp);
        } else table.shrink(user >>> 24);
        expect(table.get(user)).toBe(model.get(user)?.word ?? 0);
        expect(table.stampSecs(user)).toBe(model.get(user)?.stamp ?? 0);
        expect(table.size).toBe(model.size);
      });
      expect(contents(table)).toEqual(model);
      for (const [shard, words] of published) expect(table.shards[shard]).toBe(words);
    }),
    { numRuns: 60 },
  );
});

test('a walk may change and delete what it meets', () => {
  const table = new UserTableWriter(() => {});
  for (let i = 1; i <= 40; i++) table.set(i, i, 1);
  table.forEachInShard(0, (hash) => {
    if (hash % 2 === 0) table.delete(hash);
    else table.setWord(hash, 99);
  });
  expect([...contents(table)].map(([hash, { word }]) => [hash, word])).toEqual(
    Array.from({ length: 20 }, (_value, i) => [2 * i + 1, 99]),
  );
});

describe('a rebuild', () => {
  test('is complete before it is published, and the old words stay as they were', () => {
    const old: Int32Array[] = [];
    let atPublication = 0;
    const table = new UserTableWriter((_shard, words) => {
      for (let i = 1; i <= 48; i++) if (words[findSlot(words, i) + WORD] === i) atPublication++;
    });
    for (let i = 1; i <= 48; i++) table.set(i, i, 1);
    old.push(table.shards[0]);
    const before = old[0].slice();
    table.set(49, 49, 1);
    expect(table.shards[0]).not.toBe(old[0]);
    expect(atPublication).toBe(48);
    expect(old[0]).toEqual(before);
  });

  test('keeps a stamp that a reader set in the old words meanwhile', () => {
    let old: Int32Array | null = null;
    const table = new UserTableWriter(() => {
      // A worker that has not seen the new epoch.
      if (old !== null) old[findSlot(old, 5) + 2] = 777;
    });
    for (let i = 1; i <= 48; i++) table.set(i, i, 1);
    old = table.shards[0];
    table.set(49, 49, 1);
    expect(table.stampSecs(5)).toBe(777);
  });

  test('is not needed by users that come and go: memory does not grow', () => {
    const table = new UserTableWriter(() => {});
    for (let i = 1; i < 100_000; i++) {
      table.set(i & 0xffffff, 1, 1);
      if (i > 20) table.delete((i - 20) & 0xffffff);
    }
    expect(table.size).toBe(20);
    expect(shardSlots(table.shards[0])).toBe(MIN_SHARD_SLOTS);
  });

  test('gives memory back when a shard is nearly empty', () => {
    const table = new UserTableWriter(() => {});
    for (let i = 1; i <= 10_000; i++) table.set(i, 1, 1);
    const large = shardSlots(table.shards[0]);
    for (let i = 101; i <= 10_000; i++) table.delete(i);
    table.shrink(0);
    expect(shardSlots(table.shards[0])).toBeLessThan(large / 32);
    expect(contents(table).size).toBe(100);
  });
});

test('the hash 0 and the word 0, which mean nobody, are refused', () => {
  const table = new UserTableWriter(() => {});
  expect(() => table.set(0, 1, 1)).toThrow('hash 0');
  expect(() => table.set(1, 0, 1)).toThrow('word 0');
  expect([table.size, table.get(0), table.stampSecs(0)]).toEqual([0, 0, 0]);
});

test('10 million users cost at most 64 bytes each', () => {
  const rssBefore = process.memoryUsage.rss();
  const table = new UserTableWriter(() => {});
  for (let i = 1; i <= MANY_USERS; i++) table.set(Math.imul(i, STEP) >>> 0, 1 + (i & 0xffff), i);
  const rssGrowth = process.memoryUsage.rss() - rssBefore;
  expect(table.size).toBe(MANY_USERS);
  expect(table.byteLength / MANY_USERS).toBeLessThan(MAX_BYTES_PER_USER / 2);
  expect(rssGrowth / MANY_USERS).toBeLessThan(MAX_BYTES_PER_USER);
  for (let i = 1; i <= MANY_USERS; i += 997) {
    if (table.get(Math.imul(i, STEP) >>> 0) !== 1 + (i & 0xffff)) throw new Error(`user ${i}`);
  }
  expect(table.get(Math.imul(MANY_USERS + 1, STEP) >>> 0)).toBe(0);
}, 120_000);
