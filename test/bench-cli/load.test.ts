import { afterEach, describe, expect, test } from 'vitest';
import { benchSettings, type GivenOptions } from '../../src/bench/bench-options.ts';
import { failureCount, type LoadOutcome, runLoad } from '../../src/bench/run-load.ts';
import { FakeMailServer, imapAnswers, smtpAnswers } from './fake-mail-server.ts';

const STALL_MS = 200;
const servers: FakeMailServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(...args: Parameters<typeof FakeMailServer.start>): Promise<FakeMailServer> {
  const server = await FakeMailServer.start(...args);
  servers.push(server);
  return server;
}

async function load(
  mode: string,
  given: Readonly<Record<string, string | readonly string[]>> & GivenOptions,
  during: (event: 'opened') => void = () => {},
): Promise<LoadOutcome> {
  const defaults = { seconds: '0.6', warmup: '0.1', connections: '4', users: '20' };
  const settings = benchSettings(mode, { ...defaults, ...given }, 'pass', 1);
  return await runLoad(settings, new AbortController().signal, during);
}

function percentileMs(outcome: LoadOutcome, measure: 'noop', percentile: number): number {
  return (outcome.latencies.get(measure)?.getValueAtPercentile(percentile) ?? 0) / 1000;
}

describe('a server that stalls once for 200 ms', () => {
  /** One connection: a closed loop asks nothing during the stall, an open one falls behind. */
  async function stalled(rate: Readonly<Record<string, string>>): Promise<LoadOutcome> {
    const server = await start(
      '* OK\r\n',
      imapAnswers(() => '1'),
    );
    const target = [`imap://127.0.0.1:${server.port}`];
    const given = { target, connections: '1', seconds: '1', warmup: '0', ...rate };
    return await load('echo', given, () => setTimeout(() => server.stall(STALL_MS), 400));
  }

  test('open loop: all that was scheduled meanwhile is late, and shows in the percentiles', async () => {
    const outcome = await stalled({ rate: '200' });
    expect(failureCount(outcome)).toBe(0);
    expect(outcome.latencies.get('noop')?.totalCount).toBe(200);
    // 40 of the 200 instants are in the stall, spread evenly over its length: a fifth is late, by 100 ms on average.
    expect(percentileMs(outcome, 'noop', 92)).toBeGreaterThan(STALL_MS / 3);
    expect(percentileMs(outcome, 'noop', 100)).toBeGreaterThan(STALL_MS * 0.9);
  });

  test('closed loop: one late answer among very many', async () => {
    const outcome = await stalled({});
    expect(percentileMs(outcome, 'noop', 100)).toBeGreaterThan(STALL_MS * 0.9);
    expect(percentileMs(outcome, 'noop', 92)).toBeLessThan(STALL_MS / 3);
  });
});

test('an open loop counts what is not answered at the end, as late as it is then', async () => {
  const server = await start('* OK\r\n', (line) => {
    return line.includes('NOOP') ? null : (imapAnswers(() => '1')(line) as string);
  });
  const target = [`imap://127.0.0.1:${server.port}`];
  const outcome = await load('echo', { target, rate: '50', seconds: '0.2', timeout: '1' });
  // Ten within the window and five before it; four have a session, whose time is over after a second.
  expect(outcome.faults.timeout?.count).toBe(15);
  expect(outcome.latencies.get('noop')?.totalCount).toBe(10);
  expect(outcome.latencies.get('noop')?.minNonZeroValue).toBeGreaterThan(600_000);
}, 30_000);

test('an arrival whose connection fails is an error, not a latency', async () => {
  const server = await start('* BYE full\r\n', () => null);
  const target = [`imap://127.0.0.1:${server.port}`];
  const outcome = await load('login', { target, rate: '20', seconds: '0.5', warmup: '0' });
  expect(outcome.faults.refused?.count).toBe(10);
  expect(outcome.latencies.get('login')).toBeNull();
});

