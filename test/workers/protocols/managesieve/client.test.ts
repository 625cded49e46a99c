import { describe, expect, test } from 'vitest';
import { clientLimits, managesieveLimits } from '../../../../src/shared/limits.ts';
import type { ConnectionFacts } from '../../../../src/workers/protocols/engine.ts';
import { managesieveProtocol } from '../../../../src/workers/protocols/managesieve/protocol.ts';
import { facts as defaultFacts, TestClient } from '../engine-harness.ts';

function connect(facts: Partial<ConnectionFacts> = {}): TestClient {
  const client = new TestClient(managesieveProtocol, facts);
  client.takeOutput();
  return client;
}

const BLOCK =
  '"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SIEVE" "fileinto reject"\r\n"NOTIFY" "mailto"\r\n' +
  '"SASL" "PLAIN LOGIN"\r\n"VERSION" "1.0"\r\n';
const BAD = 'NO "Error in MANAGESIEVE command received by server."\r\n';
const RESPONSE = 'AGFsaWNlAHBhc3M=';

describe('capabilities', () => {
  test('greet, and are the answer to CAPABILITY', () => {
    const client = new TestClient(managesieveProtocol);
    expect(client.takeOutput()).toBe(`${BLOCK}OK "proxy.test ready."\r\n`);
    expect(client.send('capability\r\n')).toBe(`${BLOCK}OK "Capability completed."\r\n`);
  });

  test('STARTTLS while it can be had, XCLIENT for trusted peers, no mechanism in the clear', () => {
    const facts = { offersStartTls: true, isTrusted: true, allowsPlaintext: false };
    const { output } = new TestClient(managesieveProtocol, facts);
    expect(output).toContain('"SASL" ""\r\n"STARTTLS"\r\n"VERSION" "1.0"\r\n"XCLIENT"\r\nOK ');
  });

  test('texts of the configuration are quoted, and NOTIFY can be left out', () => {
    const options = { greeting: 'a "b" \\', sieveExtensions: '', sieveNotify: '' };
    const { output } = new TestClient(managesieveProtocol, {}, options);
    expect(output).toContain('"SIEVE" ""\r\n"SASL"');
    expect(output.endsWith('OK "a \\"b\\" \\\\"\r\n')).toBe(true);
  });
});

describe('commands', () => {
  test.each([
    ['NOOP\r\n', 'OK "NOOP Completed"\r\n'],
    ['noop "tag1"\n', 'OK (TAG "tag1") "Done"\r\n'],
    ['NOOP {5+}\r\nt\\"a"\r\n', 'OK (TAG "t\\\\\\"a\\"") "Done"\r\n'],
    ['NOOP {3}\r\na\nb\r\n', 'OK (TAG {3}\r\na\nb) "Done"\r\n'],
    ['NOOP ""\r\n', 'OK (TAG "") "Done"\r\n'],
    ['NOOP tag\r\n', 'NO "Invalid echo tag."\r\n'],
    ['NOOP "a" "b"\r\n', BAD],
    ['NOOP "\xe9"\r\n', 'NO "Invalid UTF-8 character in quoted-string."\r\n'],
    ['NOOP (a)\r\n', 'NO "Invalid characters in atom"\r\n'],
    ['NOOP "a\\b"\r\n', 'NO "Escaped quoted-string character is not a QUOTED-SPECIAL."\r\n'],
    ['NOOP {1+}\r\n\0\r\n', 'NO "Invalid UTF-8 character in literal string."\r\n'],
    ['STARTTLS\r\n', 'NO "TLS support isn\'t enabled."\r\n'],
    ['STARTTLS now\r\n', BAD],
    ['CAPABILITY "x"\r\n', BAD],
    ['LISTSCRIPTS\r\n', BAD],
    ['PUTSCRIPT "x" "keep;"\r\n', BAD],
    ['\r\n', BAD],
    [' NOOP\r\n', BAD],
    ['XCLIENT ADDR=192.0.2.1\r\n', 'NO "You are not from trusted IP"\r\n'],
  ])('%j', (line, reply) => {
    const client = connect();
    expect(client.send(line)).toBe(reply);
    expect(client.send('NOOP\r\n')).toBe('OK "NOOP Completed"\r\n');
    expect(client.events).toEqual([]);
  });

  test('LOGOUT', () => {
    const client = connect();
    expect(client.send('LOGOUT\r\nNOOP\r\n')).toBe('OK "Logout completed."\r\n');
    expect(client.events).toEqual([{ kind: 'close', reason: 'logged out before login' }]);
  });
});

