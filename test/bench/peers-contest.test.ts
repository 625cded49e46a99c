import { expect, test } from 'vitest';
import { benchPrograms } from '../../bench/native-programs.ts';
import { UsageError } from '../../bench/options.ts';
import { Contest } from '../../bench/peers/contest.ts';
import { compare, type Measurement } from '../../bench/peers/figures.ts';
import { formatVerdicts, judge } from '../../bench/peers/goals.ts';
import { parsePeersOptions } from '../../bench/peers/options.ts';
import type { MailProxy, ProxySetup } from '../../bench/peers/proxy.ts';
import type { Round } from '../../bench/rounds.ts';
import { startForwarder } from './forwarder.ts';

const latency = { p50: 1, p90: 2, p99: 3000, max: 4000 };

function round(perSecond: number, figures: Partial<Round> = {}): Round {
  const done = { ops: perSecond * 2, seconds: 2, perSecond, bytes: perSecond * 4e6, logins: 1 };
  const wrong = { errors: 0, wrongUser: 0, wrongBackend: 0, firstError: '' };
  return {
    load: { ...done, loginMicros: latency, opMicros: latency, ...wrong },
    cpuSeconds: 0.5,
    rssGrowthBytes: null,
    pssGrowthBytes: null,
    heldSessions: 0,
    ...figures,
  };
}

function measured(
  event: string,
  server: string,
  rounds: readonly Round[],
  beside = '',
): Measurement {
  return { event, beside, server, concurrency: 50, ratePerSecond: null, rounds };
}

test('ratios are of rounds that ran next to each other: median, lowest, highest', () => {
  // The machine was half as fast in the second round, for both.
  const ours = measured('login-50', 'postilion', [round(1000), round(500), round(1200)]);
  const theirs = measured('login-50', 'nginx', [round(800), round(400), round(800)]);
  expect(compare('perSecond', ours, theirs)).toEqual({
    ours: 1000,
    theirs: 800,
    ratio: 1.25,
    lowest: 1.25,
    highest: 1.5,
  });
  // 0.5 s for 2000, 1000, 2400 logins; for 1600, 800, 1600.
  expect(compare('cpuMicrosPerOp', ours, theirs)).toMatchObject({ ours: 250, theirs: 312.5 });
  expect(compare('cpuMicrosPerMegabyte', ours, theirs)).toMatchObject({ ours: 125 });
  expect(compare('megabytesPerSecond', ours, theirs)).toMatchObject({ ours: 2000, theirs: 1600 });
  expect(compare('loginP99Millis', ours, theirs)).toMatchObject({ ours: 3, ratio: 1 });
  expect(compare('rssKibPerSession', ours, theirs)).toBeNull();
  expect(compare('perSecond', ours, undefined)).toBeNull();
  // A peer that failed after its first round is compared in that one only.
  const failed = measured('login-50', 'nginx', [round(2000)]);
  expect(compare('perSecond', ours, failed)).toMatchObject({ ours: 1000, ratio: 0.5 });
});

test('memory is per session, with as many sessions as each proxy held', () => {
  const hold = (kib: number, heldSessions: number): Round => {
    const grown = {
      rssGrowthBytes: kib * 1024 * heldSessions,
      pssGrowthBytes: 1024 * heldSessions,
    };
    return round(0, { ...grown, heldSessions, cpuSeconds: null });
  };
  const ours = measured('hold', 'postilion', [hold(12, 5000)]);
  const theirs = measured('hold', 'perdition', [hold(2400, 500)]);
  expect(compare('rssKibPerSession', ours, theirs)).toMatchObject({ ours: 12, theirs: 2400 });
  expect(compare('pssKibPerSession', ours, theirs)).toMatchObject({ ratio: 1 });
});

test('the table: goals met, missed, and none; latency beside each peer at its own rate', () => {
  const p99 = (micros: number): Round => {
    const { load, ...others } = round(100);
    return { ...others, load: { ...load, loginMicros: { ...latency, p99: micros } } };
  };
  const measurements = [
    measured('login-50', 'postilion', [round(1500)]),
    measured('login-50', 'dovecot', [round(1000, { cpuSeconds: 1 })]),
    measured('login-50', 'perdition', [round(100)]),
    measured('latency', 'postilion', [p99(6000)], 'dovecot'),
    measured('latency', 'dovecot', [p99(12_000)], 'dovecot'),
    measured('latency', 'postilion', [p99(1000)], 'perdition'),
    measured('latency', 'perdition', [p99(2000)], 'perdition'),
  ];
  const lines = formatVerdicts(
    judge(measurements, 'postilion', ['dovecot', 'perdition'], false),
  ).split('\n');
  expect(lines.map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
    'figure | peer | us | peer | unit | ratio | lowest–highest | goal',
    'logins, 50 at once | dovecot | 1500 | 1000 | /s | 1.50 | 1.50–1.50 | ≥ 1.6 | MISSED',
    ' | perdition | 1500 | 100.0 | /s | 15.00 | 15.00–15.00 | –',
    'CPU per login, 50 at once | dovecot | 166.7 | 500.0 | µs | 0.33 | 0.33–0.33 | ≤ 0.65 | met',
    ' | perdition | 166.7 | 2500 | µs | 0.07 | 0.07–0.07 | –',
    "login p99 at 70 % of the slower one's capacity | dovecot | 6.00 | 12.0 | ms | 0.50 | 0.50–0.50 | ≤ 0.7 | met",
    ' | perdition | 1.00 | 2.00 | ms | 0.50 | 0.50–0.50 | –',
  ]);
  const [secure] = judge(measurements, 'postilion', ['dovecot'], true);
  expect(secure).toMatchObject({
    label: 'TLS: logins, 50 at once',
    goal: { atLeast: 1.4 },
    isMet: true,
  });
});

