import { describe, expect, test } from 'vitest';
import { clientLimits, imapLimits } from '../../../../src/shared/limits.ts';
import type {
  ClientEngineOptions,
  ConnectionFacts,
} from '../../../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../../../src/workers/protocols/imap/protocol.ts';
import { TestClient } from '../engine-harness.ts';

function connect(
  facts: Partial<ConnectionFacts> = {},
  options: Partial<ClientEngineOptions> = {},
): TestClient {
  const client = new TestClient(imapProtocol, facts, options);
  client.takeOutput();
  return client;
}

const FULL = '* BYE Input buffer full, aborting\r\n';
const BAD = 'BAD Error in IMAP command received by server.\r\n';
const EXPOSED = '* BAD [ALERT] Plaintext authentication not allowed';

describe('capabilities', () => {
  const listOf = (facts: Partial<ConnectionFacts>, options: Partial<ClientEngineOptions>) =>
    /\[CAPABILITY (.*?)\]/.exec(new TestClient(imapProtocol, facts, options).output)?.[1];

  test.each([
    [{}, {}, 'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN'],
    [{ allowsPlaintext: false }, {}, 'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ LOGINDISABLED'],
    [
      {},
      { imapLiteralMinus: true },
      'IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL- AUTH=PLAIN AUTH=LOGIN',
    ],
    [
      {},
      { imapCapability: '+XFOO XBAR' },
      'IMAP4rev1 SASL-IR ID ENABLE IDLE XFOO XBAR LITERAL+ AUTH=PLAIN AUTH=LOGIN',
    ],
    [{}, { imapCapability: 'IMAP4rev1 XFOO' }, 'IMAP4rev1 XFOO AUTH=PLAIN AUTH=LOGIN'],
  ])('%j %j', (facts, options, list) => {
    expect(listOf(facts, options)).toBe(list);
  });
});

