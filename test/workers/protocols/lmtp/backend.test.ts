import { describe, expect, test } from 'vitest';
import { facts } from '../engine-harness.ts';
import { TestLmtpBackend } from './lmtp-harness.ts';

const XCLIENT =
  'XCLIENT HELO=mta.test PROTO=LMTP SESSION=bygTHfdghZp/AwEB:P1 TTL=5 PORT=39557 ADDR=192.0.2.7\r\n';
const NAMES = 'XCLIENT ADDR PORT PROTO HELO LOGIN SESSION TTL TIMEOUT';

/** With recipients 0, 1, … that the backend has accepted. */
function withRecipients(count: number, ...capabilities: string[]): TestLmtpBackend {
  const backend = new TestLmtpBackend();
  for (let i = 0; i < count; i++) backend.add(i);
  backend.introduce('PIPELINING', ...capabilities);
  backend.receive(`250 2.1.0 OK\r\n${'250 2.1.5 OK\r\n'.repeat(count)}`);
  return backend;
}

describe('the way to the envelope', () => {
  test('the identity goes first, then LHLO once more, MAIL and RCPT in one piece', () => {
    const backend = new TestLmtpBackend();
    expect(backend.add(0)).toBe('');
    expect(backend.receive('220 b1.test ready.\r\n')).toBe('LHLO proxy.test\r\n');
    const list = `250-b1.test\r\n250-PIPELINING\r\n250 ${NAMES}\r\n`;
    expect(backend.receive(list)).toBe(XCLIENT);
    expect(backend.receive('220 b1.test ready.\r\n')).toBe('LHLO proxy.test\r\n');
    expect(backend.receive(list)).toBe('MAIL FROM:<s@x.test>\r\nRCPT TO:<user0@x.test>\r\n');
    expect(backend.add(1)).toBe('RCPT TO:<user1@x.test>\r\n');
    expect(backend.receive('250 2.1.0 OK\r\n250 2.1.5 OK\r\n')).toBe('');
    expect(backend.idles).toBe(0);
    backend.receive('550-5.1.1 no\r\n550 5.1.1 such user\r\n');
    expect(backend.rcptReplies).toEqual([
      [0, { code: 250, enhancedCode: '2.1.5', lines: ['OK'] }],
      [1, { code: 550, enhancedCode: '5.1.1', lines: ['no', 'such user'] }],
    ]);
    expect(backend.idles).toBe(1);
  });

  test('a backend that does not trust us is told nothing: neither XCLIENT nor XRCPTFORWARD', () => {
    const backend = new TestLmtpBackend({ sendIdentity: false });
    backend.add(0, 'a@x', { forward: [['class', 'gold']] });
    expect(backend.introduce(NAMES, 'PIPELINING', 'XRCPTFORWARD')).toBe(
      'MAIL FROM:<s@x.test>\r\nRCPT TO:<a@x>\r\n',
    );
  });

  test('a client by a unix socket has no address', () => {
    const backend = new TestLmtpBackend({ facts: { ...facts, remoteIp: '', ttl: 6 }, helo: '' });
    backend.add(0);
    expect(backend.introduce(NAMES)).toBe(
      'XCLIENT HELO=[UNAVAILABLE] PROTO=LMTP SESSION=bygTHfdghZp/AwEB TTL=5\r\n',
    );
  });

  test('without PIPELINING, or where it is forbidden: one at a time', () => {
    for (const mayPipeline of [true, false]) {
      const backend = new TestLmtpBackend({ mayPipeline });
      backend.add(0);
      backend.add(1);
      const sent = backend.introduce(...(mayPipeline ? [] : ['PIPELINING']), 'CHUNKING');
      expect(sent).toBe('MAIL FROM:<s@x.test>\r\n');
      expect(backend.receive('250 OK\r\n')).toBe('RCPT TO:<user0@x.test>\r\n');
      expect(backend.receive('250 OK\r\n')).toBe('RCPT TO:<user1@x.test>\r\n');
      expect(backend.idles).toBe(0);
      backend.receive('250 OK\r\n');
      expect(backend.idles).toBe(1);
    }
  });

  test('parameters of extensions that the backend does not have are left out', () => {
    const mail = { body: '8BITMIME', size: 99, dsn: ['RET=HDRS', 'ENVID=x'] } as const;
    const recipient = {
      ...{ originalRecipient: 'rfc822;b@x', notify: 'NEVER' },
      forward: [
        ['a', '1'],
        ['b', 'x\ty'],
      ],
    };
    const few = new TestLmtpBackend({ mail });
    few.add(0, 'a@x', recipient);
    expect(few.introduce('PIPELINING')).toBe(
      'MAIL FROM:<s@x.test>\r\nRCPT TO:<a@x> ORCPT=rfc822;b@x\r\n',
    );
    const all = new TestLmtpBackend({ mail });
    all.add(0, 'a b@x', recipient);
    expect(all.introduce('PIPELINING', '8BITMIME', 'SIZE 100', 'DSN', 'XRCPTFORWARD')).toBe(
      'MAIL FROM:<s@x.test> BODY=8BITMIME SIZE=99 RET=HDRS ENVID=x\r\n' +
        'RCPT TO:<"a b"@x> NOTIFY=NEVER ORCPT=rfc822;b@x XRCPTFORWARD=a+3D1+09b+3Dx+01ty\r\n',
    );
  });

  test('a recipient can be withdrawn as long as the backend has not heard of it', () => {
    const backend = new TestLmtpBackend();
    backend.add(0);
    backend.add(1);
    expect(backend.engine.withdraw(0)).toBe(true);
    expect(backend.engine.withdraw(0)).toBe(false);
    expect(backend.introduce('PIPELINING')).toBe(
      'MAIL FROM:<s@x.test>\r\nRCPT TO:<user1@x.test>\r\n',
    );
    expect(backend.engine.withdraw(1)).toBe(false);
  });

  test.each([
    ['a greeting that is none', 'hello\r\n', 'bad reply'],
    ['a greeting of 554', '554 go away\r\n', 'connect'],
    ['421', '421 4.3.2 shutting down\r\n', 'connection lost'],
    ['a line without an end', 'x'.repeat(9000), 'bad reply'],
  ])('%s fails the connection', (_name, text, failure) => {
    const backend = new TestLmtpBackend();
    backend.add(0);
    expect(backend.receive(text)).toBe('');
    expect(backend.failure).toBe(failure);
    expect(backend.receive('220 now\r\n')).toBe('');
  });

  test('MAIL refused fails the connection', () => {
    const backend = new TestLmtpBackend();
    backend.add(0);
    backend.introduce('PIPELINING');
    backend.receive('552 5.3.4 too much\r\n503 5.5.1 MAIL first\r\n');
    expect(backend.failure).toBe('bad reply');
    expect(backend.rcptReplies).toEqual([]);
  });
});

