import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startEmbeddedBackends } from '../../src/embedded/backend.ts';
import { EMBEDDED_LIMITS } from '../../src/embedded/limits.ts';
import { OverlapMonitor } from '../../src/embedded/overlap-monitor.ts';
import { assertAlways } from '../fuzz/fuzz-property.ts';
import { nextEvent, RawClient } from './raw-client.ts';

const session = (user: string, backend: string) => ({ user, backend, sessionId: 's' });

test('detects a login while a session is open on another backend', () => {
  const monitor = new OverlapMonitor(() => 1234);
  monitor.opened(session('u', 'b1'));
  monitor.opened(session('u', 'b1'));
  monitor.opened(session('v', 'b2'));
  expect(monitor.violationCount).toBe(0);
  monitor.opened(session('u', 'b2'));
  expect(monitor.violations).toEqual([
    {
      user: 'u',
      backend: 'b2',
      sessionId: 's',
      others: [{ backend: 'b1', sessions: 2 }],
      at: 1234,
    },
  ]);
  // Still overlapping: a third login on either side is one more.
  monitor.opened(session('u', 'b1'));
  expect(monitor.violationCount).toBe(2);
});

test('a move after the last session has ended is none', () => {
  const monitor = new OverlapMonitor();
  for (const backend of ['b1', 'b2', 'b1']) {
    monitor.opened(session('u', backend));
    expect(monitor.backendsOf('u')).toEqual([backend]);
    monitor.closed(session('u', backend));
  }
  expect(monitor.violationCount).toBe(0);
  expect(monitor.openSessions).toBe(0);
});

test('names are compared as received', () => {
  const monitor = new OverlapMonitor();
  monitor.opened(session('User', 'b1'));
  monitor.opened(session('user', 'b2'));
  expect(monitor.violationCount).toBe(0);
});

test('a logout without login is an error, not a silent zero', () => {
  const monitor = new OverlapMonitor();
  expect(() => monitor.closed(session('u', 'b1'))).toThrow('logout without login');
});

test.each([-1, 0, 1])('remembers details up to the limit (%i)', (more) => {
  const monitor = new OverlapMonitor();
  const count = EMBEDDED_LIMITS.maxRememberedViolations + more;
  for (let i = 0; i < count; i++) {
    monitor.opened(session(`u${i}`, 'b1'));
    monitor.opened(session(`u${i}`, 'b2'));
  }
  expect(monitor.violationCount).toBe(count);
  expect(monitor.violations.length).toBe(Math.min(count, EMBEDDED_LIMITS.maxRememberedViolations));
});

test('agrees with a plain list of open sessions', () => {
  const step = fc.record({
    user: fc.constantFrom('u', 'v'),
    backend: fc.constantFrom('b1', 'b2', 'b3'),
    isLogin: fc.boolean(),
  });
  assertAlways(
    'test/embedded/overlap-monitor.test.ts',
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const monitor = new OverlapMonitor();
      const open: { user: string; backend: string }[] = [];
      let expected = 0;
      for (const { user, backend, isLogin } of steps) {
        const isThis = (s: { user: string; backend: string }) =>
          s.user === user && s.backend === backend;
        if (isLogin) {
          if (open.some((s) => s.user === user && s.backend !== backend)) expected++;
          open.push({ user, backend });
          monitor.opened(session(user, backend));
        } else if (open.some(isThis)) {
          open.splice(open.findIndex(isThis), 1);
          monitor.closed(session(user, backend));
        }
      }
      expect(monitor.violationCount).toBe(expected);
      expect(monitor.openSessions).toBe(open.length);
    }),
    500,
  );
});

test('sees a violation made with real connections to two backends', async () => {
  const [b1, b2] = await startEmbeddedBackends([
    { name: 'b1', host: '127.0.0.1' },
    { name: 'b2', host: '127.0.0.2' },
  ]);
  if (b1 === undefined || b2 === undefined) throw new Error('two backends were asked for');
  const monitor = new OverlapMonitor();
  monitor.watch(b1);
  monitor.watch(b2);
  expect([b2.imapPort, b2.pop3Port]).toEqual([b1.imapPort, b1.pop3Port]);
  const clients: RawClient[] = [];
  const loginImap = async (host: string): Promise<void> => {
    const client = await RawClient.open(host, b1.imapPort);
    clients.push(client);
    await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
  };
  try {
    await loginImap('127.0.0.1');
    await loginImap('127.0.0.1');
    expect(monitor.violationCount).toBe(0);
    const pop3 = await RawClient.open('127.0.0.2', b1.pop3Port);
    clients.push(pop3);
    await pop3.ask('USER bob\r\nPASS pass\r\n', /Logged in\.\r\n/);
    expect(monitor.violationCount).toBe(1);
    expect(monitor.violations[0]).toMatchObject({
      user: 'bob',
      backend: 'b2',
      others: [{ backend: 'b1', sessions: 2 }],
    });
    // With the POP3 session over, b1 has the user to itself again.
    const logout = nextEvent(b2, 'logout');
    pop3.send('QUIT\r\n');
    await logout;
    await loginImap('127.0.0.1');
    expect(monitor.violationCount).toBe(1);
  } finally {
    for (const client of clients) client.close();
    await Promise.all([b1.stop(), b2.stop()]);
  }
});
