import { describe, expect, test } from 'vitest';
import { clientLimits } from '../../../../src/shared/limits.ts';
import type { ConnectionFacts } from '../../../../src/workers/protocols/engine.ts';
import { pop3Protocol } from '../../../../src/workers/protocols/pop3/protocol.ts';
import { TestClient } from '../engine-harness.ts';

function connect(facts: Partial<ConnectionFacts> = {}): TestClient {
  const client = new TestClient(pop3Protocol, facts);
  client.takeOutput();
  return client;
}

const UNKNOWN = '-ERR Unknown command.\r\n';
const FULL = '-ERR Input buffer full, aborting\r\n';
const PLAINTEXT_REFUSED =
  '-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.\r\n';

test('only trusted peers are told of XCLIENT', () => {
  expect(new TestClient(pop3Protocol).output).toBe('+OK proxy.test ready.\r\n');
  expect(new TestClient(pop3Protocol, { isTrusted: true }).output).toBe(
    '+OK [XCLIENT] proxy.test ready.\r\n',
  );
});

describe('USER and PASS', () => {
  test.each([
    ['USER alice\r\nPASS pass\r\n', 'alice', 'pass'],
    ['user alice\npass pass\n', 'alice', 'pass'],
    ['USER  ali ce \r\nPASS  a b c \r\n', ' ali ce ', ' a b c '],
    ['USER bob\r\nUSER alice\r\nPASS \r\n', 'alice', ''],
    ['USER \xe9\r\nPASS \xff\r\n', '\xe9', '\xff'],
  ])('%j', (dialogue, user, password) => {
    const client = connect();
    client.send(dialogue);
    expect(client.credentials).toEqual({
      user,
      password,
      authzid: '',
      isProven: false,
      mechanism: 'USER/PASS',
    });
  });

  test('USER is forgotten after PASS', () => {
    const client = connect();
    expect(client.send('USER alice\r\nPASS x\r\nPASS y\r\n')).toBe('+OK\r\n');
    client.engine.loginFailed({ kind: 'auth' });
    expect(client.takeOutput()).toBe(
      '-ERR [AUTH] Authentication failed.\r\n-ERR No username given.\r\n',
    );
  });

  test.each([
    'USER \r\nPASS x\r\n',
    'USER\r\nPASS x\r\n',
    'USER a\0b\r\nPASS x\r\n',
    'USER a\rb\r\nPASS x\r\n',
    'USER a\r\nPASS x\0\r\n',
    'USER a\r\nPASS x\r\r\n',
  ])('%j is refused like a wrong password', (dialogue) => {
    const client = connect();
    expect(client.send(dialogue)).toBe('+OK\r\n');
    expect(client.events).toEqual([{ kind: 'refuse-later' }]);
  });

  test('without plaintext both are refused', () => {
    const client = connect({ allowsPlaintext: false });
    expect(client.send('USER alice\r\nPASS pass\r\n')).toBe(PLAINTEXT_REFUSED.repeat(2));
    expect(client.send('AUTH\r\n')).toBe('+OK\r\n.\r\n');
    expect(client.send('AUTH PLAIN AGFsaWNlAHBhc3M=\r\n')).toBe(
      '-ERR [AUTH] Plaintext authentication disabled.\r\n',
    );
    expect(client.events).toEqual([]);
  });
});

describe('AUTH', () => {
  test.each([
    ['AUTH PLAIN AGFsaWNlAHBhc3M=\r\n', '', 'PLAIN'],
    ['auth plain\r\nAGFsaWNlAHBhc3M=\r\n', '+ \r\n', 'PLAIN'],
    ['AUTH LOGIN\r\nYWxpY2U=\r\ncGFzcw==\r\n', '+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n', 'LOGIN'],
    ['AUTH LOGIN YWxpY2U=\r\ncGFzcw==\r\n', '+ UGFzc3dvcmQ6\r\n', 'LOGIN'],
  ])('%j', (dialogue, output, mechanism) => {
    const client = connect();
    expect(client.send(dialogue)).toBe(output);
    expect(client.credentials).toEqual({
      user: 'alice',
      password: 'pass',
      authzid: '',
      isProven: false,
      mechanism,
    });
  });

  test.each([
    ['AUTH PLAIN !!!\r\n', '-ERR [AUTH] Invalid base64 in response\r\n'],
    ['AUTH PLAIN A===\r\n', '-ERR [AUTH] Invalid base64 in response\r\n'],
    ['AUTH LOGIN\r\n*\r\n', '+ VXNlcm5hbWU6\r\n-ERR Authentication aborted by client.\r\n'],
    ['AUTH CRAM-MD5\r\n', '-ERR [AUTH] Unsupported authentication mechanism.\r\n'],
    ['AUTH  PLAIN\r\n', '+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n'],
    ['AUTH \r\n', '+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n'],
  ])('%j', (dialogue, output) => {
    const client = connect();
    expect(client.send(dialogue)).toBe(output);
    expect(client.send('CAPA\r\n')).toContain('+OK\r\nCAPA\r\n');
    expect(client.events).toEqual([]);
  });

  test.each([
    [clientLimits.saslLineBytes - 1, false],
    [clientLimits.saslLineBytes, false],
    [clientLimits.saslLineBytes + 1, true],
  ])('a response of %i bytes', (size, isClosed) => {
    for (const start of ['AUTH PLAIN ', 'AUTH PLAIN\r\n']) {
      const client = connect();
      client.send(`${start}${'A'.repeat(size)}\n`);
      expect(client.isClosed).toBe(isClosed);
    }
  });
});

