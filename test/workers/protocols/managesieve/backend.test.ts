import { describe, expect, test } from 'vitest';
import { backendLimits } from '../../../../src/shared/limits.ts';
import type { BackendLogin } from '../../../../src/workers/protocols/engine.ts';
import { managesieveProtocol } from '../../../../src/workers/protocols/managesieve/protocol.ts';
import { facts, TestBackend } from '../engine-harness.ts';

function connect(login: Partial<BackendLogin> = {}): TestBackend {
  return new TestBackend(managesieveProtocol, login);
}

/** Connected, and AUTHENTICATE sent. */
function authenticating(login: Partial<BackendLogin> = {}): TestBackend {
  const backend = connect(login);
  expect(backend.receive(GREETING)).toMatch(/^AUTHENTICATE /);
  return backend;
}

const GREETING =
  '"IMPLEMENTATION" "x"\r\n"SIEVE" "fileinto"\r\n"SASL" "PLAIN XOAUTH2 OAUTHBEARER"\r\n' +
  '"STARTTLS"\r\n"VERSION" "1.0"\r\n"XCLIENT"\r\nOK "hi"\r\n';
const XCLIENT = 'XCLIENT ADDR=192.0.2.7 PORT=39557 SESSION=bygTHfdghZp/AwEB TTL=4\r\n';