test('a wrong user, a moved user, a user on two backends', async () => {
  const wrong = await start('* OK\r\n', (line) => {
    const answer = imapAnswers(() => '1')(line);
    return typeof answer === 'string' ? answer.replace(/\/user/, '/other') : answer;
  });
  const login = { target: [`imap://127.0.0.1:${wrong.port}`], seconds: '0.2', warmup: '0' };
  expect((await load('login', login)).checks.wrongUser).toBeGreaterThan(0);

  let logins = 0;
  const server = await start(
    '* OK\r\n',
    imapAnswers(() => `${logins++}`),
  );
  const target = [`imap://127.0.0.1:${server.port}`];
  const one = { target, users: '1', connections: '1', seconds: '0.2', warmup: '0' };
  const moved = await load('login', one);
  expect(moved.checks).toMatchObject({ wrongUser: 0, wrongBackend: 0 });
  expect(moved.checks.movedUser).toBeGreaterThan(0);
  expect(failureCount(moved)).toBe(moved.checks.movedUser);

  const both = await load('hold', { target, users: '1', connections: '5', 'hold-seconds': '0.1' });
  expect(both.checks).toMatchObject({ wrongUser: 0, wrongBackend: 4, movedUser: 0 });
});

test('too many errors end the run, all threads of it', async () => {
  const server = await start('-ERR no\r\n', () => null);
  const target = [`pop3://127.0.0.1:${server.port}`];
  const given = { target, seconds: '60', threads: '2', 'max-errors': '20' };
  const outcome = await load('login', given);
  expect(outcome.isCutShort).toBe(true);
  expect(outcome.faults.refused?.count).toBeGreaterThanOrEqual(20);
  expect(outcome.faults.refused?.count).toBeLessThan(40);
});

test('nobody listens; a session that is lost while it is held', async () => {
  const gone = await start('* OK\r\n', () => null);
  const { port } = gone;
  await gone.stop();
  servers.pop();
  const target = [`imap://127.0.0.1:${port}`];
  const refused = await load('login', { target, 'max-errors': '3' });
  expect(refused.faults.connect?.texts[0]).toContain('ECONNREFUSED');

  const server = await start(
    '* OK\r\n',
    imapAnswers(() => '1'),
  );
  const held = { target: [`imap://127.0.0.1:${server.port}`], 'hold-seconds': '0.5' };
  const outcome = await load('hold', held, () => void server.cut());
  expect(outcome.faults.closed?.count).toBe(4);
  // Opened again, and still there at the end.
  expect(outcome.latencies.get('noop')?.totalCount).toBe(4);
});

describe('LMTP and Submission', () => {
  test.each(['lmtp', 'submission'])('%s: login, echo, hold, deliver', async (protocol) => {
    const server = await start('220 fake\r\n', smtpAnswers());
    const target = [`${protocol}://127.0.0.1:${server.port}`];
    for (const mode of ['login', 'echo', 'hold', 'deliver']) {
      const given = { target, connections: '1', 'hold-seconds': '0.1' };
      const outcome = await load(mode, { ...given, seconds: '0.3', 'message-bytes': '1000' });
      expect([mode, outcome.faults]).toEqual([mode, {}]);
      const measure = mode === 'login' || mode === 'deliver' ? 'visit' : 'noop';
      expect(outcome.latencies.get(measure)?.totalCount, mode).toBeGreaterThan(0);
      expect(outcome.bodyBytes % 1000, mode).toBe(0);
      expect(outcome.bodyBytes > 0, mode).toBe(mode === 'deliver');
    }
  });

  test('a delivery to another recipient than was meant', async () => {
    const server = await start(
      '220 fake\r\n',
      smtpAnswers(() => 'somebody'),
    );
    const target = [`lmtp://127.0.0.1:${server.port}`];
    const outcome = await load('deliver', { target, connections: '1', seconds: '0.2' });
    expect(outcome.checks.wrongUser).toBeGreaterThan(0);
  });
});