describe('STARTTLS', () => {
  test('comes first, and what was said in the clear counts no more', () => {
    const backend = new TestLmtpBackend({ startTls: true });
    backend.add(0);
    expect(backend.introduce('STARTTLS', 'PIPELINING', NAMES)).toBe('STARTTLS\r\n');
    expect(backend.receive('220 go\r\n')).toBe('');
    expect(backend.hasStartedTls).toBe(true);
    backend.engine.tlsStarted();
    expect(backend.takeSent()).toBe('LHLO proxy.test\r\n');
    // No PIPELINING here, and no XCLIENT.
    expect(backend.receive('250 b1.test\r\n')).toBe('MAIL FROM:<s@x.test>\r\n');
  });

  test.each(['250 injected\r\n', '2', '\n'])('with %j behind the consent: the end', (injected) => {
    const backend = new TestLmtpBackend({ startTls: true });
    backend.add(0);
    backend.introduce('STARTTLS');
    expect(backend.receive(`220 go\r\n${injected}`)).toBe('');
    expect(backend.hasStartedTls).toBe(false);
    expect([backend.failure, backend.detail]).toEqual([
      'connect',
      'input in the clear behind STARTTLS',
    ]);
  });

  test('that is not offered, or refused, is never done without', () => {
    const without = new TestLmtpBackend({ startTls: true });
    without.add(0);
    expect(without.introduce('PIPELINING')).toBe('');
    expect([without.failure, without.detail]).toEqual(['connect', 'STARTTLS is not offered']);
    const refused = new TestLmtpBackend({ startTls: true });
    refused.introduce('STARTTLS');
    refused.receive('454 4.7.0 not now\r\n');
    expect(refused.failure).toBe('connect');
  });
});

