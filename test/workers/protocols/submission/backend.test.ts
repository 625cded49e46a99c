import { describe, expect, test } from 'vitest';
import { backendLimits, smtpLimits } from '../../../../src/shared/limits.ts';
import type { BackendLogin } from '../../../../src/workers/protocols/engine.ts';
import { NO_HINTS } from '../../../../src/workers/protocols/engine.ts';
import { submissionProtocol } from '../../../../src/workers/protocols/submission/protocol.ts';
import { facts, TestBackend } from '../engine-harness.ts';

function connect(login: Partial<BackendLogin> = {}): TestBackend {
  return new TestBackend(submissionProtocol, login);
}

const hints = { ...NO_HINTS, helo: 'client.test' };
const NAMES = 'ADDR PORT PROTO HELO LOGIN SESSION TTL TIMEOUT FORWARD';
const EHLO = 'EHLO proxy.test\r\n';
const AUTH = 'AUTH PLAIN AGFsaWNlAHBhc3M=\r\n';
const XCLIENT =
  'XCLIENT HELO=client.test PROTO=ESMTP TTL=4 PORT=39557 ADDR=192.0.2.7 SESSION=bygTHfdghZp/AwEB';

function ehloReply(...extensions: string[]): string {
  const lines = ['b.test', ...extensions];
  return lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}\r\n`).join('');
}

/** Greeted, and asked for its extensions. */
function answered(login: Partial<BackendLogin>, ...extensions: string[]): TestBackend {
  const backend = connect(login);
  expect(backend.receive('220 b.test ready\r\n')).toBe(EHLO);
  backend.engine.receive(Buffer.from(ehloReply(...extensions), 'latin1'));
  return backend;
}

function sent(backend: TestBackend): string {
  return backend.sent.splice(0).join('');
}

describe('greeting', () => {
  test('may have several lines', () => {
    const backend = connect();
    expect(backend.receive('220-b.test\r\n220-hello\r\n')).toBe('');
    expect(backend.isGreeted).toBe(false);
    expect(backend.receive('220 there\r\n')).toBe(EHLO);
    expect(backend.isGreeted).toBe(true);
  });

  test.each(['554 go away\r\n', '421 busy\r\n', '250 hi\r\n', '+OK hi\r\n', '\r\n', '\0\xff\n'])(
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
    backend.receive(`220 ${'x'.repeat(size - 6)}\r\n`);
    expect(backend.failure).toEqual(isTooLong ? { kind: 'protocol' } : null);
  });

  test('a TTL that is used up', () => {
    const backend = connect({ facts: { ...facts, ttl: 1 } });
    expect(backend.receive('220 b.test\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });
});

describe('EHLO', () => {
  test('without AUTH nobody is logged in: it may want TLS', () => {
    const backend = answered({}, 'STARTTLS', 'SIZE');
    expect(sent(backend)).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test('nor without the mechanism', () => {
    const backend = answered({ mechanism: 'XOAUTH2' }, 'AUTH PLAIN LOGIN');
    expect(sent(backend)).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
    expect(backend.detail).toBe('AUTH XOAUTH2 not advertised');
  });

  test.each([['auth plain'], ['AUTH=LOGIN PLAIN'], ['AUTH PLAIN', 'AUTH=LOGIN']])(
    '%j offers PLAIN',
    (...extensions) => {
      expect(sent(answered({}, ...extensions))).toBe(AUTH);
    },
  );

  test.each(['500 what?\r\n', '354 go on\r\n', '251 x\r\n', '250-x\r\n251 y\r\n', 'x\r\n'])(
    '%j fails',
    (reply) => {
      const backend = connect();
      backend.receive('220 b.test\r\n');
      expect(backend.receive(reply)).toBe('');
      expect(backend.failure).toEqual({ kind: 'protocol' });
    },
  );

  test('421 at any time is a backend that is going', () => {
    const backend = connect();
    backend.receive('220 b.test\r\n');
    backend.receive('421 4.3.2 bye\r\n');
    expect(backend.failure).toEqual({ kind: 'remote' });
    const atLogin = answered({}, 'AUTH PLAIN');
    atLogin.receive('421 4.3.2 bye\r\n');
    expect(atLogin.failure).toEqual({ kind: 'remote' });
  });
});

describe('identity', () => {
  const login = { sendIdentity: true, hints };

  test('XCLIENT with EHLO behind it, then the login', () => {
    const backend = answered(login, 'AUTH PLAIN', 'PIPELINING', `XCLIENT ${NAMES}`);
    expect(sent(backend)).toBe(`${XCLIENT}\r\n${EHLO}`);
    expect(backend.receive('220 b.test\r\n')).toBe('');
    expect(backend.receive(ehloReply('AUTH PLAIN', `XCLIENT ${NAMES}`))).toBe(AUTH);
  });

  test.each([
    ['proxy_nopipelining', { mayPipeline: false }, ['PIPELINING']],
    ['a backend without PIPELINING', {}, []],
  ])('%s: every step waits', (_name, changed, extensions) => {
    const backend = answered(
      { ...login, ...changed },
      ...['AUTH PLAIN', ...extensions, `XCLIENT ${NAMES}`],
    );
    expect(sent(backend)).toBe(`${XCLIENT}\r\n`);
    expect(backend.receive('220 b.test\r\n')).toBe(EHLO);
    expect(backend.receive(ehloReply('AUTH PLAIN'))).toBe(AUTH);
  });

  test.each([true, false])('too long for one command, pipelining: %s', (mayPipeline) => {
    const forward = [['class', 'v'.repeat(400)]] as const;
    const backend = answered(
      { ...login, forward, mayPipeline },
      ...['AUTH PLAIN', 'PIPELINING', `XCLIENT ${NAMES}`],
    );
    const first = sent(backend);
    expect(first.startsWith(`${XCLIENT}\r\n`)).toBe(true);
    expect(first.endsWith(EHLO)).toBe(mayPipeline);
    const second = backend.receive('220 b.test\r\n');
    expect(first + second).toMatch(/\r\nXCLIENT FORWARD=\S+\r\n/);
    expect(backend.receive('220 b.test\r\n')).toBe(mayPipeline ? '' : EHLO);
    expect(backend.receive(ehloReply('AUTH PLAIN'))).toBe(AUTH);
  });

  test('what was announced before XCLIENT holds no longer', () => {
    const backend = answered(login, 'AUTH PLAIN', `XCLIENT ${NAMES}`);
    backend.receive('220 b.test\r\n');
    expect(backend.receive(ehloReply('STARTTLS'))).not.toContain('AUTH');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test('a refused XCLIENT is a failure of the backend, and no password follows', () => {
    const backend = answered(login, 'AUTH PLAIN', 'PIPELINING', `XCLIENT ${NAMES}`);
    backend.receive(`550 5.7.14 no\r\n${ehloReply('AUTH PLAIN')}`);
    expect(sent(backend)).not.toContain('AUTH');
    expect(backend.failure).toEqual({ kind: 'remote' });
  });

  test('a backend without XCLIENT learns at least the client’s name', () => {
    const backend = answered(login, 'AUTH PLAIN');
    expect(sent(backend)).toBe('EHLO client.test\r\n');
    expect(backend.receive(ehloReply('AUTH PLAIN'))).toBe(AUTH);
    expect(sent(answered({ sendIdentity: true }, 'AUTH PLAIN'))).toBe(AUTH);
  });

  test('nor anything, when nothing is to be sent', () => {
    expect(sent(answered({ hints }, 'AUTH PLAIN', `XCLIENT ${NAMES}`))).toBe(AUTH);
    expect(sent(answered({ hints }, 'AUTH PLAIN'))).toBe(AUTH);
    expect(sent(answered(login, 'AUTH PLAIN', 'XCLIENT NAME'))).toBe(AUTH);
  });
});

describe('proxy_noauth', () => {
  const login = { isNoAuth: true, sendIdentity: true, hints, password: '' };

  test('XCLIENT says who is logged in, and the answer is ours', () => {
    const backend = answered(login, 'XCLIENT LOGIN ADDR', 'PIPELINING');
    expect(sent(backend)).toBe(`XCLIENT LOGIN=alice ADDR=192.0.2.7\r\n${EHLO}`);
    expect(backend.receive(`220 b.test\r\n${ehloReply('SIZE')}`)).toBe('');
    expect(backend.acceptance).toEqual({
      accepted: { text: '235 2.7.0 Logged in.', capability: '' },
      rest: null,
    });
  });

  test.each([
    ['LOGIN is not known', {}, ['XCLIENT ADDR', 'PIPELINING', 'AUTH PLAIN']],
    ['there is no XCLIENT', { hints: NO_HINTS }, ['AUTH PLAIN']],
    ['we are not trusted', { sendIdentity: false }, ['XCLIENT LOGIN ADDR', 'AUTH PLAIN']],
  ])('nobody is logged in where %s', (_name, changed, extensions) => {
    const backend = answered({ ...login, ...changed }, ...extensions);
    backend.receive(`220 b.test\r\n${ehloReply('AUTH PLAIN')}`);
    expect(sent(backend)).not.toContain('AUTH');
    expect(backend.acceptance).toBeNull();
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });
});

describe('STARTTLS', () => {
  test('then EHLO again, and only what that says counts', () => {
    const backend = answered(
      { startTls: true, sendIdentity: true, hints },
      ...['STARTTLS', 'AUTH PLAIN', 'PIPELINING', `XCLIENT ${NAMES}`],
    );
    expect(sent(backend)).toBe('STARTTLS\r\n');
    expect(backend.receive('220 2.0.0 go\r\n')).toBe('');
    expect(backend.hasStartedTls).toBe(true);
    backend.engine.tlsStarted();
    expect(sent(backend)).toBe(EHLO);
    // XCLIENT is gone.
    expect(backend.receive(ehloReply('AUTH PLAIN'))).toBe('EHLO client.test\r\n');
    expect(backend.receive(ehloReply('AUTH PLAIN'))).toBe(AUTH);
  });

  test('without it in the list there is no login', () => {
    const backend = answered({ startTls: true }, 'AUTH PLAIN');
    expect(sent(backend)).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test.each(['454 4.7.0 no\r\n', '250 ok\r\n'])('%j is a refusal', (reply) => {
    const backend = answered({ startTls: true }, 'STARTTLS');
    backend.receive(reply);
    expect(backend.failure).toEqual({ kind: 'remote' });
  });

  test('a consent of several lines, with more input behind it', () => {
    const backend = answered({ startTls: true }, 'STARTTLS');
    backend.receive('220-a\r\n220 b\r\n250 x\r\n');
    expect(backend.hasStartedTls).toBe(false);
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });
});

describe('AUTH', () => {
  test('a master user', () => {
    const backend = answered({ master: 'master', password: 'mpass' }, 'AUTH PLAIN');
    const response = Buffer.from('alice\0master\0mpass').toString('base64');
    expect(sent(backend)).toBe(`AUTH PLAIN ${response}\r\n`);
  });

  test.each([
    [0, true],
    [4, false],
  ])('%i characters over the line’s limit it waits for the prompt', (excess, isInitial) => {
    const room = Math.floor((smtpLimits.commandBytes - 'AUTH PLAIN '.length) / 4) * 4;
    const password = 'p'.repeat(((room + excess) / 4) * 3 - '\0alice\0'.length);
    const backend = answered({ password }, 'AUTH PLAIN');
    const command = sent(backend);
    expect(command !== 'AUTH PLAIN\r\n').toBe(isInitial);
    if (isInitial) return;
    expect(backend.receive('334 \r\n').length).toBe(room + excess + 2);
    backend.receive('235 2.7.0 in\r\n');
    expect(backend.acceptance?.accepted.text).toBe('235 2.7.0 in');
  });

  test('nobody is logged in before the password was sent', () => {
    const backend = answered({ password: 'p'.repeat(600) }, 'AUTH PLAIN');
    backend.receive('235 2.7.0 in\r\n');
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });

  test.each([
    ['XOAUTH2', 'user=alice\x01auth=Bearer token\x01\x01', ''],
    ['OAUTHBEARER', 'n,a=alice,\x01auth=Bearer token\x01\x01', 'AQ=='],
  ] as const)('%s: the reason of a refusal is answered', (mechanism, message, answer) => {
    const backend = answered({ mechanism, password: 'token' }, `AUTH PLAIN ${mechanism}`);
    const response = Buffer.from(message, 'latin1').toString('base64');
    expect(sent(backend)).toBe(`AUTH ${mechanism} ${response}\r\n`);
    expect(backend.receive('334 e30=\r\n')).toBe(`${answer}\r\n`);
    backend.receive('535 5.7.8 no\r\n');
    expect(backend.failure).toEqual({ kind: 'auth-reply', line: '535 5.7.8 no' });
  });

  test('LOGIN: each response waits for its prompt', () => {
    const backend = answered({ mechanism: 'LOGIN', password: 'Zq9' }, 'AUTH LOGIN PLAIN');
    expect(sent(backend)).toBe('AUTH LOGIN\r\n');
    expect(backend.receive('334 VXNlcm5hbWU6\r\n')).toBe('YWxpY2U=\r\n');
    expect(backend.receive('334 UGFzc3dvcmQ6\r\n')).toBe('WnE5\r\n');
    backend.receive('535 5.7.8 not WnE5\r\n');
    expect(backend.failure).toEqual({ kind: 'auth-reply', line: '535 5.7.8 not WnE5' });
    expect(backend.detail).not.toContain('WnE5');
  });

  test('LOGIN would log in the master user itself', () => {
    const backend = answered({ mechanism: 'LOGIN', master: 'master' }, 'AUTH LOGIN PLAIN');
    expect(sent(backend)).toBe('');
    expect(backend.failure).toEqual({ kind: 'internal' });
  });

  test('LOGIN: nobody is logged in before the password was sent', () => {
    const backend = answered({ mechanism: 'LOGIN' }, 'AUTH LOGIN');
    backend.receive('334 \r\n235 2.7.0 in\r\n');
    expect(backend.acceptance).toBeNull();
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });

  test('a challenge that makes no sense', () => {
    const backend = answered({}, 'AUTH PLAIN');
    expect(backend.receive('334 \r\n')).toContain('AUTH PLAIN');
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });

  test.each([
    ['454 4.7.0 later', { kind: 'auth-tempfail', line: '454 4.7.0 later' }],
    ['535 no', { kind: 'auth-reply', line: '535 no' }],
    // Dovecot 2.3.19.1 crashes.
    [
      '535-5.7.8 no such user\r\n535 5.7.8 see http://x',
      { kind: 'auth-reply', line: '535-5.7.8 no such user\r\n535 5.7.8 see http://x' },
    ],
    ['535 5.7.8 a\rb\0c', { kind: 'auth-reply', line: '535 5.7.8 abc' }],
    ['354 go on', { kind: 'protocol' }],
    ['what?', { kind: 'protocol' }],
  ])('%j', (answer, failure) => {
    const backend = answered({}, 'AUTH PLAIN');
    backend.receive(`${answer}\r\n`);
    expect(backend.failure).toEqual(failure);
    backend.receive('235 2.7.0 in\r\n');
    expect(backend.endings).toBe(1);
  });

  test('bytes behind the acceptance, which may have several lines, are the client’s', () => {
    const backend = answered({}, 'AUTH PLAIN');
    backend.receive('235-2.7.0 Logged\r\n235 2.7.0 in.\r\n250 early\r\n\xff');
    expect(backend.acceptance).toEqual({
      accepted: { text: '235-2.7.0 Logged\r\n235 2.7.0 in.', capability: '' },
      rest: '250 early\r\n\xff',
    });
  });

  test('the log does not get a password that the backend echoes', () => {
    const backend = answered({ password: 'Zq9' }, 'AUTH PLAIN');
    backend.receive('535-5.7.8 not Zq9\r\n535 5.7.8 nor AGFsaWNlAFpxOQ==\r\n');
    expect(backend.detail).not.toMatch(/Zq9|AGFsaWNlAFpxOQ/);
  });
});