describe('XCLIENT', () => {
  test('a trusted proxy is believed once', () => {
    const client = connect({ isTrusted: true });
    const forward = Buffer.from('class=gold\tnote=a\x01tb=c').toString('base64');
    expect(
      client.send(
        `XCLIENT ADDR=2001:db8::1 port=77 SESSION=abc+/1 TTL=3 X=y FORWARD=${forward}\r\nXOIP 192.0.2.3\r\n`,
      ),
    ).toBe('+OK Updated\r\n+OK Updated\r\n');
    expect(client.events).toEqual([
      {
        kind: 'identify',
        identity: {
          remoteIp: '2001:db8::1',
          remotePort: 77,
          sessionId: 'abc+/1',
          ttl: 3,
          forward: [
            ['class', 'gold'],
            ['note', 'a\tb=c'],
          ],
        },
      },
    ]);
  });

  test.each(['ADDR=1.2.3', 'PORT=0', 'PORT=65536', 'TTL=x', 'FORWARD=!'])(
    '%s is invalid',
    (value) => {
      const client = connect({ isTrusted: true });
      expect(client.send(`XCLIENT SESSION=a ${value}\r\n`)).toBe('-ERR Invalid parameters\r\n');
      expect(client.events).toEqual([]);
    },
  );

  test.each([
    [clientLimits.sessionIdChars - 1, true],
    [clientLimits.sessionIdChars, true],
    [clientLimits.sessionIdChars + 1, false],
  ])('a session id of %i characters', (size, isTaken) => {
    const client = connect({ isTrusted: true });
    client.send(`XCLIENT SESSION=${'s'.repeat(size)}\r\n`);
    const [event] = client.events;
    expect(event?.kind === 'identify' && 'sessionId' in event.identity).toBe(isTaken);
  });

  test('others are not believed', () => {
    const client = connect();
    const ignored = '+OK You are not from trusted IP - ignoring\r\n';
    expect(client.send('XCLIENT ADDR=192.0.2.1\r\nXOIP 192.0.2.1\r\n')).toBe(ignored.repeat(2));
    expect(client.events).toEqual([]);
  });
});

describe('failures', () => {
  const unavailable = '-ERR [SYS/TEMP] Account is temporarily unavailable.';
  test.each([
    [{ kind: 'connect' }, unavailable],
    [{ kind: 'protocol' }, unavailable],
    [{ kind: 'remote' }, unavailable],
    [{ kind: 'internal' }, unavailable],
    [{ kind: 'unavailable' }, '-ERR [SYS/TEMP] Temporary authentication failure.'],
    [{ kind: 'remote-config' }, '-ERR Account is temporarily unavailable.'],
    [{ kind: 'auth' }, '-ERR [AUTH] Authentication failed.'],
    [{ kind: 'auth-reply', line: '-ERR [IN-USE] x' }, '-ERR [IN-USE] x'],
    [{ kind: 'auth-tempfail', line: '-ERR [SYS/TEMP] y' }, '-ERR [SYS/TEMP] y'],
  ] as const)('%j', (failure, reply) => {
    const client = connect();
    client.send('USER alice\r\nPASS x\r\nSTAT\r\n');
    client.engine.loginFailed(failure);
    expect(client.takeOutput()).toBe(`${reply}\r\n${UNKNOWN}`);
  });
});

test('the acceptance is passed on, and pipelined bytes are given once', () => {
  const client = connect();
  client.send('USER alice\r\nPASS x\r\nSTAT\r\nQUIT\r\n');
  const { reply, pipelined } = client.engine.takeOver({ text: '+OK Logged in.', capability: '' });
  expect(reply).toBe('+OK Logged in.\r\n');
  expect(pipelined?.toString()).toBe('STAT\r\nQUIT\r\n');
  expect(client.send('NOOP\r\n')).toBe('');
});

describe('limits', () => {
  test.each([
    [clientLimits.inputBufferBytes - 1, '+OK\r\n'],
    [clientLimits.inputBufferBytes, '+OK\r\n'],
    [clientLimits.inputBufferBytes + 1, FULL],
  ])('a line of %i bytes', (size, reply) => {
    const client = connect();
    expect(client.send(`USER ${'x'.repeat(size - 7)}\r\n`)).toBe(reply);
    expect(client.isClosed).toBe(reply === FULL);
  });

  test('three bad commands in a row end it', () => {
    const client = connect();
    expect(client.send('NOOP\r\nSTAT\r\nCAPA\r\n').startsWith(UNKNOWN.repeat(2))).toBe(true);
    expect(client.send('NOOP\r\nAUTH\r\n\xff\0\r\n')).toBe(
      `${UNKNOWN}+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n${UNKNOWN}`,
    );
    expect(client.send('\r\n')).toBe(`${UNKNOWN}-ERR Too many invalid bad commands.\r\n`);
    expect(client.isClosed).toBe(true);
  });

  test.each([
    [clientLimits.pendingBytes - 1, false],
    [clientLimits.pendingBytes, false],
    [clientLimits.pendingBytes + 1, true],
  ])('%i bytes behind a pending login', (size, isClosed) => {
    const client = connect();
    client.send('USER b\r\nPASS c\r\n');
    client.send('x'.repeat(size));
    expect(client.isClosed).toBe(isClosed);
  });
});

test('STLS says that there is no TLS', () => {
  expect(connect().send('STLS\r\n')).toBe("-ERR TLS support isn't enabled.\r\n");
});

test('goodbye', () => {
  const client = connect();
  expect(client.engine.goodbye('inactivity')).toBe('-ERR Disconnected for inactivity.\r\n');
  client.send('USER a\r\nPASS b\r\n');
  expect(client.engine.goodbye('inactivity')).toBe('-ERR Timeout while finishing login.\r\n');
  expect(client.engine.goodbye('shutdown')).toBe('-ERR Server shutting down.\r\n');
});
