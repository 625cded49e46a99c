import { describe, expect, test } from 'vitest';
import { clientLimits, smtpLimits } from '../../../../src/shared/limits.ts';
import type {
  ClientEngineOptions,
  ConnectionFacts,
  LoginFailure,
} from '../../../../src/workers/protocols/engine.ts';
import { submissionProtocol } from '../../../../src/workers/protocols/submission/protocol.ts';
import { facts, TestClient } from '../engine-harness.ts';

function connect(
  changedFacts: Partial<ConnectionFacts> = {},
  options: Partial<ClientEngineOptions> = {},
): TestClient {
  const client = new TestClient(submissionProtocol, changedFacts, options);
  client.takeOutput();
  return client;
}

const GREETING = '220 proxy.test proxy.test ready.\r\n';
const UNKNOWN = '500 5.5.1 Unknown command\r\n';
const INVALID = '500 5.5.2 Invalid command syntax\r\n';
const TOO_LONG = '500 5.5.2 Line too long\r\n';
const SASL_TOO_LONG = '500 5.5.6 Authentication exchange line is too long\r\n';
const NOT_LOGGED_IN = '530 5.7.0 Authentication required.\r\n';
const NOT_TRUSTED = '550 5.7.14 You are not from trusted IP\r\n';
const FAILED = '535 5.7.8 Authentication failed.\r\n';
const OK = '250 2.0.0 OK\r\n';
const RESPONSE = 'AGFsaWNlAHBhc3M=';

test('greeting', () => {
  expect(new TestClient(submissionProtocol).output).toBe(GREETING);
});

