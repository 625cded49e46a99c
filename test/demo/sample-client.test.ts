import { afterEach, beforeEach, expect, test } from 'vitest';
import { SampleClient } from '../../src/demo/sample-client.ts';
import { type EmbeddedBackend, startEmbeddedBackend } from '../../src/embedded/backend.ts';

let backend: EmbeddedBackend;

beforeEach(async () => {
  backend = await startEmbeddedBackend({ name: 'b1', host: '127.0.0.1' });
});

afterEach(async () => {
  await backend.stop();
});

function address(protocol: 'imap' | 'pop3') {
  const port = protocol === 'imap' ? backend.imapPort : backend.pop3Port;
  return { protocol, host: '127.0.0.1', port };
}

test.each(['imap', 'pop3'] as const)('%s: in, out, and refused', async (protocol) => {
  const client = await SampleClient.logIn(address(protocol), 'user01', 'pass');
  expect(backend.sessions()).toEqual(new Map([['user01', 1]]));
  expect(client.isOpen).toBe(true);
  await client.logOut();
  expect(client.isOpen).toBe(false);
  expect(backend.sessions().size).toBe(0);
  await expect(SampleClient.logIn(address(protocol), 'user01', 'wrong')).rejects.toThrow(
    'Authentication failed.',
  );
});

test('notices that its session was ended by the other side', async () => {
  const client = await SampleClient.logIn(address('imap'), 'user01', 'pass');
  await backend.die();
  await client.logOut();
  expect(client.isOpen).toBe(false);
  await expect(SampleClient.logIn(address('imap'), 'user01', 'pass')).rejects.toThrow(
    'ECONNREFUSED',
  );
  await backend.revive();
});

test('a connection closed instead of a greeting is a failed login', async () => {
  backend.setFaults({ greeting: 'close' });
  await expect(SampleClient.logIn(address('pop3'), 'user01', 'pass')).rejects.toThrow('closed');
});
