import { describe, expect, test } from 'vitest';
import { backendLimits, pop3Limits } from '../../../../src/shared/limits.ts';
import type { BackendLogin } from '../../../../src/workers/protocols/engine.ts';
import { pop3Protocol } from '../../../../src/workers/protocols/pop3/protocol.ts';
import { facts, TestBackend } from '../engine-harness.ts';

function connect(login: Partial<BackendLogin> = {}): TestBackend {
  return new TestBackend(pop3Protocol, login);
}

const XCLIENT = 'XCLIENT ADDR=192.0.2.7 PORT=39557 SESSION=bygTHfdghZp/AwEB TTL=4';

describe('greeting', () => {
  test.each(['-ERR busy\r\n', '* OK hi\r\n', '\r\n', '\0\xff\n'])(
    '%j is a protocol failure, and nothing is sent',
    (line) => {
      const backend = connect();
      expect(backend.receive(line)).toBe('');
      expect(backend.failure).toEqual({ kind: 'protocol' });
    },
  );

  test.each([
    [backendLimits.lineBytes - 1, false],
    [backendLimits.lineBytes, false],
    [backendLimits.lineBytes + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const backend = connect();
    backend.receive(`+OK ${'x'.repeat(size - 6)}\r\n`);
    expect(backend.failure).toEqual(isTooLong ? { kind: 'protocol' } : null);
  });

  test('a TTL that is used up', () => {
    const backend = connect({ facts: { ...facts, ttl: 1 } });
    expect(backend.receive('+OK hi\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });
});

describe('identity', () => {
  test('only to a backend that asks for it, and only when it is to be sent', () => {
    const user = 'USER alice\r\n';
    expect(connect({ sendIdentity: true }).receive('+OK [XCLIENT] hi\r\n')).toBe(
      `${XCLIENT}\r\n${user}`,
    );
    expect(connect({ sendIdentity: true }).receive('+OK hi\r\n')).toBe(user);
    expect(connect().receive('+OK [XCLIENT] hi\r\n')).toBe(user);
  });

  test('without a port that a balancer did not know', () => {
    const backend = connect({ sendIdentity: true, facts: { ...facts, remotePort: 0 } });
    expect(backend.receive('+OK [XCLIENT] hi\r\n')).toContain('ADDR=192.0.2.7 SESSION=');
  });

  test('forwarded fields, as recorded', () => {
    const forward = [
      ['class', 'gold'],
      ['quota', '5GB'],
    ] as const;
    expect(connect({ sendIdentity: true, forward }).receive('+OK [XCLIENT] hi\r\n')).toBe(
      `${XCLIENT} FORWARD=Y2xhc3M9Z29sZAlxdW90YT01R0I=\r\nUSER alice\r\n`,
    );
  });

  test.each([
    [0, true],
    [4, false],
  ])('forwarded fields with %i characters over the limit', (excess, isSent) => {
    const room = pop3Limits.xclientLineBytes - `${XCLIENT} FORWARD=\r\n`.length;
    const bytes = Math.floor(room / 4) * 3 + (excess / 4) * 3;
    const forward = [['k', 'v'.repeat(bytes - 2)]] as const;
    const sent = connect({ sendIdentity: true, forward }).receive('+OK [XCLIENT] hi\r\n');
    expect(sent.includes('FORWARD=')).toBe(isSent);
    expect(sent.startsWith(XCLIENT)).toBe(true);
  });

  test('a refused XCLIENT is a failure of the backend, and no password follows', () => {
    const backend = connect({ sendIdentity: true });
    backend.receive('+OK [XCLIENT] hi\r\n');
    expect(backend.receive('-ERR Invalid parameters\r\n+OK\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote' });
  });
});

test('PASS waits for the answer to USER', () => {
  const backend = connect({ sendIdentity: true, password: ' a b ' });
  backend.receive('+OK [XCLIENT] hi\r\n');
  expect(backend.receive('+OK Updated\r\n')).toBe('');
  expect(backend.engine.state).toBe('user');
  expect(backend.receive('+OK\r\n')).toBe('PASS  a b \r\n');
  backend.receive('+OK Logged in.\r\n+OK 0 0\r\n\xff');
  expect(backend.acceptance).toEqual({
    accepted: { text: '+OK Logged in.', capability: '' },
    rest: '+OK 0 0\r\n\xff',
  });
});

describe('SASL', () => {
  const response = 'AGFsaWNlAHBhc3M=';

  test('after XCLIENT was accepted', () => {
    const backend = connect({ mechanism: 'PLAIN', sendIdentity: true });
    expect(backend.receive('+OK [XCLIENT] hi\r\n')).toBe(`${XCLIENT}\r\n`);
    expect(backend.receive('+OK Updated\r\n')).toBe(`AUTH PLAIN ${response}\r\n`);
    backend.receive('+OK Logged in.\r\n');
    expect(backend.acceptance?.accepted.text).toBe('+OK Logged in.');
  });

  test.each([
    [0, true],
    [4, false],
  ])('%i characters over the line’s limit it waits for the prompt', (excess, isInitial) => {
    const base64 = Math.floor((pop3Limits.authLineBytes - 'AUTH PLAIN \r\n'.length) / 4) * 4;
    const password = 'p'.repeat(((base64 + excess) / 4) * 3 - '\0alice\0'.length);
    const backend = connect({ mechanism: 'PLAIN', password });
    const sent = backend.receive('+OK hi\r\n');
    expect(sent !== 'AUTH PLAIN\r\n').toBe(isInitial);
    if (isInitial) return;
    expect(backend.receive('+ \r\n').length).toBe(base64 + excess + 2);
    expect(backend.receive('+ more\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });
});

describe('answers', () => {
  test.each([
    ['-ERR [SYS/TEMP] later', { kind: 'auth-tempfail', line: '-ERR [SYS/TEMP] later' }],
    ['-ERR [IN-USE] lo\rcked\0', { kind: 'auth-reply', line: '-ERR [IN-USE] locked' }],
    ['-ERR [AUTH] no', { kind: 'auth-reply', line: '-ERR [AUTH] no' }],
    ['-ERR unknown user alice', { kind: 'auth' }],
    // A proxy behind us, of its own configuration.
    ['-ERR Account is temporarily unavailable.', { kind: 'remote-config' }],
    ['what?', { kind: 'auth' }],
  ])('%j', (answer, failure) => {
    const toPass = connect();
    toPass.receive(`+OK hi\r\n+OK\r\n${answer}\r\n`);
    expect(toPass.failure).toEqual(failure);
    const toUser = connect();
    toUser.receive(`+OK hi\r\n${answer}\r\n`);
    expect(toUser.failure).toEqual(failure);
    expect(toUser.sent.join('')).not.toContain('PASS');
    toUser.receive('+OK\r\n+OK\r\n');
    expect(toUser.endings).toBe(1);
  });

  test('the log does not get a password that the backend echoes', () => {
    const backend = connect({ password: 'Zq9' });
    backend.receive('+OK hi\r\n+OK\r\n-ERR PASS Zq9 is wrong\r\n');
    expect(backend.detail).toBe('-ERR PASS <secret> is wrong');
  });
});