describe('LOGIN', () => {
  test.each([
    ['a LOGIN alice pass\r\n', 'alice', 'pass'],
    ['a login alice pass\r\n', 'alice', 'pass'],
    ['a LOGIN alice pass\n', 'alice', 'pass'],
    ['a LOGIN  alice   pass \r\n', 'alice', 'pass'],
    ['a LOGIN nil NIL\r\n', 'nil', 'NIL'],
    ['a LOGIN al*%]ce ~pa[s]\\s\r\n', 'al*%]ce', '~pa[s]\\s'],
    ['a LOGIN "ali ce" "p\\"a\\\\s"\r\n', 'ali ce', 'p"a\\s'],
    ['a LOGIN "alice" ""\r\n', 'alice', ''],
    ['a LOGIN "\xe9" "\xff"\r\n', '\xe9', '\xff'],
    ['a LOGIN {5+}\r\nalice {4+}\r\npass\r\n', 'alice', 'pass'],
    ['a LOGIN {5+}\nalice {0+}\npass\r\n', 'alice', undefined],
  ])('%j', (line, user, password) => {
    const client = connect();
    const output = client.send(line);
    if (password === undefined) {
      // The literal of no bytes ended the second argument; "pass" was a third.
      expect(output).toBe(`a ${BAD}`);
      return;
    }
    expect(output).toBe('');
    expect(client.credentials).toEqual({
      user,
      password,
      authzid: '',
      isProven: false,
      mechanism: 'LOGIN',
    });
  });

  test.each([
    'a LOGIN\r\n',
    'a LOGIN alice\r\n',
    'a LOGIN alice pass more\r\n',
    'a LOGIN (alice) pass\r\n',
    'a LOGIN alice (pass)\r\n',
  ])('%j has the wrong arguments', (line) => {
    const client = connect();
    expect(client.send(line)).toBe(`a ${BAD}`);
    expect(client.events).toEqual([]);
  });

  test.each([
    ['a LOGIN al"ice pass\r\n', 'Invalid characters in atom'],
    ['a LOGIN al\0ice pass\r\n', 'Invalid characters in atom'],
    ['a LOGIN \xe9 pass\r\n', '8bit data in atom'],
    ['a LOGIN "al\0ice" pass\r\n', 'NULs not allowed in strings'],
    ['a LOGIN "alice pass\r\n', "Missing '\"'"],
    ['a LOGIN "ali\\\r\n', "Missing '\"'"],
    ['a LOGIN alice\rx pass\r\n', 'CR sent without LF'],
    ['a LOGIN alice pass)\r\n', "Unexpected ')'"],
    ['a LOGIN (alice pass\r\n', "Missing ')'"],
    ['a LOGIN {5x}\r\n', 'Invalid literal size'],
    ['a LOGIN {5+x}\r\n', "Expecting '}' after '+'"],
    ['a LOGIN {5} alice\r\n', 'Missing LF after literal size'],
    ['a LOGIN ~{5}\r\n', 'literal8 not allowed here'],
  ])('%j is a syntax error, and the next line is read', (line, error) => {
    const client = connect();
    expect(client.send(`${line}b NOOP\r\n`)).toBe(`a BAD ${error}\r\nb OK NOOP completed.\r\n`);
  });

  test.each([
    'a LOGIN "" pass\r\n',
    'a LOGIN {0+}\r\n pass\r\n',
    'a LOGIN {9+}\r\nali\r\nce x pass\r\n',
    'a LOGIN alice {3+}\r\np\0s\r\n',
    'a LOGIN alice {3+}\r\np\rs\r\n',
    'a LOGIN alice {3+}\r\np\ns\r\n',
  ])('%j is refused like a wrong password, before any backend', (line) => {
    const client = connect();
    expect(client.send(line)).toBe('');
    expect(client.events).toEqual([{ kind: 'refuse-later' }]);
    client.engine.loginFailed({ kind: 'auth' });
    expect(client.takeOutput()).toBe('a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n');
  });

  test('prompts for each synchronising literal', () => {
    const client = connect();
    expect(client.send('a LOGIN {5}\r')).toBe('');
    expect(client.send('\n')).toBe('+ OK\r\n');
    expect(client.send('alice {4}\r\n')).toBe('+ OK\r\n');
    expect(client.send('pass')).toBe('');
    expect(client.send('\r\n')).toBe('');
    expect(client.credentials).toMatchObject({ user: 'alice', password: 'pass' });
  });

  test('without plaintext it is refused, whatever the arguments, and none is echoed', () => {
    const client = connect({ allowsPlaintext: false });
    const output = client.send('a LOGIN alice pass\r\n');
    expect(output.startsWith(EXPOSED)).toBe(true);
    expect(
      output.endsWith(
        '\r\na NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.\r\n',
      ),
    ).toBe(true);
    expect(client.send('b AUTHENTICATE PLAIN\r\n')).toBe(
      'b NO [PRIVACYREQUIRED] Plaintext authentication disabled.\r\n',
    );
    // The client answers a challenge that never came: that is not a tag to be echoed.
    expect(client.send('AGFsaWNlAHBhc3M=\r\n')).toBe(`* ${BAD}`);
    expect(client.events).toEqual([]);
  });
});

describe('failures', () => {
  const unavailable = 'NO [UNAVAILABLE] Account is temporarily unavailable.';
  test.each([
    [{ kind: 'connect' }, unavailable],
    [{ kind: 'protocol' }, unavailable],
    [{ kind: 'remote' }, unavailable],
    [{ kind: 'internal' }, unavailable],
    [{ kind: 'unavailable' }, 'NO [UNAVAILABLE] Temporary authentication failure.'],
    [{ kind: 'remote-config' }, 'NO [SERVERBUG] Account is temporarily unavailable.'],
    [{ kind: 'auth' }, 'NO [AUTHENTICATIONFAILED] Authentication failed.'],
    [{ kind: 'auth-reply', line: 'NO [LIMIT] x' }, 'NO [LIMIT] x'],
    [{ kind: 'auth-tempfail', line: 'NO [UNAVAILABLE] y' }, 'NO [UNAVAILABLE] y'],
  ] as const)('%j', (failure, reply) => {
    const client = connect();
    client.send('x.1 LOGIN alice pass\r\nx.2 NOOP\r\n');
    expect(client.engine.bufferedBytes).toBe('x.2 NOOP\r\n'.length);
    client.engine.loginFailed(failure);
    expect(client.takeOutput()).toBe(`x.1 ${reply}\r\nx.2 OK NOOP completed.\r\n`);
    expect(client.engine.isPending).toBe(false);
  });

  test('a session that answers twice is a bug, one that answers the dead is not', () => {
    const client = connect();
    expect(() => client.engine.loginFailed({ kind: 'auth' })).toThrow('without a pending login');
    client.send('a LOGOUT\r\n');
    client.engine.loginFailed({ kind: 'auth' });
    expect(client.takeOutput()).toBe('');
  });
});

