import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { JsonProcess } from '../../bench/json-process.ts';
import { type BenchPrograms, benchPrograms } from '../../bench/native-programs.ts';
import type {
  BackendReady,
  BackendReport,
  LoadEvent,
  LoadResult,
} from '../../bench/wire-contract.ts';
import { startForwarder } from './forwarder.ts';

const HOSTS = ['127.0.0.41', '127.0.0.42'] as const;
const BODY_BYTES = 1_200_001;

const processes: JsonProcess[] = [];
afterEach(async () => {
  await Promise.all(processes.splice(0).map((child) => child.stop()));
});

async function startBackend(programs: BenchPrograms): Promise<[JsonProcess, BackendReady]> {
  const { command, args } = programs.backend;
  const listen = HOSTS.flatMap((host) => ['--listen', host]);
  const backend = new JsonProcess(command, [...args, ...listen, '--body-bytes', `${BODY_BYTES}`]);
  processes.push(backend);
  return [backend, await backend.next<BackendReady>()];
}

async function load(
  programs: BenchPrograms,
  values: Record<string, string | number>,
): Promise<LoadResult> {
  const { command, args } = programs.load;
  const defaults = { host: HOSTS[0], concurrency: 8, seconds: 1, warmup: 0, users: 50, threads: 2 };
  const options = Object.entries({ ...defaults, ...values });
  const child = new JsonProcess(command, [
    ...args,
    ...options.flatMap(([name, value]) => [`--${name}`, `${value}`]),
  ]);
  processes.push(child);
  for (;;) {
    const line = await child.next<LoadEvent | LoadResult>();
    if (!('event' in line)) return line;
    if (line.event === 'held') {
      expect(line.sessions).toBe(options.find(([name]) => name === 'concurrency')?.[1]);
      child.endInput();
    }
  }
}

const NO_FAULTS = { errors: 0, wrongUser: 0, wrongBackend: 0, firstError: '' };

const node = benchPrograms(true);
let native: BenchPrograms;
beforeAll(() => {
  native = benchPrograms(false);
});

/** Each generator against the other one's backend: that is how they are known to agree. */
describe.each(['native', 'node'] as const)('%s load generator', (kind) => {
  const pair = (): [BenchPrograms, BenchPrograms] =>
    kind === 'native' ? [native, node] : [node, native];

  test.each(['imap', 'pop3'] as const)('%s: login, echo, fetch, hold', async (proto) => {
    const [loader, backends] = pair();
    const [backend, ready] = await startBackend(backends);
    const port = proto === 'imap' ? ready.imapPort : ready.pop3Port;
    for (const mode of ['login', 'echo', 'fetch']) {
      const result = await load(loader, { mode, proto, port });
      expect(result, mode).toMatchObject(NO_FAULTS);
      expect(result.ops, mode).toBeGreaterThan(10);
      expect(result.perSecond).toBeCloseTo(result.ops / result.seconds, 0);
      expect(result.opMicros.p50).toBeGreaterThan(0);
      expect(result.opMicros.p99).toBeGreaterThanOrEqual(result.opMicros.p50);
      expect(result.bytes, mode).toBe(mode === 'fetch' ? result.ops * BODY_BYTES : 0);
    }
    const held = await load(loader, { mode: 'hold', proto, port, concurrency: 200 });
    expect(held).toMatchObject({ ...NO_FAULTS, logins: 200 });
    const report = await backend.ask<BackendReport>('report');
    expect(report).toMatchObject({ violations: 0, badLogins: 0, badCommands: 0 });
    expect(report.backends[1]).toMatchObject({ host: HOSTS[1], logins: 0 });
  });

  test('a proxy that spreads one user over two backends is found out, on both sides', async () => {
    const [loader, backends] = pair();
    const [backend, ready] = await startBackend(backends);
    const forwarder = await startForwarder(HOSTS, ready.imapPort);
    try {
      const result = await load(loader, {
        mode: 'hold',
        host: '127.0.0.1',
        port: forwarder.port,
        concurrency: 10,
        users: 1,
      });
      expect(result.wrongBackend).toBeGreaterThan(0);
      expect((await backend.ask<BackendReport>('report')).violations).toBeGreaterThan(0);
    } finally {
      forwarder.stop();
    }
  });

  test('an answer for another user, and a changed byte of a body, are found out', async () => {
    const [loader, backends] = pair();
    const [, ready] = await startBackend(backends);
    const alter = (from: string, to: string) => (chunk: Buffer) =>
      Buffer.from(chunk.toString('latin1').replace(from, to), 'latin1');
    const mixUp = await startForwarder(HOSTS, ready.imapPort, {
      alter: alter('/user000000}', '/user000001}'),
    });
    const corrupt = await startForwarder(HOSTS, ready.imapPort, {
      alter: alter('WXYZ+/abc', 'WXYZ+/abd'),
    });
    const target = { host: '127.0.0.1', users: 1, concurrency: 1, threads: 1 };
    try {
      const mixed = await load(loader, { ...target, mode: 'login', port: mixUp.port });
      expect(mixed.wrongUser).toBeGreaterThan(0);
      const changed = await load(loader, { ...target, mode: 'fetch', port: corrupt.port });
      expect(changed.firstError).toMatch(/body differs/);
      expect(changed.ops).toBe(0);
    } finally {
      mixUp.stop();
      corrupt.stop();
    }
  });
});