describe('EHLO', () => {
  const ehlo = (...args: Parameters<typeof connect>): string[] => {
    const reply = connect(...args).send('EHLO client.test\r\n');
    expect(reply).toMatch(/^(250-[^\r\n]*\r\n)*250 [^\r\n]*\r\n$/);
    return reply
      .split('\r\n')
      .slice(1, -1)
      .map((line) => line.slice(4));
  };
  const ALWAYS = ['CHUNKING', 'ENHANCEDSTATUSCODES', 'SIZE', 'PIPELINING'];

  test('what every backend has: nothing is configured, or it is', () => {
    expect(ehlo({}, { submissionCapabilities: [] })).toEqual([
      ...['8BITMIME', 'AUTH PLAIN LOGIN', ...ALWAYS],
    ]);
    const submissionCapabilities = ['dsn', 'BURL', 'VRFY', 'SMTPUTF8', 'DELIVERBY', 'SIZE'];
    expect(ehlo({}, { submissionCapabilities })).toEqual([
      ...['AUTH PLAIN LOGIN', 'BURL imap', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES'],
      ...['SIZE', 'PIPELINING', 'VRFY', 'DELIVERBY', 'SMTPUTF8'],
    ]);
  });

  test('SIZE with the limit', () => {
    expect(ehlo({}, { submissionMaxMailSize: 41943040 })).toContain('SIZE 41943040');
  });

  test('what is ours to say cannot be configured', () => {
    const submissionCapabilities = ['AUTH', 'STARTTLS', 'XCLIENT'];
    expect(ehlo({ allowsPlaintext: false }, { submissionCapabilities })).toEqual(ALWAYS);
  });

  test('no AUTH line without mechanisms: an empty one is no grammar', () => {
    expect(ehlo({ allowsPlaintext: false }).join()).not.toContain('AUTH');
  });

  test('STARTTLS when it is to be had, XCLIENT for trusted peers', () => {
    const list = ehlo({ offersStartTls: true, isTrusted: true });
    expect(list).toContain('STARTTLS');
    expect(list.at(-1)).toBe('XCLIENT ADDR PORT PROTO HELO SESSION TTL FORWARD DESTADDR DESTPORT');
    expect(ehlo().join()).not.toMatch(/STARTTLS|XCLIENT/);
  });

  test.each([
    ['EHLO client.test', 'client.test'],
    ['HELO [192.0.2.7]', '[192.0.2.7]'],
    ['EHLO one\r\nEHLO two', 'two'],
    ['EHLO one\r\nEHLO', 'one'],
    // Accepted, as by Dovecot, but not passed on.
    ['EHLO a b', ''],
    ['EHLO one\r\nEHLO ???', ''],
    ['EHLO a+0D+0A', ''],
  ])('%j tells backends %j', (dialogue, helo) => {
    const client = connect();
    expect(client.send(`${dialogue}\r\n`)).toContain('250');
    expect(client.engine.hints.helo).toBe(helo);
  });

  test('HELO has one line; a name there must be', () => {
    expect(connect().send('HELO client.test\r\n')).toBe('250 proxy.test\r\n');
    expect(connect().send('EHLO\r\nHELO \r\n')).toBe('501 Missing hostname\r\n'.repeat(2));
  });
});

describe('before login', () => {
  test.each([
    ['NOOP', OK],
    ['noop x', OK],
    ['RSET', OK],
    ['MAIL FROM:<>', NOT_LOGGED_IN],
    ['RCPT TO:<a@b>', NOT_LOGGED_IN],
    ['DATA', NOT_LOGGED_IN],
    ['VRFY x', NOT_LOGGED_IN],
    ['BURL imap://x', UNKNOWN],
    ['ETRN x', UNKNOWN],
    ['EXPN x', UNKNOWN],
    ['HELP', UNKNOWN],
    ['BLAH', UNKNOWN],
    ['FOO1', INVALID],
    ['', INVALID],
    ['NOOP\0', INVALID],
    ['NOOP  x', INVALID],
    ['STARTTLS', "502 5.5.1 TLS support isn't enabled.\r\n"],
    ['STARTTLS x', '501 5.5.4 Invalid parameters\r\n'],
    ['AUTH', '501 5.5.4 Missing SASL mechanism parameter\r\n'],
    ['AUTH PLAIN a b', '501 5.5.4 Invalid parameters\r\n'],
  ])('%j', (line, reply) => {
    const client = connect();
    expect(client.send(`${line}\r\n`)).toBe(reply);
    expect(client.send(`${line}\n`)).toBe(reply);
    expect(client.events).toEqual([]);
  });

  test('QUIT', () => {
    const client = connect();
    expect(client.send('QUIT\r\nNOOP\r\n')).toBe('221 2.0.0 Bye\r\n');
    expect(client.events).toEqual([{ kind: 'close', reason: 'logged out before login' }]);
  });

  test('a chunk of a message is not taken for commands', () => {
    const client = connect();
    expect(client.send('BDAT 6\r\nQUIT\r\nNOOP\r\n')).toBe(NOT_LOGGED_IN + OK);
    expect(client.send('BDAT 12 LAST\r\nQU')).toBe(NOT_LOGGED_IN);
    expect(client.send('IT\r\n')).toBe('');
    expect(client.send('QUIT\r\nNOOP\r\n')).toBe(OK);
    expect(client.send('BDAT 0 LAST\r\nNOOP\r\n')).toBe(NOT_LOGGED_IN + OK);
    expect(client.send('BDAT x\r\nNOOP\r\n')).toBe(NOT_LOGGED_IN + OK);
    expect(client.isClosed).toBe(false);
  });

  test('pipelined commands are answered in order', () => {
    expect(connect().send('NOOP\r\nMAIL FROM:<>\r\nFOO\r\nRSET\r\n')).toBe(
      OK + NOT_LOGGED_IN + UNKNOWN + OK,
    );
  });

  test('one bad command too many in a row', () => {
    const client = connect();
    const bad = 'FOO\r\nBAR\r\nFOO1\r\nSTARTTLS x\r\nEHLO\r\n';
    client.send(bad.repeat(smtpLimits.badCommands / 5));
    expect(client.isClosed).toBe(false);
    expect(client.send('NOOP\r\n')).toBe(OK);
    client.send(bad.repeat(smtpLimits.badCommands / 5));
    expect(client.send('FOO\r\nNOOP\r\n')).toBe(
      `${UNKNOWN}421 4.7.0 proxy.test Too many invalid commands.\r\n`,
    );
    expect(client.isClosed).toBe(true);
  });

  test.each([
    [clientLimits.inputBufferBytes - 1, false],
    [clientLimits.inputBufferBytes, false],
    [clientLimits.inputBufferBytes + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const client = connect();
    const line = `NOOP ${'x'.repeat(size - 7)}\r\n`;
    expect(client.send(`${line}NOOP\r\n`)).toBe((isTooLong ? TOO_LONG : OK) + OK);
  });

  test('a line without an end is refused once, and nothing of it is held', () => {
    const client = connect();
    expect(client.send('x'.repeat(clientLimits.inputBufferBytes))).toBe('');
    expect(client.send('x')).toBe(TOO_LONG);
    expect(client.send('x'.repeat(100_000))).toBe('');
    expect(client.engine.heldBytes).toBe(0);
    expect(client.send('\r\nNOOP\r\n')).toBe(OK);
  });
});

describe('AUTH', () => {
  test.each([
    [`AUTH PLAIN ${RESPONSE}\r\n`, '', 'PLAIN'],
    [`auth plain\r\n${RESPONSE}\r\n`, '334 \r\n', 'PLAIN'],
    ['AUTH LOGIN\r\nYWxpY2U=\r\ncGFzcw==\r\n', '334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n', 'LOGIN'],
    ['AUTH LOGIN YWxpY2U=\r\ncGFzcw==\r\n', '334 UGFzc3dvcmQ6\r\n', 'LOGIN'],
  ])('%j, before or behind EHLO', (dialogue, replies, mechanism) => {
    const client = connect();
    expect(client.send(dialogue)).toBe(replies);
    expect(client.credentials).toEqual({
      ...{ user: 'alice', password: 'pass', authzid: '', isProven: false, mechanism },
    });
  });

  test('what comes behind it waits, and is not read when the login succeeds', () => {
    const client = connect();
    expect(client.send(`AUTH PLAIN ${RESPONSE}\r\nMAIL FROM:<a@b>\r\nQUIT\r\n`)).toBe('');
    const { reply, pipelined } = client.engine.takeOver({
      text: '235-2.7.0 Logged\r\n235 2.7.0 in.',
      capability: '',
    });
    expect(reply).toBe('235-2.7.0 Logged\r\n235 2.7.0 in.\r\n');
    expect(pipelined?.toString()).toBe('MAIL FROM:<a@b>\r\nQUIT\r\n');
  });

  test('when it fails, it is read as commands before login', () => {
    const client = connect();
    client.send(`AUTH PLAIN ${RESPONSE}\r\nMAIL FROM:<a@b>\r\nNOOP\r\n`);
    client.engine.loginFailed({ kind: 'auth' });
    expect(client.takeOutput()).toBe(FAILED + NOT_LOGGED_IN + OK);
  });

  test.each([
    ['AUTH PLAIN\r\n*\r\n', '334 \r\n501 5.5.2 Authentication aborted by client.\r\n'],
    ['AUTH NOPE\r\n', '504 5.5.4 Unsupported authentication mechanism.\r\n'],
    ['AUTH PLAIN !!!\r\n', '501 5.5.2 Invalid base64 data in initial response\r\n'],
    ['AUTH PLAIN\r\n!!!\r\n', '334 \r\n501 5.5.2 Invalid base64 data in continued response\r\n'],
  ])('%j', (dialogue, replies) => {
    const client = connect();
    expect(client.send(`${dialogue}NOOP\r\n`)).toBe(replies + OK);
    expect(client.events).toEqual([]);
  });

  test.each(['AUTH PLAIN =\r\n', 'AUTH PLAIN\r\n\r\n', 'AUTH PLAIN AGEKAGI=\r\n'])(
    '%j is refused like a wrong password',
    (dialogue) => {
      const client = connect();
      client.send(dialogue);
      expect(client.events).toEqual([{ kind: 'refuse-later' }]);
      client.takeOutput();
      client.engine.loginFailed({ kind: 'auth' });
      expect(client.takeOutput()).toBe(FAILED);
    },
  );

  test('without encryption, where that is wanted', () => {
    const client = connect({ allowsPlaintext: false });
    expect(client.send(`AUTH PLAIN ${RESPONSE}\r\n`)).toBe(
      '523 5.7.10 Plaintext authentication disabled.\r\n',
    );
    expect(client.events).toEqual([]);
  });

  test.each([
    [clientLimits.saslLineBytes - 1, false],
    [clientLimits.saslLineBytes, false],
    [clientLimits.saslLineBytes + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const client = connect();
    const line = 'x'.repeat(size - 'AUTH PLAIN \r\n'.length);
    const reply = client.send(`AUTH PLAIN ${line}\r\nNOOP\r\n`);
    expect(reply.startsWith(SASL_TOO_LONG)).toBe(isTooLong);
    if (isTooLong) expect(reply).toBe(SASL_TOO_LONG + OK);
  });

  test.each([
    [clientLimits.saslLineBytes - 1, false],
    [clientLimits.saslLineBytes, false],
    [clientLimits.saslLineBytes + 1, true],
  ])('a response of %i bytes', (size, isTooLong) => {
    const client = connect();
    client.send('AUTH PLAIN\r\n');
    const reply = client.send(`${'!'.repeat(size)}\nNOOP\r\n`);
    expect(reply.startsWith(SASL_TOO_LONG)).toBe(isTooLong);
    expect(reply.endsWith(OK)).toBe(true);
    expect(client.isClosed).toBe(false);
  });

  test('a response without an end: the exchange is over, nothing is held, and the next one can begin', () => {
    const client = connect();
    client.send('AUTH PLAIN\r\n');
    expect(client.send('x'.repeat(clientLimits.saslLineBytes + 1))).toBe(SASL_TOO_LONG);
    expect(client.send('x'.repeat(50_000))).toBe('');
    expect(client.engine.heldBytes).toBe(0);
    client.send(`\r\nAUTH PLAIN ${RESPONSE}\r\n`);
    expect(client.credentials?.user).toBe('alice');
  });
});

describe('failures', () => {
  test.each<[LoginFailure, string]>([
    [{ kind: 'auth' }, '535 5.7.8 Authentication failed.'],
    [{ kind: 'auth', reason: 'Go away' }, '535 5.7.8 Go away'],
    [{ kind: 'authz' }, '535 5.7.8 Authentication failed.'],
    [{ kind: 'expired' }, '535 5.7.8 Password expired'],
    [{ kind: 'disabled' }, '525 5.7.13 Login disabled for this user'],
    [{ kind: 'disabled', reason: 'Pay first' }, '525 5.7.13 Pay first'],
    [{ kind: 'unavailable' }, '454 4.7.0 Temporary authentication failure.'],
    [{ kind: 'auth-reply', line: '535-5.7.8 a\r\n535 5.7.8 b' }, '535-5.7.8 a\r\n535 5.7.8 b'],
    [{ kind: 'auth-tempfail', line: '454 4.7.0 later' }, '454 4.7.0 later'],
    ...(['connect', 'protocol', 'remote', 'remote-config', 'internal'] as const).map(
      (kind): [LoginFailure, string] => [{ kind }, '454 4.7.0 Account is temporarily unavailable.'],
    ),
  ])('%j', (failure, reply) => {
    const client = connect();
    client.send(`AUTH PLAIN ${RESPONSE}\r\n`);
    client.engine.loginFailed(failure);
    expect(client.takeOutput()).toBe(`${reply}\r\n`);
    expect(client.send('NOOP\r\n')).toBe(OK);
  });
});

describe('XCLIENT', () => {
  const trusted = { isTrusted: true };

  test('from others it is refused', () => {
    const client = connect();
    expect(client.send('XCLIENT ADDR=192.0.2.99\r\n')).toBe(NOT_TRUSTED);
    expect(client.events).toEqual([]);
  });

  test('a new beginning, in the client’s name', () => {
    const client = connect(trusted);
    client.send('EHLO proxy2.test\r\n');
    expect(
      client.send('XCLIENT HELO=client.test PROTO=ESMTP TTL=3 PORT=5 ADDR=192.0.2.99\r\n'),
    ).toBe(GREETING);
    expect(client.events).toEqual([
      {
        kind: 'identify',
        identity: { ttl: 3, remotePort: 5, remoteIp: '192.0.2.99', forward: [] },
      },
    ]);
    client.send('EHLO proxy2.test\r\n');
    expect(client.engine.hints.helo).toBe('client.test');
  });

  test('several commands in a row are one introduction', () => {
    const client = connect(trusted);
    expect(client.send('XCLIENT ADDR=192.0.2.99 FORWARD=YT1i\r\nXCLIENT SESSION=abc\r\n')).toBe(
      GREETING.repeat(2),
    );
    expect(client.events.at(-1)).toEqual({
      kind: 'identify',
      identity: { remoteIp: '192.0.2.99', sessionId: 'abc', forward: [['a', 'b']] },
    });
  });

  test('behind another command it would be the client’s own word', () => {
    const client = connect(trusted);
    client.send('XCLIENT ADDR=192.0.2.99\r\nEHLO x\r\n');
    expect(client.send('XCLIENT ADDR=192.0.2.1\r\n')).toBe(NOT_TRUSTED);
    expect(client.events.length).toBe(1);
  });

  test('a bad one is refused whole', () => {
    const client = connect(trusted);
    expect(client.send('XCLIENT ADDR=192.0.2.9 PORT=x\r\n')).toBe(
      '501 5.5.4 Invalid PORT parameter\r\n',
    );
    expect(client.events).toEqual([]);
    expect(client.send('XCLIENT ADDR=192.0.2.9 PORT=6\r\n')).toBe(GREETING);
  });
});

test('STARTTLS: what was said in the clear is forgotten', () => {
  const client = connect({ offersStartTls: true, isTrusted: true });
  client.send('XCLIENT HELO=mallory.test ADDR=192.0.2.66\r\nEHLO mallory.test\r\nSTARTTLS\r\n');
  client.takeOutput();
  client.engine.tlsStarted({ ...facts, isTls: true, isTrusted: true });
  expect(client.takeOutput()).toBe('');
  expect(client.engine.hints.helo).toBe('');
  expect(client.send('XCLIENT ADDR=192.0.2.9\r\n')).toBe(GREETING);
});

describe('goodbye', () => {
  test.each([
    ['inactivity', '421 4.4.2 proxy.test Disconnected for inactivity.\r\n'],
    ['shutdown', '421 4.3.2 proxy.test Server shutting down.\r\n'],
    ['limit', '421 4.3.2 proxy.test Connection queue full\r\n'],
  ] as const)('%s', (reason, text) => {
    expect(connect().engine.goodbye(reason)).toBe(text);
  });

  test.each([
    ['kicked', '421 4.3.2 proxy.test Kicked by admin\r\n'],
    ['moved', '421 4.3.2 proxy.test Kicked via director\r\n'],
    ['inactivity', '421 4.4.2 proxy.test Timeout while finishing login.\r\n'],
  ] as const)('%s while a login is pending', (reason, text) => {
    const client = connect();
    client.send(`AUTH PLAIN ${RESPONSE}\r\n`);
    expect(client.engine.goodbye(reason)).toBe(text);
  });

  test('inactivity within an exchange', () => {
    const client = connect();
    client.send('AUTH PLAIN\r\n');
    expect(client.engine.goodbye('inactivity')).toBe(
      '421 4.4.2 proxy.test Disconnected for inactivity during authentication.\r\n',
    );
  });
});