describe('the final reply', () => {
  const accept = (dialogue: string, text: string, capability: string) => {
    const client = connect();
    client.send(dialogue);
    return client.engine.takeOver({ text, capability }).reply;
  };

  test.each([
    ['[CAPABILITY B] in', 'A', 'a OK [CAPABILITY B] in\r\n'],
    ['in', 'A', 'a OK [CAPABILITY A] in\r\n'],
    ['[ALERT] in', 'A', 'a OK [CAPABILITY A] in\r\n'],
    ['in', '', 'a OK in\r\n'],
    ['[ALERT] in', '', 'a OK [ALERT] in\r\n'],
  ])('of %j with list %j', (text, capability, reply) => {
    expect(accept('a LOGIN b c\r\n', text, capability)).toBe(reply);
  });

  test.each([
    ['[CAPABILITY B] in', 'A', '* CAPABILITY B\r\na OK [CAPABILITY B] in\r\n'],
    ['in', 'A', '* CAPABILITY A\r\na OK in\r\n'],
    ['in', '', 'a OK in\r\n'],
  ])('of %j with list %j for a client that asked', (text, capability, reply) => {
    expect(accept('x CAPABILITY\r\na LOGIN b c\r\n', text, capability)).toBe(reply);
  });

  test('the engine is dead afterwards, and gives the pipelined bytes once', () => {
    const client = connect();
    client.send('a LOGIN b c\r\nb SELECT \xff\0\r\n');
    const accepted = { text: 'in', capability: '' };
    expect(client.engine.takeOver(accepted).pipelined?.toString('latin1')).toBe(
      'b SELECT \xff\0\r\n',
    );
    expect(client.engine.bufferedBytes).toBe(0);
    expect(client.send('c NOOP\r\n')).toBe('');
    expect(() => client.engine.takeOver(accepted)).toThrow('without a pending login');
  });
});

describe('AUTHENTICATE', () => {
  test.each([
    ['a AUTHENTICATE PLAIN AGFsaWNlAHBhc3M=\r\n', '', 'PLAIN'],
    ['a authenticate plain AGFsaWNlAHBhc3M=\n', '', 'PLAIN'],
    ['a AUTHENTICATE PLAIN YWxpY2UAYWxpY2UAcGFzcw==\r\n', '', 'PLAIN'],
    ['a AUTHENTICATE PLAIN\r\nAGFsaWNlAHBhc3M=\r\n', '+ \r\n', 'PLAIN'],
    ['a AUTHENTICATE LOGIN YWxpY2U=\r\ncGFzcw==\r\n', '+ UGFzc3dvcmQ6\r\n', 'LOGIN'],
    [
      'a AUTHENTICATE LOGIN =\r\nYWxpY2U=\r\ncGFzcw==\r\n',
      '+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n',
      'LOGIN',
    ],
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
    ['no password', 'AGFsaWNl'],
    ['too many fields', 'AGFsaWNlAHBhc3MAeA=='],
    ['no user', 'AABwYXNz'],
    ['an empty response', '='],
    ['CR LF in the password', 'AGFsaWNlAHBhDQpYIE5PT1A='],
  ])('%s is refused like a wrong password', (_, response) => {
    const client = connect();
    expect(client.send(`a AUTHENTICATE PLAIN ${response}\r\n`)).toBe('');
    expect(client.events).toEqual([{ kind: 'refuse-later' }]);
  });

  test('another authorisation id is for the databases to judge', () => {
    const client = connect();
    expect(client.send('a AUTHENTICATE PLAIN Ym9iAGFsaWNlAHBhc3M=\r\n')).toBe('');
    expect(client.credentials).toEqual({
      user: 'alice',
      password: 'pass',
      authzid: 'bob',
      mechanism: 'PLAIN',
      isProven: false,
    });
  });

  test('without a mechanism it is an invalid command', () => {
    const client = connect();
    expect(client.send('a AUTHENTICATE\r\nb NOOP\r\n')).toBe(`a ${BAD}b OK NOOP completed.\r\n`);
    expect(client.send('a AUTHENTICATE  PLAIN\r\n')).toBe(`a ${BAD}`);
  });
});

