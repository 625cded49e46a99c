import { expect, test } from 'vitest';
import { Arrivals } from '../../src/bench/arrivals.ts';
import { BENCH_LIMITS } from '../../src/bench/bench-limits.ts';
import { BenchOptionError, benchSettings, replayCommand } from '../../src/bench/bench-options.ts';
import { DueQueue } from '../../src/bench/due-queue.ts';
import { seededRandom, threadSeed } from '../../src/bench/random.ts';
import { parseTarget } from '../../src/bench/target.ts';
import { createUserPlaces, UserPlaces } from '../../src/bench/user-places.ts';
import { Visits } from '../../src/bench/visits.ts';
import { Zipf } from '../../src/bench/zipf.ts';

const IMAP = { target: ['imap://127.0.0.1:143'] };

test.each([0, 0.5, 0.8, 1, 1.5, 3])('Zipf %d: every rank as often as it should be', (s) => {
  const n = 20;
  const draws = 200_000;
  const zipf = new Zipf(n, s);
  const random = seededRandom(7);
  const counts = new Array<number>(n).fill(0);
  for (let i = 0; i < draws; i++) counts[zipf.draw(random)]++;
  const weights = counts.map((_, rank) => (rank + 1) ** -s);
  const sum = weights.reduce((a, b) => a + b);
  for (const [rank, count] of counts.entries()) {
    const expected = (draws * weights[rank]) / sum;
    // Five standard deviations; the seed is fixed.
    expect(Math.abs(count - expected), `rank ${rank}`).toBeLessThan(5 * Math.sqrt(expected) + 1);
  }
});

test('Zipf: four thousand million users need no table, and only one user is drawn of one', () => {
  const zipf = new Zipf(BENCH_LIMITS.users, 1);
  const random = seededRandom(1);
  const drawn = Array.from({ length: 10_000 }, () => zipf.draw(random));
  expect(Math.max(...drawn)).toBeGreaterThan(1e8);
  expect(Math.max(...drawn)).toBeLessThan(BENCH_LIMITS.users);
  // A share of 1/ln(n) or so.
  expect(drawn.filter((rank) => rank === 0).length).toBeGreaterThan(300);
  expect(new Set(Array.from({ length: 50 }, () => new Zipf(1, 0.8).draw(random)))).toEqual(
    new Set([0]),
  );
  expect(() => new Zipf(0, 1)).toThrow(RangeError);
});

test('the same seed draws the same visits, another one and another thread do not', () => {
  const draw = (seed: number): unknown => {
    const settings = benchSettings('mixed', { target: [...IMAP.target, 'lmtp://h'] }, 'pass', seed);
    const visits = new Visits(settings, seededRandom(threadSeed(seed, 0)));
    return Array.from({ length: 50 }, () => visits.visit());
  };
  expect(draw(3)).toEqual(draw(3));
  expect(draw(3)).not.toEqual(draw(4));
  expect(threadSeed(3, 0)).not.toBe(threadSeed(3, 1));
});

test('the mixed mode draws by its shares, and sends each to who can do it', () => {
  const given = {
    target: ['imap://a', 'pop3://b', 'lmtp://c'],
    mix: 'login=10,idle=20,fetch=30,deliver=40',
  };
  const visits = new Visits(benchSettings('mixed', given, 'pass', 1), seededRandom(1));
  const counts = { login: 0, idle: 0, fetch: 0, deliver: 0 };
  for (let i = 0; i < 20_000; i++) {
    const { steps, target } = visits.visit();
    const kinds = new Set<string>(steps.map(({ kind }) => kind));
    if (kinds.has('deliver')) {
      counts.deliver++;
      expect(target).toBe(2);
    } else if (kinds.has('idle') || kinds.has('fetch')) {
      counts[kinds.has('idle') ? 'idle' : 'fetch']++;
      expect(target).not.toBe(2);
    } else counts.login++;
  }
  for (const [name, share] of Object.entries({ login: 0.1, idle: 0.2, fetch: 0.3, deliver: 0.4 })) {
    expect(counts[name as keyof typeof counts] / 20_000, name).toBeCloseTo(share, 1);
  }
});