test('options: defaults, lists in the order of the rounds, and what is refused', () => {
  const { peers, events, sessions, bench } = parsePeersOptions([]);
  expect(peers).toEqual(['dovecot', 'nginx', 'haproxy', 'perdition']);
  expect(events).toEqual(['login-50', 'login-500', 'echo', 'fetch', 'hold', 'latency']);
  expect({ sessions, rounds: bench.rounds, tls: bench.tls }).toEqual({
    sessions: 5000,
    rounds: 5,
    tls: false,
  });
  const some = parsePeersOptions(['--tls', '--peers', 'haproxy,dovecot', '--users', '200']);
  expect(some.peers).toEqual(['dovecot', 'haproxy']);
  expect(some.events).not.toContain('latency');
  expect(some.bench).toMatchObject({ tls: true, useNode: true, users: 200 });
  for (const argv of [
    ['--peers', 'exim'],
    ['--events', 'echo,latency'],
    ['--tls', '--events', 'latency'],
    ['--users', '400000'],
    ['--rounds', '0'],
    ['--unknown'],
    ['echo'],
  ]) {
    expect(() => parsePeersOptions(argv), argv.join(' ')).toThrow(UsageError);
  }
});

/** In a proxy's place; goes to these of the backends in turn. */
function forwarding(
  name: string,
  choose: (backends: readonly string[]) => readonly string[],
): MailProxy {
  return {
    name,
    maxHeld: 3,
    packages: [],
    prepare: async () => {},
    start: async ({ backends, backendPort }: ProxySetup) => {
      const { port, stop } = await startForwarder(choose(backends), backendPort);
      return { pid: process.pid, host: '127.0.0.1', port, stop: async () => stop() };
    },
  };
}

test('a run names who broke the promise and who failed, and goes on with the others', async () => {
  const argv = [
    '--rounds',
    '2',
    '--seconds',
    '1',
    '--warmup',
    '1',
    '--users',
    '1',
    '--backends',
    '2',
  ];
  const options = parsePeersOptions([...argv, '--events', 'hold', '--sessions', '8']);
  const broken: MailProxy = {
    ...forwarding('broken', (backends) => backends),
    start: async () => {
      throw new Error('it does not start');
    },
  };
  const good = forwarding('good', (backends) => backends.slice(1));
  const spreading = forwarding('spreading', (backends) => backends);
  const proxies = [good, broken, spreading];
  const { measurements, faults } = await new Contest(options, benchPrograms(false), proxies).run();
  expect(measurements.map(({ server, rounds }) => [server, rounds.length])).toEqual([
    ['good', 2],
    ['broken', 0],
    ['spreading', 2],
  ]);
  expect(measurements[0]?.rounds[0]?.heldSessions).toBe(3);
  expect(faults[0]).toBe('hold, broken, round 1: it does not start');
  const others = faults.slice(1);
  expect(others.every((fault) => fault.startsWith('hold, spreading, round '))).toBe(true);
  expect(others.join('\n')).toMatch(/logins on another backend than before/);
  expect(others.join('\n')).toMatch(/a user was on two backends \d+ times/);
});

test('latency: both at 70 % of the slower one, of whom nothing is late', async () => {
  const argv = ['--rounds', '1', '--seconds', '1', '--warmup', '1', '--users', '100'];
  const options = parsePeersOptions([...argv, '--events', 'login-50,latency']);
  const proxies = ['left', 'right'].map((name) => forwarding(name, (b) => b.slice(1, 2)));
  const { measurements, faults } = await new Contest(options, benchPrograms(false), proxies).run();
  expect(faults).toEqual([]);
  const [left, right, ...latencies] = measurements;
  const slower = Math.min(
    left?.rounds[0]?.load.perSecond ?? 0,
    right?.rounds[0]?.load.perSecond ?? 0,
  );
  expect(latencies.map(({ event, beside, server }) => [event, beside, server])).toEqual([
    ['latency', 'right', 'left'],
    ['latency', 'right', 'right'],
  ]);
  for (const { ratePerSecond, rounds } of latencies) {
    expect(ratePerSecond).toBe(Math.floor(slower * 0.7));
    expect(rounds[0]?.load.perSecond).toBeLessThan(slower);
    expect(rounds[0]?.load.loginMicros.p99).toBeGreaterThan(0);
  }
});