/** As perdition and nginx log in: the strings are literals, each after the server's leave. */
test.each(['native', 'node'] as const)('%s backend takes literals', async (kind) => {
  const [backend, ready] = await startBackend(kind === 'native' ? native : node);
  const socket = connect({ host: HOSTS[1], port: ready.imapPort });
  try {
    let text = '';
    const seen = async (end: string): Promise<void> => {
      while (!text.endsWith(end)) text += `${(await once(socket, 'data'))[0]}`;
    };
    await seen('ready.\r\n');
    for (const piece of ['a LOGIN {10}\r\n', 'user000017 {4}\r\n']) {
      text = '';
      socket.write(piece);
      await seen('+ OK\r\n');
    }
    socket.write('pass\r\nb NOOP\r\n');
    await seen('b OK NOOP completed.\r\n');
    expect(text).toContain('a OK ');
    expect(text).toContain('{1/user000017}\r\n');
    socket.write('c LOGIN {10+}\r\nuser000018 {4+}\r\npass\r\n');
    await seen('{1/user000018}\r\n');
    const report = await backend.ask<BackendReport>('report');
    expect(report).toMatchObject({ violations: 0, badLogins: 0, badCommands: 0 });
  } finally {
    socket.destroy();
  }
});

test('an open loop begins as many logins as it is told, and says what it could not begin', async () => {
  const [, ready] = await startBackend(native);
  const loop = { mode: 'login', port: ready.imapPort, seconds: 2, rate: 300 };
  const calm = await load(native, { ...loop, concurrency: 50, threads: 2 });
  expect(calm).toMatchObject({ ...NO_FAULTS, late: 0 });
  expect(calm.perSecond).toBeGreaterThan(270);
  expect(calm.perSecond).toBeLessThan(330);
  // A server that never answers: all are late from the second one on, and have waited until the end.
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  try {
    const { port } = silent.address() as AddressInfo;
    const stalled = await load(native, {
      ...loop,
      host: '127.0.0.1',
      port,
      concurrency: 1,
      threads: 1,
    });
    expect(stalled.logins).toBe(0);
    expect(stalled.late).toBeGreaterThan(550);
    expect(stalled.loginMicros.p50).toBeGreaterThan(700_000);
  } finally {
    silent.close();
  }
});

test('there is a C compiler where tests run, so the native programs were tested', () => {
  expect(native.reason).toBe('');
});
