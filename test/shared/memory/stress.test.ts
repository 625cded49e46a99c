import { expect, test } from 'vitest';
import { chooseSeed } from '../../support/seeded-random.ts';
import { StressDirector } from './stress-director.ts';
import { type Mutation, Word } from './stress-world.ts';

const READERS = 3;
const DURATION_MS = Number(process.env['STRESS_SECONDS'] ?? 12) * 1000;
/** A mutation has to be noticed within this time. */
const MUTATION_MS = 20_000;
const seed = chooseSeed();
const replay = `SEED=${seed} STRESS_SECONDS=${DURATION_MS / 1000} npx vitest run test/shared/memory/stress.test.ts`;

test(
  `threads read while main changes everything: the promise holds (${replay})`,
  async () => {
    // No user_kick_delay: the promise must not hang on a pause that hides a wrong order.
    const director = new StressDirector(seed, 'none');
    director.startReaders(READERS);
    await director.run(DURATION_MS, () => director.count(Word.overlaps) > 0);
    const left = await director.finish();
    const count = (word: number): number => director.count(word);
    expect(count(Word.overlaps), `sessions on a second host (${replay})`).toBe(0);
    expect(count(Word.badWords), `impossible assignments (${replay})`).toBe(0);
    expect(count(Word.mixtures), `ring answers of no published set (${replay})`).toBe(0);
    expect(count(Word.missedUsers), `pinned users not found (${replay})`).toBe(0);
    expect(left).toEqual({ sessions: 0, kills: 0, waiting: 0, open: 0 });
    // It was worth something.
    expect(count(Word.operations)).toBeGreaterThan(500_000);
    expect(count(Word.sessions)).toBeGreaterThan(10_000);
    expect(count(Word.kicks)).toBeGreaterThan(100);
    expect(count(Word.ringChecks)).toBeGreaterThan(10 * count(Word.ringsSkipped) + 10_000);
    expect(director.peakUsers).toBeGreaterThan(100_000);
    expect(director.moves).toBeGreaterThan(500);
    expect(director.hostChanges).toBeGreaterThan(50);
  },
  DURATION_MS + 60_000,
);

test(
  `user_kick_delay passes between sessions on two hosts (${replay})`,
  async () => {
    const director = new StressDirector(seed, 'none', 2);
    director.startReaders(READERS);
    await director.run(DURATION_MS / 3, () => director.count(Word.hasty) > 0);
    const left = await director.finish();
    expect(director.count(Word.hasty), `too early on a second host (${replay})`).toBe(0);
    expect(director.count(Word.overlaps), replay).toBe(0);
    expect(left).toEqual({ sessions: 0, kills: 0, waiting: 0, open: 0 });
    expect(director.moves).toBeGreaterThan(100);
  },
  DURATION_MS + 60_000,
);

test.each<[Mutation, number]>([
  ['read-before-enter', Word.overlaps],
  ['early-acknowledgement', Word.overlaps],
  ['blind-scan', Word.overlaps],
  ['stale-publications', Word.mixtures],
  ['empty-shards', Word.missedUsers],
])(
  'a breach by "%s" would be noticed',
  async (mutation, word) => {
    const director = new StressDirector(seed, mutation);
    director.startReaders(READERS);
    await director.run(MUTATION_MS, () => director.count(word) > 0);
    await director.abort();
    expect(director.count(word), replay).toBeGreaterThan(0);
  },
  MUTATION_MS + 60_000,
);