describe('STARTTLS', () => {
  const secured = { ...defaultFacts, isTls: true };

  test('the capabilities come again behind the handshake', () => {
    const client = connect({ offersStartTls: true, allowsPlaintext: false });
    expect(client.send('STARTTLS\r\n')).toBe('OK "Begin TLS negotiation now."\r\n');
    expect(client.events).toEqual([{ kind: 'start-tls' }]);
    client.engine.tlsStarted(secured);
    expect(client.takeOutput()).toBe(`${BLOCK}OK "TLS negotiation successful."\r\n`);
    expect(client.send('STARTTLS\r\n')).toBe('NO "TLS is already active."\r\n');
    client.send(`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`);
    expect(client.credentials).toMatchObject({ user: 'alice', password: 'pass' });
  });

  test.each(['NOOP "injected"\r\n', `AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`, 'x', '\r\n'])(
    '%j in the clear behind it ends the connection',
    (injected) => {
      const client = connect({ offersStartTls: true });
      expect(client.send(`STARTTLS\r\n${injected}`)).toBe('OK "Begin TLS negotiation now."\r\n');
      expect(client.events).toEqual([
        { kind: 'close', reason: 'input in the clear behind STARTTLS' },
      ]);
    },
  );

  test('what comes in a later chunk is not even read', () => {
    const client = connect({ offersStartTls: true });
    client.send('STARTTLS\r\n');
    expect(client.send(`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`)).toBe('');
    client.engine.tlsStarted(secured);
    expect(client.takeOutput()).toBe(`${BLOCK}OK "TLS negotiation successful."\r\n`);
    expect(client.credentials).toBeUndefined();
  });

  test('what a trusted peer said in the clear is forgotten', () => {
    const client = connect({ offersStartTls: true, isTrusted: true });
    client.send('XCLIENT SESSION=clear\r\nSTARTTLS\r\n');
    client.engine.tlsStarted({ ...secured, isTrusted: true });
    client.send('XCLIENT SESSION=sealed\r\n');
    expect(client.events.filter(({ kind }) => kind === 'identify')).toMatchObject([
      { identity: { sessionId: 'clear' } },
      { identity: { sessionId: 'sealed' } },
    ]);
  });
});

