import { expect, test } from 'vitest';
import {
  MAX_PENALTY_COUNT,
  PENALTY_FORGET_SECS,
  PenaltyTable,
} from '../../../src/shared/memory/penalty-table.ts';

const NOW = 1_800_000_000;

function table(seed = 1): PenaltyTable {
  return new PenaltyTable(PenaltyTable.createBuffer(seed));
}

test('counts failures by key, up to its limit', () => {
  const penalties = table();
  for (let n = 1; n <= MAX_PENALTY_COUNT + 1; n++) {
    penalties.fail('a', 0, NOW);
    expect(penalties.count('a', NOW)).toBe(Math.min(n, MAX_PENALTY_COUNT));
  }
  expect(penalties.count('b', NOW)).toBe(0);
});

test('a key without a failure for 29 s is forgotten, and begins anew', () => {
  const penalties = table();
  penalties.fail('a', 7, NOW);
  penalties.fail('a', 8, NOW + 10);
  expect(penalties.count('a', NOW + 10 + PENALTY_FORGET_SECS - 1)).toBe(2);
  const late = NOW + 10 + PENALTY_FORGET_SECS;
  expect(penalties.count('a', late)).toBe(0);
  // What was tried before is forgotten as well.
  penalties.fail('a', 7, late);
  expect(penalties.count('a', late)).toBe(1);
});

test('the same attempt again does not count, among the last four', () => {
  const penalties = table();
  for (const checksum of [1, 2, 3, 4, 1, 2, 3, 4, 4]) penalties.fail('a', checksum, NOW);
  expect(penalties.count('a', NOW)).toBe(4);
  penalties.fail('a', 5, NOW);
  penalties.fail('a', 1, NOW);
  expect(penalties.count('a', NOW)).toBe(6);
});

test('forget() is for one key', () => {
  const penalties = table();
  penalties.fail('a', 0, NOW);
  penalties.fail('b', 0, NOW);
  penalties.forget('a', NOW);
  expect(penalties.count('a', NOW)).toBe(0);
  expect(penalties.count('b', NOW)).toBe(1);
});

test('all threads see the same', () => {
  const buffer = PenaltyTable.createBuffer(0xffffffff);
  new PenaltyTable(buffer).fail('a', 0, NOW);
  expect(new PenaltyTable(buffer).count('a', NOW)).toBe(1);
});

test('the clock may go back', () => {
  const penalties = table();
  penalties.fail('a', 0, NOW);
  expect(penalties.count('a', NOW - 100)).toBe(1);
});

test('with more keys than it has room for, the latest stay', () => {
  const penalties = table(99);
  const keys = 200_000;
  for (let n = 0; n < keys; n++) penalties.fail(`n${n}`, 0, NOW + Math.floor(n / 10_000));
  const seen = (from: number, to: number): number => {
    let count = 0;
    for (let n = from; n < to; n++) count += penalties.count(`n${n}`, NOW + 20) > 0 ? 1 : 0;
    return count;
  };
  expect(seen(keys - 10_000, keys)).toBeGreaterThan(9_900);
  expect(seen(0, 10_000)).toBeLessThan(1_000);
});

test('keys that are not there are hardly ever taken for others', () => {
  const penalties = table(1234);
  for (let n = 0; n < 30_000; n++) penalties.fail(`n${n}`, 0, NOW);
  let wrong = 0;
  for (let n = 0; n < 100_000; n++) wrong += penalties.count(`other${n}`, NOW);
  expect(wrong).toBeLessThan(5);
});
