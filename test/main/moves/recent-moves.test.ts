import { expect, it } from 'vitest';
import { RecentMoves } from '../../../src/main/moves/recent-moves.ts';

const CAPACITY = 5;

function fill(count: number): RecentMoves {
  const recent = new RecentMoves(CAPACITY);
  for (let i = 1; i <= count; i++) {
    const facts = { tagIndex: 0, userHash: i % 2, oldHostId: 1, newHostId: 2, kind: 'move' };
    recent.orderedBy(`order ${i}`, () => recent.add({ atMs: i, ...facts }, null));
  }
  return recent;
}

it.each([
  [CAPACITY - 1, [1, 2, 3, 4]],
  [CAPACITY, [1, 2, 3, 4, 5]],
  [CAPACITY + 1, [2, 3, 4, 5, 6]],
  [3 * CAPACITY + 2, [13, 14, 15, 16, 17]],
])('of %d moves remembers the newest', (count, times) => {
  const recent = fill(count);
  const found = [...recent.of(0, 0, 10), ...recent.of(0, 1, 10)].map(({ atMs }) => atMs);
  expect(found.sort((a, b) => a - b)).toEqual(times);
});

it('gives those of a user, newest first, with who ordered them', () => {
  const recent = fill(5);
  recent.add(
    { atMs: 6, tagIndex: 0, userHash: 1, oldHostId: 2, newHostId: 1, kind: 'move' },
    'ring',
  );
  expect(recent.of(0, 1, 2).map(({ atMs, by }) => [atMs, by])).toEqual([
    [6, 'ring'],
    [5, 'order 5'],
  ]);
  expect(recent.of(1, 1, 2)).toEqual([]);
});