describe('AUTHENTICATE', () => {
  test.each([
    [`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`, ''],
    [`authenticate "plain" {16+}\r\n${RESPONSE}\r\n`, ''],
    [`AUTHENTICATE "PLAIN" {16}\r\n${RESPONSE}\r\n`, ''],
    [`AUTHENTICATE {5+}\r\nPLAIN  "${RESPONSE}" \r\n`, ''],
    [`AUTHENTICATE "PLAIN"\r\n"${RESPONSE}"\r\n`, '""\r\n'],
    [`AUTHENTICATE "PLAIN"\r\n{16+}\r\n${RESPONSE}\r\n`, '""\r\n'],
    [
      'AUTHENTICATE "LOGIN"\r\n"YWxpY2U="\r\n{8+}\r\ncGFzcw==\r\n',
      '"VXNlcm5hbWU6"\r\n"UGFzc3dvcmQ6"\r\n',
    ],
    ['AUTHENTICATE "LOGIN" "YWxpY2U="\r\n"cGFzcw=="\r\n', '"UGFzc3dvcmQ6"\r\n'],
  ])('%j', (dialogue, output) => {
    const client = connect();
    expect(client.send(dialogue)).toBe(output);
    expect(client.credentials).toMatchObject({ user: 'alice', password: 'pass' });
    expect(client.engine.isPending).toBe(true);
  });

  const empty = 'NO "Received empty AUTHENTICATE client response line."\r\n';
  test.each([
    ['AUTHENTICATE "NOPE"\r\n', 'NO "Unsupported authentication mechanism."\r\n'],
    ['AUTHENTICATE "PLAIN" "!!"\r\n', 'NO "Invalid base64 in response"\r\n'],
    ['AUTHENTICATE "PLAIN" "A="\r\n', 'NO "Invalid base64 in response"\r\n'],
    ['AUTHENTICATE "PLAIN"\r\n"*"\r\n', '""\r\nNO "Authentication aborted by client."\r\n'],
    ['AUTHENTICATE "PLAIN"\r\n{1+}\r\n*\r\n', '""\r\nNO "Authentication aborted by client."\r\n'],
    ['AUTHENTICATE "PLAIN"\r\n\r\n', `""\r\n${empty}`],
    [
      'AUTHENTICATE "LOGIN"\r\n*\r\n',
      '"VXNlcm5hbWU6"\r\nNO "Invalid AUTHENTICATE client response."\r\n',
    ],
    ['AUTHENTICATE "PLAIN"\r\n"a" b\r\n', '""\r\nNO "Invalid AUTHENTICATE client response."\r\n'],
    ['AUTHENTICATE "PLAIN" abc\r\n', 'NO "Invalid AUTHENTICATE client response."\r\n'],
    ['AUTHENTICATE "PLAIN" "a"x"b"\r\n', 'NO "Invalid characters in atom"\r\n'],
    ['AUTHENTICATE PLAIN\r\n', BAD],
    ['AUTHENTICATE ""\r\n', BAD],
    ['AUTHENTICATE\r\n', BAD],
  ])('%j', (dialogue, output) => {
    const client = connect();
    expect(client.send(dialogue)).toBe(output);
    expect(client.send('NOOP\r\n')).toBe('OK "NOOP Completed"\r\n');
    expect(client.events).toEqual([]);
  });

  test('an empty initial response is one', () => {
    const client = connect();
    expect(client.send('AUTHENTICATE "PLAIN" ""\r\n')).toBe('');
    expect(client.events).toMatchObject([{ kind: 'refuse-later' }]);
  });

  describe('a token that is no good', () => {
    const token = Buffer.from('user=alice\x01auth=Bearer t\x01\x01').toString('base64');
    const challenge = Buffer.from('{"status":"401"}').toString('base64');
    const command = `AUTHENTICATE "XOAUTH2" "${token}"\r\n`;

    test.each(['""\r\n', '{0+}\r\n\r\n', '"AQ=="\r\n', '"*"\r\n', 'what?\r\n', '\r\n'])(
      'the reason is a challenge, and the refusal follows %j',
      (answer) => {
        const client = connect({ mechanisms: ['XOAUTH2', 'PLAIN'] });
        client.send(command);
        expect(client.credentials).toMatchObject({ user: 'alice', password: 't' });
        client.engine.loginFailed({ kind: 'auth', challenge: '{"status":"401"}' });
        expect(client.takeOutput()).toBe(`"${challenge}"\r\n`);
        expect(client.send(answer)).toBe('NO "Authentication failed."\r\n');
        expect(client.send('AUTHENTICATE "PLAIN" "!"\r\n')).toBe(
          'NO "Invalid base64 in response"\r\n',
        );
      },
    );
  });

  test.each(['AUTHENTICATE "EXTERNAL" ""\r\n', 'AUTHENTICATE "EXTERNAL"\r\n""\r\n'])(
    'the name of a certificate: %j',
    (dialogue) => {
      const client = connect({ mechanisms: ['EXTERNAL'], certificateUser: 'alice' });
      client.send(dialogue);
      expect(client.credentials).toMatchObject({ user: 'alice', isProven: true });
    },
  );

  test('no password without TLS where it is wanted', () => {
    const client = connect({ allowsPlaintext: false });
    expect(client.send(`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`)).toBe(
      'NO (ENCRYPT-NEEDED) "Plaintext authentication disabled."\r\n',
    );
    expect(client.events).toEqual([]);
  });

  test.each([
    [clientLimits.saslLineBytes - 1, false],
    [clientLimits.saslLineBytes, false],
    [clientLimits.saslLineBytes + 1, true],
  ])('a response of %i bytes', (size, isClosed) => {
    const response = 'A'.repeat(size);
    for (const start of ['AUTHENTICATE "PLAIN" ', 'AUTHENTICATE "PLAIN"\r\n']) {
      for (const text of [`"${response}"`, `{${size}+}\r\n${response}`]) {
        const client = connect();
        const output = client.send(`${start}${text}\r\n`);
        expect(client.isClosed).toBe(isClosed);
        expect(output).not.toContain('BYE');
      }
    }
  });
});

