import { once } from 'node:events';
import net from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { lmtpLimits } from '../../../src/shared/limits.ts';
import { Counter, Counters } from '../../../src/shared/memory/counters.ts';
import { LmtpSession } from '../../../src/workers/lmtp/lmtp-session.ts';
import { PreloginLimit } from '../../../src/workers/prelogin-limit.ts';
import type { EndedAtStop, LmtpContext } from '../../../src/workers/worker-context.ts';
import { LmtpClient } from '../../support/lmtp-lab.ts';

/** Time in which nothing happens is not waited for: the session's timers are the test's. */

const counters = new Counters(Counters.createBuffer());
let sessions: Set<EndedAtStop>;
let server: net.Server;
let client: LmtpClient;

/** What a session without any transaction needs. */
function context(): LmtpContext {
  sessions = new Set();
  return {
    settings: { hostname: 'proxy.test', greeting: 'hi', lmtpMaxMailSize: 0, lmtpCapabilities: [] },
    ...{ counters, sessions, log: pino({ level: 'silent' }) },
    ...{ serverTls: { current: null }, mechanisms: [], isTrusted: () => false },
    prelogin: new PreloginLimit(1),
  } as unknown as LmtpContext;
}

beforeEach(async () => {
  const at = context();
  const service = { protocol: 'lmtp', host: '', port: 0, tls: 'off', haproxy: false } as const;
  server = net.createServer({ allowHalfOpen: true }, (socket) => {
    new LmtpSession(at, service, socket, null);
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  client = await connected();
});

afterEach(async () => {
  vi.useRealTimers();
  client.close();
  server.close();
  await once(server, 'close');
});

/** One that has been greeted; the deadlines of its replies do not run by fake timers. */
async function connected(): Promise<LmtpClient> {
  const { port } = server.address() as net.AddressInfo;
  const opened = new LmtpClient(net.connect({ host: '127.0.0.1', port }));
  await opened.replies(1);
  return opened;
}

test('an MTA that says nothing is told so after five minutes, not before', async () => {
  vi.advanceTimersByTime(lmtpLimits.idleMs - 1);
  expect(await client.command('NOOP')).toBe('250 2.0.0 OK');
  // It has said something within these five minutes, and has another five.
  vi.advanceTimersByTime(1);
  vi.advanceTimersByTime(lmtpLimits.idleMs - 1);
  expect(await client.command('NOOP')).toBe('250 2.0.0 OK');
  vi.advanceTimersByTime(1);
  vi.advanceTimersByTime(lmtpLimits.idleMs);
  expect(await client.replies(1)).toEqual(['421 4.4.2 proxy.test Disconnected for inactivity']);
  expect(counters.get(Counter.timedOut)).toBe(1);
  expect(sessions.size).toBe(1);
  // It does not close: neither do we wait for ever.
  client.socket.removeAllListeners('end');
  vi.advanceTimersByTime(10_000);
  await client.closed();
  expect(sessions.size).toBe(0);
});

test('one connection too many from an address is told so', async () => {
  const { port } = server.address() as net.AddressInfo;
  const second = new LmtpClient(net.connect({ host: '127.0.0.1', port }));
  expect(await second.replies(1)).toEqual(['421 4.3.2 proxy.test Too many connections']);
  second.close();
});