test('arrivals: even ones of all threads interleave without drift; random ones keep the rate', () => {
  const options = { ratePerSecond: 300, threads: 3, random: null };
  const threads = [0, 1, 2].map((thread) => new Arrivals(1000, { ...options, thread }));
  const dues = threads.flatMap((arrivals) => {
    return Array.from({ length: 100 }, () => arrivals.take(1e9) ?? -1);
  });
  dues.sort((a, b) => a - b);
  for (const [i, due] of dues.entries()) expect(due).toBeCloseTo(1000 + (i * 1000) / 300, 6);
  expect(threads[0].take(1999.9)).toBeNull();
  const random = new Arrivals(0, { ...options, thread: 0, random: seededRandom(5) });
  let count = 0;
  while (random.take(100_000) !== null) count++;
  // 100 a second for 100 seconds; five standard deviations.
  expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('waiting arrivals: first in, first out, up to the limit', () => {
  const queue = new DueQueue(3);
  expect([1, 2, 3, 4].map((due) => queue.push(due))).toEqual([true, true, true, false]);
  expect(queue.shift()).toBe(1);
  expect(queue.push(5)).toBe(true);
  expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual([2, 3, 5, null]);
  expect(queue.length).toBe(0);
});

test('places of users: the same, moved, wrong, and beyond the limit', () => {
  const memory = createUserPlaces(2);
  const places = new UserPlaces(memory);
  const otherThread = new UserPlaces(memory);
  expect(places.enter(1, 'b1')).toBe('same');
  expect(otherThread.enter(1, 'b1')).toBe('same');
  expect(otherThread.enter(1, 'b2')).toBe('wrong');
  places.leave(1);
  expect(otherThread.enter(1, 'b2')).toBe('wrong');
  otherThread.leave(1);
  expect(otherThread.enter(1, 'b2')).toBe('moved');
  expect(places.enter(0, 'b2')).toBe('same');
  expect(places.enter(2, 'b2')).toBe('unknown');
  expect(createUserPlaces(BENCH_LIMITS.users).byteLength).toBe(8 * BENCH_LIMITS.trackedUsers);
});

test.each([
  ['imap://127.0.0.1:1143', { protocol: 'imap', host: '127.0.0.1', port: 1143, tls: 'none' }],
  ['imaps://mail.test', { protocol: 'imap', host: 'mail.test', port: 993, tls: 'implicit' }],
  ['submission://[::1]:26', { protocol: 'submission', host: '::1', port: 26, tls: 'none' }],
  ['http://x', null],
  ['imap://x:70000', null],
  ['imap://x:0', null],
])('target %s', (text, expected) => {
  expect(parseTarget(text)).toEqual(expected);
});

test.each([
  ['nothing', IMAP, 'unknown mode'],
  ['login', { target: [] }, '--target is needed'],
  ['login', { ...IMAP, rate: '-1' }, '--rate takes'],
  ['login', { ...IMAP, seconds: '0' }, '--seconds takes'],
  ['login', { ...IMAP, threads: '65' }, '--threads takes'],
  ['login', { ...IMAP, connections: '0' }, '--connections takes'],
  ['login', { ...IMAP, mix: 'login=1' }, '--mix belongs'],
  ['mixed', { ...IMAP, mix: 'deliver=1' }, 'no --target can deliver'],
  ['mixed', { ...IMAP, mix: 'login=0' }, '--mix is empty'],
  ['fetch', { target: ['lmtp://x'] }, 'nothing to do for lmtp'],
  ['deliver', IMAP, 'nothing to do for imap'],
  ['hold', { ...IMAP, rate: '5' }, 'hold has no --rate'],
  ['login', { ...IMAP, 'user-format': 'user' }, '--user-format'],
  ['login', { ...IMAP, 'body-sha256': 'abc' }, '--body-sha256'],
])('options: %s %j', (mode, given, text) => {
  const parse = (): unknown => benchSettings(mode, given, 'pass', 1);
  expect(parse).toThrow(BenchOptionError);
  expect(parse).toThrow(text);
});

test('options at their limits; the command that replays has everything but the password', () => {
  const given = { ...IMAP, threads: '64', rate: '12.5', 'no-hash': true, out: '/tmp/x' } as const;
  const settings = benchSettings('login', { ...given, password: 'secret' }, 'secret', 42);
  expect(settings).toMatchObject({ threads: 64, ratePerSecond: 12.5, isHashed: false, seed: 42 });
  const replay = replayCommand(settings, { ...given, password: 'secret' }, ['--password', 'X']);
  expect(replay).toBe(
    'postilion bench login --target imap://127.0.0.1:143 --threads 64 --rate 12.5 --no-hash --password X --seed 42',
  );
});
