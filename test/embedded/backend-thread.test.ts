import { expect, test } from 'vitest';
import { startBackendThread } from '../../src/embedded/backend-thread.ts';
import { RawClient } from './raw-client.ts';

test('several backends in one thread: reports, faults, violations, stop', async () => {
  const thread = await startBackendThread([
    { name: 'b1', host: '127.0.0.1' },
    { name: 'b2', host: '127.0.0.2' },
  ]);
  const clients: RawClient[] = [];
  try {
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      const client = await RawClient.open(host, thread.imapPort);
      clients.push(client);
      await client.ask('a LOGIN bob pass\r\n', /a OK .*\r\n/);
    }
    const report = await thread.report();
    expect(report.backends).toMatchObject([
      { name: 'b1', host: '127.0.0.1', logins: 1, sessions: new Map([['bob', 1]]) },
      { name: 'b2', host: '127.0.0.2', logins: 1 },
    ]);
    expect(report.violationCount).toBe(1);
    await thread.setFaults('b2', { greeting: 'close' });
    const refused = await RawClient.open('127.0.0.2', thread.imapPort);
    expect(await refused.untilEnd()).toBe('');
    await expect(thread.die('b9')).rejects.toThrow('no backend b9');
    await thread.die('b1');
    await clients[0]?.untilEnd();
    await thread.revive('b1');
    clients.push(await RawClient.open('127.0.0.1', thread.imapPort));
  } finally {
    for (const client of clients) client.close();
    const last = await thread.stop();
    expect(last.violationCount).toBe(1);
  }
});