function encode(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

const AUTHENTICATE = `AUTHENTICATE "PLAIN" "${encode('alice\0alice\0pass')}"\r\n`;

describe('greeting', () => {
  test.each([
    'BYE "busy"\r\n',
    'NO "no"\r\n',
    '* OK hi\r\n',
    '+OK hi\r\n',
    '\r\n',
    '"SASL" (PLAIN)\r\n',
    '\0\xff\n',
  ])('%j is a protocol failure, and nothing is sent', (line) => {
    const backend = connect();
    expect(backend.receive(line + GREETING)).toBe('');
    expect(backend.failure).toEqual({ kind: 'protocol' });
    expect(backend.isGreeted).toBe(false);
    expect(backend.detail).toMatch(/^Invalid banner: [ -~]*$/);
  });

  test('nothing is sent before the capabilities are whole', () => {
    const backend = connect();
    expect(backend.receive(GREETING.slice(0, -1))).toBe('');
    expect(backend.engine.state).toBe('banner');
    expect(backend.receive('\n')).toBe(AUTHENTICATE);
    expect(backend.isGreeted).toBe(true);
  });

  test('strings may be literals, and words in small letters', () => {
    const backend = connect();
    expect(backend.receive('{4}\r\nsasl {5}\r\nplain\r\nok (X {2}\r\nhi) {2}\r\nhi\r\n')).toBe(
      AUTHENTICATE,
    );
  });

  test.each(['"SASL" ""\r\n', '"SASL"\r\n', '"SASL" "LOGIN"\r\n', ''])(
    '%j does not offer the mechanism: a matter of configuration',
    (sasl) => {
      const backend = connect();
      expect(backend.receive(`${sasl}OK\r\n`)).toBe('');
      expect(backend.failure).toEqual({ kind: 'remote-config' });
    },
  );

  test('a TTL that is used up', () => {
    const backend = connect({ facts: { ...facts, ttl: 1 } });
    expect(backend.receive(GREETING)).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });
});

describe('limits', () => {
  test.each([
    [backendLimits.lineBytes - 1, false],
    [backendLimits.lineBytes, false],
    [backendLimits.lineBytes + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const backend = connect();
    backend.receive(`"SIEVE" "${'x'.repeat(size - 12)}"\r\n`);
    expect(backend.failure).toEqual(isTooLong ? { kind: 'protocol' } : null);
  });

  test.each([
    [backendLimits.linesBeforeLogin - 1, false],
    [backendLimits.linesBeforeLogin, false],
    [backendLimits.linesBeforeLogin + 1, true],
  ])('%i lines', (count, isTooMany) => {
    const backend = connect();
    backend.receive(`${'"X"\r\n'.repeat(count - 2)}"SASL" "PLAIN"\r\nOK\r\n`);
    expect(backend.failure).toEqual(isTooMany ? { kind: 'protocol' } : null);
  });
});

describe('STARTTLS', () => {
  test('the capabilities behind the handshake are waited for, and are the ones that count', () => {
    const backend = connect({ startTls: true, sendIdentity: true });
    expect(backend.receive(GREETING)).toBe('STARTTLS\r\n');
    expect(backend.receive('OK "begin"\r\n')).toBe('');
    expect(backend.hasStartedTls).toBe(true);
    backend.engine.tlsStarted();
    expect(backend.sent).toEqual([]);
    expect(backend.receive('"SASL" "PLAIN"\r\n')).toBe('');
    // No XCLIENT this time.
    expect(backend.receive('OK "TLS"\r\n')).toBe(AUTHENTICATE);
  });

  test('mechanisms of the first list do not count', () => {
    const backend = connect({ startTls: true });
    backend.receive(GREETING);
    backend.receive('OK\r\n');
    backend.engine.tlsStarted();
    expect(backend.receive('OK\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test.each(['"SASL" "PLAIN"\r\nOK\r\n', 'x', 'OK "forged"\r\n'])(
    '%j in the clear behind the consent is not believed',
    (injected) => {
      const backend = connect({ startTls: true });
      backend.receive(GREETING);
      expect(backend.receive(`OK "begin"\r\n${injected}`)).toBe('');
      expect(backend.hasStartedTls).toBe(false);
      expect(backend.failure).toEqual({ kind: 'protocol' });
    },
  );

  test('not offered, or refused: no login in the clear', () => {
    const without = connect({ startTls: true });
    expect(without.receive('"SASL" "PLAIN"\r\nOK "hi"\r\n')).toBe('');
    expect(without.failure).toEqual({ kind: 'remote-config' });
    const refusing = connect({ startTls: true });
    refusing.receive(GREETING);
    expect(refusing.receive('NO "not now"\r\n')).toBe('');
    expect(refusing.failure).toEqual({ kind: 'remote' });
    const failing = connect({ startTls: true });
    failing.receive(GREETING);
    failing.receive('OK\r\n');
    failing.engine.tlsStarted();
    expect(failing.receive('NO "failed"\r\n')).toBe('');
    expect(failing.failure).toEqual({ kind: 'remote' });
  });
});

describe('identity', () => {
  test('only to a backend that asks for it, and only when it is to be sent', () => {
    const backend = connect({ sendIdentity: true });
    expect(backend.receive(GREETING)).toBe(XCLIENT);
    expect(backend.engine.state).toBe('xclient');
    expect(backend.receive('OK "Updated"\r\n')).toBe(AUTHENTICATE);
    const unasked = connect({ sendIdentity: true });
    expect(unasked.receive('"SASL" "PLAIN"\r\nOK\r\n')).toBe(AUTHENTICATE);
    expect(connect().receive(GREETING)).toBe(AUTHENTICATE);
  });

  test('forwarded fields, as recorded', () => {
    const forward = [
      ['class', 'gold'],
      ['quota', '5GB'],
    ] as const;
    expect(connect({ sendIdentity: true, forward }).receive(GREETING)).toBe(
      XCLIENT.replace('\r\n', ' FORWARD=Y2xhc3M9Z29sZAlxdW90YT01R0I=\r\n'),
    );
  });

  test('a refused XCLIENT is a failure of the backend, and no password follows', () => {
    const backend = connect({ sendIdentity: true });
    backend.receive(GREETING);
    expect(backend.receive('NO "no"\r\nOK\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote' });
  });
});

describe('SASL', () => {
  test('a master user: authorisation id and authentication id', () => {
    const response = encode('alice\0proxymaster\0masterpass');
    expect(connect({ master: 'proxymaster', password: 'masterpass' }).receive(GREETING)).toBe(
      `AUTHENTICATE "PLAIN" "${response}"\r\n`,
    );
  });

  test('a response that is too long for a quoted string is a literal', () => {
    const password = 'p'.repeat(800);
    const response = encode(`alice\0alice\0${password}`);
    expect(connect({ password }).receive(GREETING)).toBe(
      `AUTHENTICATE "PLAIN" {${response.length}+}\r\n${response}\r\n`,
    );
  });

  test.each([
    ['XOAUTH2', 'user=alice\x01auth=Bearer token\x01\x01', '""'],
    ['OAUTHBEARER', 'n,a=alice,\x01auth=Bearer token\x01\x01', '"AQ=="'],
  ] as const)(
    '%s: the reason of a refusal is answered, and the refusal counts',
    (mechanism, message, answer) => {
      const login = { mechanism, password: 'token' };
      for (const challenge of [`"${encode('{}')}"`, `{4}\r\n${encode('{}')}`]) {
        const backend = connect(login);
        expect(backend.receive(GREETING)).toBe(
          `AUTHENTICATE "${mechanism}" "${encode(message)}"\r\n`,
        );
        expect(backend.receive(`${challenge}\r\n`)).toBe(`${answer}\r\n`);
        backend.receive('NO "no"\r\n');
        expect(backend.failure).toEqual({ kind: 'auth-reply', line: 'NO "no"' });
      }
    },
  );

  test('a challenge that makes no sense', () => {
    const plain = authenticating();
    expect(plain.receive('""\r\n')).toBe('');
    expect(plain.failure).toEqual({ kind: 'protocol' });
    const twice = authenticating({ mechanism: 'XOAUTH2' });
    twice.receive('"e30="\r\n"e30="\r\n');
    expect(twice.failure).toEqual({ kind: 'protocol' });
  });
});

describe('acceptance', () => {
  test('the line is passed on, and what is behind it', () => {
    const backend = authenticating();
    backend.receive('OK "Logged in."\r\n"SIEVE" {3}\r\n\xff');
    expect(backend.acceptance).toEqual({
      accepted: { text: 'OK "Logged in."', capability: '' },
      rest: '"SIEVE" {3}\r\n\xff',
    });
  });

  test.each([
    ['ok', 'OK'],
    ['OK (WARNINGS) {2}\r\nhi', 'OK (WARNINGS) "hi"'],
    ['OK (REFERRAL "sieve://b2") "elsewhere"', 'OK "elsewhere"'],
    ['OK (SASL "cnNwYXV0aA==") "in"', 'OK "in"'],
    ['OK {3}\r\na\r\n', 'OK "Logged in."'],
  ])('%j', (line, text) => {
    const backend = authenticating();
    backend.receive(`${line}\r\n`);
    expect(backend.acceptance?.accepted.text).toBe(text);
  });
});

describe('refusals', () => {
  test.each([
    ['NO "Authentication failed."', { kind: 'auth-reply', line: 'NO "Authentication failed."' }],
    ['NO (TRYLATER) "later"', { kind: 'auth-tempfail', line: 'NO (TRYLATER) "later"' }],
    ['no (trylater)', { kind: 'auth-tempfail', line: 'NO (trylater)' }],
    // Lost by Dovecot 2.3.
    ['NO (QUOTA) {5}\r\nhello', { kind: 'auth-reply', line: 'NO (QUOTA) "hello"' }],
    ['NO {4}\r\na\r\nb', { kind: 'auth-reply', line: 'NO {4}\r\na\r\nb' }],
    ['NO', { kind: 'auth' }],
    ['NO what', { kind: 'auth' }],
    ['NO (AUTH-TOO-WEAK', { kind: 'auth' }],
    ['NO (REFERRAL "sieve://b2/") "there"', { kind: 'internal' }],
    ['BYE (REFERRAL "sieve://b2/") "there"', { kind: 'internal' }],
    ['BYE "shutting down"', { kind: 'protocol' }],
    ['BYE (TRYLATER) "shutting down"', { kind: 'protocol' }],
    ['NOT', { kind: 'protocol' }],
    ['OK logged in', { kind: 'protocol' }],
    ['* OK', { kind: 'protocol' }],
  ])('%j', (answer, failure) => {
    const backend = authenticating();
    expect(backend.receive(`${answer}\r\nOK\r\n`)).toBe('');
    expect(backend.failure).toEqual(failure);
    expect(backend.endings).toBe(1);
  });

  test('a referral in the greeting', () => {
    const backend = connect();
    backend.receive('BYE (REFERRAL "sieve://b2/")\r\n');
    expect(backend.failure).toEqual({ kind: 'internal' });
  });

  test('the log does not get what was sent', () => {
    const backend = authenticating({ password: 'Zq9' });
    backend.receive(`NO "Zq9 ${encode('alice\0alice\0Zq9')}"\r\n`);
    expect(backend.detail).toBe('NO "<secret> <secret>"');
  });
});