describe('ID', () => {
  const ok = '* ID ("name" "Postilion")\r\na OK ID completed.\r\n';
  const given =
    'a ID ("X-Session-ID" "abc+/1" "x-originating-ip" "2001:db8::1" "x-originating-port" "77" ' +
    '"x-connected-ip" "192.0.2.9" "x-connected-port" "993" "x-proxy-ttl" "3" ' +
    '"x-forward-Class" "gold" "name" "mutt")\r\n';

  test('a trusted proxy is believed once', () => {
    const client = connect({ isTrusted: true });
    expect(client.send(given)).toBe(ok);
    expect(client.send('a ID ("x-originating-ip" "192.0.2.200")\r\n')).toBe(ok);
    expect(client.events).toEqual([
      {
        kind: 'identify',
        identity: {
          sessionId: 'abc+/1',
          remoteIp: '2001:db8::1',
          remotePort: 77,
          localIp: '192.0.2.9',
          localPort: 993,
          ttl: 3,
          forward: [['Class', 'gold']],
        },
      },
    ]);
  });

  test('others are not', () => {
    const client = connect();
    expect(client.send(given)).toBe(ok);
    expect(client.events).toEqual([]);
  });

  test('unusable values are passed over', () => {
    const client = connect({ isTrusted: true });
    const values =
      '"x-session-id" "a b" "x-originating-ip" "1.2.3" "x-originating-port" "0" ' +
      '"x-connected-port" "65536" "x-proxy-ttl" "-1" "x-forward-a" {3+}\r\na\r\n "x-forward-b" NIL';
    expect(client.send(`a ID (${values})\r\n`)).toBe(ok);
    expect(client.events).toEqual([]);
  });

  test.each([
    ['a ID (name "x")\r\n'],
    ['a ID ("name" x)\r\n'],
    ['a ID x\r\n'],
    ['a ID (("name" "x"))\r\n'],
    ['a ID ("name" ("x"))\r\n'],
  ])('%j is invalid', (line) => {
    const client = connect();
    expect(client.send(`${line}b NOOP\r\n`)).toBe(
      'a BAD Invalid ID parameters\r\nb OK NOOP completed.\r\n',
    );
  });

  test.each([
    [imapLimits.idPairs - 1, ok],
    [imapLimits.idPairs, ok],
    [imapLimits.idPairs + 1, 'a BAD Invalid ID parameters\r\n'],
  ])('%i pairs', (count, reply) => {
    expect(connect().send(`a ID (${'"k" "v" '.repeat(count).trim()})\r\n`)).toBe(reply);
  });

  test.each([
    [imapLimits.idKeyBytes - 1, ok],
    [imapLimits.idKeyBytes, ok],
    [imapLimits.idKeyBytes + 1, 'a BAD Invalid ID parameters\r\n'],
  ])('a key of %i bytes', (size, reply) => {
    expect(connect().send(`a ID ("${'k'.repeat(size)}" "v")\r\n`)).toBe(reply);
  });

  test.each([
    [imapLimits.idValueBytes - 1, ok],
    [imapLimits.idValueBytes, ok],
    // With its quotes it does not fit into the input buffer.
    [imapLimits.idValueBytes + 1, FULL],
  ])('a value of %i bytes', (size, reply) => {
    expect(connect().send(`a ID ("k" "${'v'.repeat(size)}")\r\n`)).toBe(reply);
  });

  test('is kept for the backend without x-* when configured, within its limit', () => {
    const client = connect({ isTrusted: true }, { imapIdRetain: true });
    client.send('a ID ("name" "m\\"utt" "x-proxy-ttl" "9" "X-Multiplex" "0" "os" NIL)\r\n');
    expect(client.engine.hints.retainedId).toBe('"name" "m\\"utt" "os" NIL');
    client.send(`a ID ("big" "${'v'.repeat(300)}" "b" "c")\r\n`);
    expect(client.engine.hints.retainedId).toBe('"b" "c"');
    client.send('a ID NIL\r\n');
    expect(client.engine.hints.retainedId).toBe('');
  });
});