describe('the message', () => {
  test('by BDAT in one piece where there is CHUNKING', () => {
    const backend = withRecipients(2, 'CHUNKING');
    backend.engine.sendMessage(229);
    expect(backend.takeSent()).toBe('BDAT 229 LAST\r\n');
    expect(backend.isDotStuffed).toBe(false);
    backend.engine.messageSent();
    backend.receive('250 2.0.0 saved\r\n452 4.2.2 full\r\n');
    expect(backend.finalReplies.map(([number, { code }]) => [number, code])).toEqual([
      [0, 250],
      [1, 452],
    ]);
    backend.engine.quit();
    expect(backend.takeSent()).toBe('QUIT\r\n');
    backend.receive('nonsense\r\n');
    expect(backend.failure).toBeNull();
  });

  test('by DATA elsewhere, when the backend says so', () => {
    const backend = withRecipients(1);
    backend.engine.sendMessage(229);
    expect(backend.takeSent()).toBe('DATA\r\n');
    expect(backend.isDotStuffed).toBeNull();
    backend.receive('354 go\r\n');
    expect(backend.isDotStuffed).toBe(true);
  });

  test('that DATA is refused for is refused for all', () => {
    const backend = withRecipients(2);
    backend.engine.sendMessage(229);
    backend.receive('452 4.3.1 disk full\r\n');
    expect(backend.finalReplies.map(([number, { code }]) => [number, code])).toEqual([
      [0, 452],
      [1, 452],
    ]);
    expect(backend.isDotStuffed).toBeNull();
  });

  test('nothing that comes before its end is taken for a verdict', () => {
    for (const reply of ['250 2.0.0 saved\r\n', '452 4.3.1 disk full\r\n']) {
      const backend = withRecipients(1, 'CHUNKING');
      backend.engine.sendMessage(229);
      backend.receive(reply);
      expect(backend.finalReplies).toEqual([]);
      expect(backend.failure).toBe('bad reply');
      backend.engine.messageSent();
      backend.receive('250 2.0.0 saved\r\n');
      expect(backend.finalReplies).toEqual([]);
    }
  });

  test('"go on" is no verdict, and no answer to RCPT', () => {
    const backend = withRecipients(1, 'CHUNKING');
    backend.engine.sendMessage(1);
    backend.engine.messageSent();
    backend.receive('354 go on\r\n');
    expect([backend.failure, backend.finalReplies]).toEqual(['bad reply', []]);
    const asked = new TestLmtpBackend();
    asked.add(0);
    asked.introduce('PIPELINING');
    asked.receive('250 OK\r\n354 go on\r\n');
    expect([asked.failure, asked.rcptReplies]).toEqual(['bad reply', []]);
  });

  test('one verdict too many fails the connection', () => {
    const backend = withRecipients(1, 'CHUNKING');
    backend.engine.sendMessage(1);
    backend.engine.messageSent();
    backend.receive('250 2.0.0 one\r\n250 2.0.0 two\r\n');
    expect(backend.finalReplies).toHaveLength(1);
    expect(backend.failure).toBe('bad reply');
  });
});
