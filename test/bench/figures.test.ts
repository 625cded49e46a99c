import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { bucketOf, HISTOGRAM_BUCKETS, latencyOf, lowestOf } from '../../bench/load/histogram.ts';
import { parseOptions, UsageError } from '../../bench/options.ts';
import { parseProcStat, usageOfTree } from '../../bench/process-usage.ts';
import { formatTable, median, summarize } from '../../bench/report.ts';
import type { Round } from '../../bench/rounds.ts';

test('histogram buckets keep values within 3 %', () => {
  for (let us = 0; us < 3_000_000; us = Math.floor(us * 1.01) + 1) {
    const bucket = bucketOf(us);
    expect(lowestOf(bucket)).toBeLessThanOrEqual(us);
    expect(lowestOf(bucket + 1)).toBeGreaterThan(us);
    expect(us - lowestOf(bucket)).toBeLessThanOrEqual(us / 32);
  }
  const histogram = new Uint32Array(HISTOGRAM_BUCKETS);
  for (let us = 1; us <= 100; us++) histogram[bucketOf(us)]!++;
  expect(latencyOf(histogram)).toEqual({ p50: 50, p90: 90, p99: 98, max: 100 });
});

test('median of odd and even numbers of rounds', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([9, 1, 5, 6])).toBe(5.5);
});

test('/proc/PID/stat with blanks and brackets in the name', () => {
  const fields = ['S', '7', ...Array.from({ length: 40 }, (_, i) => `${i + 5}`)];
  expect(parseProcStat(`42 (a) b (c)) ${fields.join(' ')}`)).toEqual({
    parent: 7,
    ticks: 14 + 15 + 16 + 17,
    rssPages: 24,
  });
});

test('usage of a tree counts its children', async () => {
  const child = spawn('sh', ['-c', 'sleep 60 & echo ready; wait'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  try {
    await once(child.stdout, 'data');
    const usage = usageOfTree(child.pid ?? 0);
    expect(usage.processes).toBe(2);
    expect(usage.rssBytes).toBeGreaterThan(100_000);
  } finally {
    const exited = once(child, 'exit');
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await exited;
  }
});

const latency = { p50: 1500, p90: 2000, p99: 3000, max: 4000 };

function round(perSecond: number, cpuSeconds: number | null): Round {
  return {
    load: {
      ops: perSecond * 2,
      seconds: 2,
      perSecond,
      bytes: 0,
      logins: perSecond * 2,
      loginMicros: latency,
      opMicros: latency,
      errors: 0,
      wrongUser: 0,
      wrongBackend: 0,
      firstError: '',
    },
    cpuSeconds,
    rssGrowthBytes: null,
    pssGrowthBytes: null,
    heldSessions: 0,
  };
}

test('summary and table', () => {
  const rounds = [round(100, 0.1), round(300, 0.3), round(200, 0.1)];
  const hold: Round = { ...round(0, null), rssGrowthBytes: 50_000 * 1024, heldSessions: 5000 };
  const summaries = [
    summarize('login', 'postilion', 64, rounds),
    summarize('hold', 'postilion', 5000, [hold]),
  ];
  expect(summaries[0]).toMatchObject({ perSecond: 200, cpuMicrosPerOp: 500 });
  expect(formatTable(summaries).split('\n')).toEqual([
    'mode   server     conns  ops/s  MB/s  p50 ms  p99 ms  CPU µs/op  KiB/session',
    'login  postilion     64    200     -    1.50    3.00      500.0            -',
    'hold   postilion   5000      -     -       -       -          -         10.0',
  ]);
});

test('options: defaults, all modes, a target, and what is refused', () => {
  expect(parseOptions(['login'])).toMatchObject({ modes: ['login'], rounds: 3, target: null });
  expect(parseOptions(['all']).modes).toEqual(['login', 'echo', 'fetch', 'hold']);
  expect(parseOptions(['echo,hold', '--target', 'pop3://127.0.0.9:110'])).toMatchObject({
    modes: ['echo', 'hold'],
    protocol: 'pop3',
    target: { host: '127.0.0.9', port: 110 },
  });
  for (const argv of [
    [],
    ['fly'],
    ['login', 'echo'],
    ['login', '--rounds', '0'],
    ['login', '--seconds', 'x'],
    ['login', '--target', 'http://127.0.0.1:80'],
    ['login', '--unknown'],
    ['echo', '--rate', '100'],
    ['login', '--rate', '100', '--tls'],
  ]) {
    expect(() => parseOptions(argv), argv.join(' ')).toThrow(UsageError);
  }
});