describe('limits', () => {
  test.each([
    [clientLimits.inputBufferBytes - 1, ''],
    [clientLimits.inputBufferBytes, ''],
    [clientLimits.inputBufferBytes + 1, FULL],
  ])('%i bytes of an unfinished tag', (size, reply) => {
    const client = connect();
    expect(client.send('t'.repeat(size))).toBe(reply);
    expect(client.isClosed).toBe(reply !== '');
    expect(client.engine.heldBytes).toBe(reply === '' ? size : 0);
  });

  test('a tag of 100 kB', () => {
    expect(connect().send(`${'t'.repeat(100_000)} NOOP\r\n`)).toBe(FULL);
  });

  test.each([
    [imapLimits.tagBytes - 1, true],
    [imapLimits.tagBytes, true],
    [imapLimits.tagBytes + 1, false],
  ])('a tag of %i bytes', (size, isEchoed) => {
    const tag = 't'.repeat(size);
    expect(connect().send(`${tag} NOOP\r\n`)).toBe(
      isEchoed ? `${tag} OK NOOP completed.\r\n` : `* ${BAD}`,
    );
    const client = connect();
    client.send(`${tag} LOGIN b c\r\n`);
    expect(client.credentials !== undefined).toBe(isEchoed);
  });

  test.each([
    // An atom is complete with the byte behind it.
    [clientLimits.inputBufferBytes - 2, true],
    [clientLimits.inputBufferBytes - 1, true],
    [clientLimits.inputBufferBytes, false],
  ])('a password atom of %i bytes', (size, fits) => {
    const client = connect();
    expect(client.send(`a LOGIN b ${'p'.repeat(size)}\r\n`)).toBe(fits ? '' : FULL);
    expect(client.credentials?.password.length).toBe(fits ? size : undefined);
  });

  test.each([
    [clientLimits.inputBufferBytes - 1, true],
    [clientLimits.inputBufferBytes, true],
    [clientLimits.inputBufferBytes + 1, false],
  ])('a literal of %i bytes', (size, fits) => {
    const client = connect();
    const output = client.send(`a LOGIN b {${size}+}\r\n${'p'.repeat(size)}\r\n`);
    expect(output).toBe(fits ? '' : FULL);
    expect(client.credentials?.password.length).toBe(fits ? size : undefined);
  });

  test.each([
    [-1, '+ OK\r\n'],
    [0, '+ OK\r\n'],
    [1, '* BYE Literal size too large\r\n'],
  ])('a literal announced %i bytes beyond what the line may have', (excess, reply) => {
    const before = 'a LOGIN b {NNNN}';
    const size = imapLimits.lineBytes - before.length + excess;
    expect(connect().send(`a LOGIN b {${size}}\r\n`)).toBe(reply);
  });

  test.each([
    [imapLimits.literalMinusBytes - 1, ''],
    [imapLimits.literalMinusBytes, ''],
    [imapLimits.literalMinusBytes + 1, '* BYE Non-synchronizing literal size too large\r\n'],
  ])('a non-synchronising literal of %i bytes under LITERAL-', (size, reply) => {
    const client = connect({}, { imapLiteralMinus: true });
    expect(client.send(`a LOGIN b {${size}+}\r\n`)).toBe(reply);
    expect(client.isClosed).toBe(reply !== '');
  });

  test('a literal of absurd size', () => {
    expect(connect().send(`a LOGIN b {${'9'.repeat(400)}}\r\n`)).toBe(
      '* BYE Literal size too large\r\n',
    );
  });

  test.each([
    [imapLimits.lineBytes - 1, 'a OK NOOP completed.\r\n'],
    [imapLimits.lineBytes, 'a OK NOOP completed.\r\n'],
    [imapLimits.lineBytes + 1, 'a BAD IMAP command line too large\r\n'],
  ])('a command of %i bytes without its line end', (size, reply) => {
    const line = 'a NOOP'.padEnd(size, ' x');
    expect(connect().send(`${line}\r\n`)).toBe(reply);
    expect(connect().send(`${'a NOOP'.padEnd(size, ' ')}\r\n`)).toBe(reply);
  });

  test.each([
    [clientLimits.saslLineBytes - 1, false],
    [clientLimits.saslLineBytes, false],
    [clientLimits.saslLineBytes + 1, true],
  ])('a SASL line of %i bytes', (size, isClosed) => {
    const inContinuation = connect();
    inContinuation.send('a AUTHENTICATE PLAIN\r\n');
    const isTooLong = (client: TestClient) => client.isClosed;
    const reply = inContinuation.send(`${'A'.repeat(size)}\n`);
    expect(isTooLong(inContinuation)).toBe(isClosed);
    // Closed without a word; nothing of it is echoed in either case.
    if (isClosed) expect(reply).toBe('');
    const initial = connect();
    initial.send(`a AUTHENTICATE PLAIN ${'A'.repeat(size)}\n`);
    expect(isTooLong(initial)).toBe(isClosed);
  });

  test.each([
    [clientLimits.pendingBytes - 1, false],
    [clientLimits.pendingBytes, false],
    [clientLimits.pendingBytes + 1, true],
  ])('%i bytes behind a pending login', (size, isClosed) => {
    const client = connect();
    client.send('a LOGIN b c\r\n');
    client.send('x'.repeat(size));
    expect(client.isClosed).toBe(isClosed);
    expect(client.engine.bufferedBytes).toBe(isClosed ? 0 : size);
  });

  test('the third invalid command ends it, whatever came in between', () => {
    const client = connect();
    expect(client.send('a FOO\r\n')).toBe(`a ${BAD}`);
    expect(client.send('b NOOP\r\n')).toBe('b OK NOOP completed.\r\n');
    expect(client.send('\xff\0\x01\r\n')).toBe(`* ${BAD}`);
    expect(client.isClosed).toBe(false);
    expect(client.send('\r\nc NOOP\r\n')).toBe('* BYE Too many invalid IMAP commands.\r\n');
    expect(client.isClosed).toBe(true);
  });
});

test('TLS commands say that there is none', () => {
  expect(connect().send('a STARTTLS\r\n')).toBe("a BAD TLS support isn't enabled.\r\n");
});

test.each([
  ['', '* BYE Disconnected for inactivity.\r\n'],
  ['a AUTHENTICATE PLAIN\r\n', '* BYE Disconnected for inactivity during authentication.\r\n'],
  ['a LOGIN b c\r\n', '* BYE Timeout while finishing login.\r\n'],
])('goodbye after %j', (dialogue, text) => {
  const client = connect();
  client.send(dialogue);
  expect(client.engine.goodbye('inactivity')).toBe(text);
  expect(client.engine.goodbye('shutdown')).toBe('* BYE Server shutting down.\r\n');
  expect(client.engine.goodbye('limit')).toBe('* BYE Connection queue full\r\n');
});