describe('XCLIENT', () => {
  const identity = { remoteIp: '2001:db8::1', remotePort: 77, sessionId: 'abc+/1', ttl: 3 };

  test('a trusted proxy is believed once', () => {
    const client = connect({ isTrusted: true });
    const line = 'XCLIENT ADDR=2001:db8::1 port=77 SESSION=abc+/1 TTL=3 X=y FORWARD=YT1i\r\n';
    expect(client.send(line + line)).toBe('OK "Updated"\r\n'.repeat(2));
    expect(client.events).toEqual([
      { kind: 'identify', identity: { ...identity, forward: [['a', 'b']] } },
    ]);
  });

  test.each(['ADDR=1.2.3', 'PORT=0', 'TTL=x', 'FORWARD=!', '"ADDR=192.0.2.1"'])(
    '%s is invalid',
    (value) => {
      const client = connect({ isTrusted: true });
      expect(client.send(`XCLIENT SESSION=a ${value}\r\n`)).toBe(BAD);
      expect(client.events).toEqual([]);
    },
  );
});

describe('failures', () => {
  const unavailable = 'NO (TRYLATER) "Account is temporarily unavailable."';
  const failed = 'NO "Authentication failed."';
  test.each([
    [{ kind: 'connect' }, unavailable],
    [{ kind: 'protocol' }, unavailable],
    [{ kind: 'remote' }, unavailable],
    [{ kind: 'internal' }, unavailable],
    [{ kind: 'remote-config' }, 'NO "Account is temporarily unavailable."'],
    [{ kind: 'unavailable' }, 'NO (TRYLATER) "Temporary authentication failure."'],
    [{ kind: 'auth' }, failed],
    [{ kind: 'authz' }, failed],
    [{ kind: 'expired' }, 'NO "Password expired"'],
    [{ kind: 'disabled' }, 'NO "Login disabled for this user"'],
    [{ kind: 'disabled', reason: 'closed "today"' }, 'NO "closed \\"today\\""'],
    [{ kind: 'auth', reason: '[ALERT] see us' }, 'NO "see us"'],
    [{ kind: 'auth', reason: '[ALERT]' }, failed],
    [{ kind: 'auth-reply', line: 'NO (QUOTA) {5}\r\nhello' }, 'NO (QUOTA) {5}\r\nhello'],
    [{ kind: 'auth-tempfail', line: 'NO (TRYLATER) "x"' }, 'NO (TRYLATER) "x"'],
  ] as const)('%j', (failure, reply) => {
    const client = connect();
    client.send(`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\nLISTSCRIPTS\r\n`);
    client.engine.loginFailed(failure);
    expect(client.takeOutput()).toBe(`${reply}\r\n${BAD}`);
  });
});

test('the acceptance is passed on, and pipelined bytes are given once', () => {
  const client = connect();
  client.send(`AUTHENTICATE "PLAIN" {16+}\r\n${RESPONSE}\r\nPUTSCRIPT "a" {3+}\r\n\r\n\xff`);
  const accepted = { text: 'OK "Logged in."', capability: '' };
  const { reply, pipelined } = client.engine.takeOver(accepted);
  expect(reply).toBe('OK "Logged in."\r\n');
  expect(pipelined?.toString('latin1')).toBe('PUTSCRIPT "a" {3+}\r\n\r\n\xff');
  expect(client.send('NOOP\r\n')).toBe('');
});

describe('limits', () => {
  const full = 'BYE "Input buffer full, aborting"\r\n';

  test.each([
    [clientLimits.inputBufferBytes - 1, BAD],
    [clientLimits.inputBufferBytes, BAD],
    [clientLimits.inputBufferBytes + 1, full],
  ])('a command name of %i bytes with its end', (size, reply) => {
    const client = connect();
    expect(client.send(`${'x'.repeat(size - 1)} y\r\n`)).toBe(reply);
    expect(client.isClosed).toBe(reply === full);
  });

  test.each([
    [clientLimits.inputBufferBytes - 1, false],
    [clientLimits.inputBufferBytes, false],
    [clientLimits.inputBufferBytes + 1, true],
  ])('a literal of %i bytes', (size, isTooLarge) => {
    const client = connect();
    const reply = client.send(`NOOP {${size}+}\r\n${'x'.repeat(size)}\r\n`);
    if (isTooLarge) expect(reply).toBe('BYE "Literal size too large"\r\n');
    else expect(reply).toMatch(/^OK \(TAG .*x\) "Done"\r\n$/s);
    expect(client.isClosed).toBe(isTooLarge);
  });

  test.each([
    [managesieveLimits.lineBytes - 1, BAD],
    [managesieveLimits.lineBytes, BAD],
    [managesieveLimits.lineBytes + 1, 'NO "MANAGESIEVE command line too large"\r\n'],
  ])('a command of %i bytes', (size, reply) => {
    const line = `NOOP "a"${' b'.repeat(5000)}`.slice(0, size - 3);
    const padded = `${line.trimEnd().padEnd(size - 3)}b\r\n`;
    const client = connect();
    expect(client.send(padded)).toBe(reply);
    expect(client.send('NOOP\r\n')).toBe('OK "NOOP Completed"\r\n');
  });

  test('the third bad command ends it, whatever is between them', () => {
    const client = connect();
    expect(client.send('LISTSCRIPTS\r\nNOOP\r\nNOOP "a" "b"\r\nNOOP\r\n')).toBe(
      `${BAD}OK "NOOP Completed"\r\n${BAD}OK "NOOP Completed"\r\n`,
    );
    expect(client.send('\r\nNOOP\r\n')).toBe('BYE "Too many invalid MANAGESIEVE commands."\r\n');
    expect(client.isClosed).toBe(true);
  });

  test.each([
    [clientLimits.pendingBytes - 1, false],
    [clientLimits.pendingBytes, false],
    [clientLimits.pendingBytes + 1, true],
  ])('%i bytes behind a pending login', (size, isClosed) => {
    const client = connect();
    client.send(`AUTHENTICATE "PLAIN" "${RESPONSE}"\r\n`);
    client.send('x'.repeat(size));
    expect(client.isClosed).toBe(isClosed);
  });
});

test('goodbye', () => {
  const { engine } = connect();
  expect(engine.goodbye('inactivity')).toBe('BYE "Disconnected for inactivity."\r\n');
  expect(engine.goodbye('kicked')).toBe('BYE "Kicked by admin"\r\n');
  expect(engine.goodbye('moved')).toBe('BYE (TRYLATER) "Kicked via director"\r\n');
  expect(engine.goodbye('shutdown')).toBe('BYE (TRYLATER) "Server shutting down."\r\n');
  expect(engine.goodbye('limit')).toBe('BYE (TRYLATER) "Connection queue full"\r\n');
});
