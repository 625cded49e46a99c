import { describe, expect, test } from 'vitest';
import { backendLimits, imapLimits } from '../../../../src/shared/limits.ts';
import type { BackendLogin } from '../../../../src/workers/protocols/engine.ts';
import { NO_HINTS } from '../../../../src/workers/protocols/engine.ts';
import { imapProtocol } from '../../../../src/workers/protocols/imap/protocol.ts';
import { facts, TestBackend } from '../engine-harness.ts';

const BANNER = '* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] hi\r\n';

function connect(login: Partial<BackendLogin> = {}): TestBackend {
  return new TestBackend(imapProtocol, login);
}

function banner(capability: string): string {
  return `* OK [CAPABILITY IMAP4rev1 ${capability}] hi\r\n`;
}

describe('greeting', () => {
  test.each([
    '* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n',
    '* BYE busy\r\n',
    '* NO hi\r\n',
    '+OK POP3 here\r\n',
    '\r\n',
    '\x16\x03\x01\0\xa5\n',
  ])('%j is a protocol failure, and nothing is sent', (line) => {
    const backend = connect();
    expect(backend.receive(line)).toBe('');
    expect(backend.failure).toEqual({ kind: 'protocol' });
    expect(backend.isGreeted).toBe(false);
    expect(backend.detail).toMatch(/^Invalid banner: [ -~]*$/);
  });

  test('half a line is none', () => {
    const backend = connect();
    expect(backend.receive('* OK [CAPABILITY IMAP4rev1] hi\r')).toBe('');
    expect(backend.engine.state).toBe('banner');
    expect(backend.receive('\n')).toBe('L LOGIN "alice" "pass"\r\n');
    expect(backend.isGreeted).toBe(true);
  });

  test.each([
    [backendLimits.lineBytes - 1, false],
    [backendLimits.lineBytes, false],
    [backendLimits.lineBytes + 1, true],
  ])('a line of %i bytes', (size, isTooLong) => {
    const line = `* OK [CAPABILITY IMAP4rev1] ${'x'.repeat(size)}`.slice(0, size - 2);
    const backend = connect();
    backend.receive(`${line}\r\n`);
    expect(backend.failure).toEqual(isTooLong ? { kind: 'protocol' } : null);
    expect(backend.isGreeted).toBe(!isTooLong);
  });

  test('LOGINDISABLED is a matter of configuration', () => {
    const backend = connect();
    expect(backend.receive(banner('LOGINDISABLED'))).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test.each([
    [2, true],
    [1, false],
    [0, false],
  ])('a TTL of %i', (ttl, isSent) => {
    const backend = connect({ facts: { ...facts, ttl }, sendIdentity: true });
    expect(backend.receive(BANNER).includes('"x-proxy-ttl" "1"')).toBe(isSent);
    expect(backend.failure).toEqual(isSent ? null : { kind: 'remote-config' });
  });
});

describe('identity', () => {
  const forward = [
    ['class', 'gold'],
    ['odd', 'a"b\xe9'],
  ] as const;
  const own =
    '"x-session-id" "bygTHfdghZp/AwEB" "x-originating-ip" "192.0.2.7" "x-originating-port" "39557" ' +
    '"x-connected-ip" "192.0.2.1" "x-connected-port" "143" "x-proxy-ttl" "4"';

  test('the client’s own pairs first, then ours; what needs a waiting literal is left out', () => {
    const backend = connect({
      sendIdentity: true,
      forward,
      hints: { ...NO_HINTS, retainedId: '"name" "mutt"' },
    });
    expect(backend.receive(BANNER)).toBe(
      `I ID ("name" "mutt" ${own} "x-forward-class" "gold")\r\nL LOGIN "alice" "pass"\r\n`,
    );
  });

  test('with LITERAL+ nothing is left out', () => {
    expect(connect({ sendIdentity: true, forward }).receive(banner('ID LITERAL+'))).toBe(
      `I ID (${own} "x-forward-class" "gold" "x-forward-odd" {4+}\r\na"b\xe9)\r\nL LOGIN "alice" "pass"\r\n`,
    );
  });

  test('only to a backend that has ID, and only when it is to be sent', () => {
    expect(connect({ sendIdentity: true }).receive(banner('IDLE'))).not.toContain('I ID');
    expect(connect().receive(BANNER)).not.toContain('I ID');
  });
});

describe('literals', () => {
  const password = 'p\xe9ss';

  test.each([
    ['LITERAL+', 'L LOGIN "alice" {4+}\r\np\xe9ss\r\n'],
    ['LITERAL-', 'L LOGIN "alice" {4+}\r\np\xe9ss\r\n'],
    ['X', 'L LOGIN "alice" {4}\r\n'],
  ])('with %s', (capability, sent) => {
    expect(connect({ password }).receive(banner(capability))).toBe(sent);
  });

  test.each([
    [imapLimits.literalMinusBytes - 1, true],
    [imapLimits.literalMinusBytes, true],
    [imapLimits.literalMinusBytes + 1, false],
  ])('%i bytes under LITERAL-', (size, isPipelined) => {
    const sent = connect({ password: '\xff'.repeat(size) }).receive(banner('LITERAL-'));
    expect(sent.includes('\xff')).toBe(isPipelined);
    expect(sent.includes(`{${size}}`)).toBe(!isPipelined);
  });

  test('each waits for its prompt', () => {
    const backend = connect({ user: '\xe4', password });
    expect(backend.receive(banner('X'))).toBe('L LOGIN {1}\r\n');
    expect(backend.engine.state).toBe('literal');
    expect(backend.receive('* OK still here\r\n')).toBe('');
    expect(backend.receive('+ go on\r\n')).toBe('\xe4 {4}\r\n');
    expect(backend.receive('+\r\n')).toBe('p\xe9ss\r\n');
    expect(backend.engine.state).toBe('login');
    // A late prompt does not matter.
    expect(backend.receive('+ OK\r\nL OK in\r\n')).toBe('');
    expect(backend.acceptance?.accepted.text).toBe('in');
  });

  test('a refusal in place of a prompt is one, an acceptance is not', () => {
    const refused = connect({ password });
    refused.receive(`${banner('X')}L NO [LIMIT] too many\r\n`);
    expect(refused.failure).toEqual({ kind: 'auth-reply', line: 'NO [LIMIT] too many' });
    const accepted = connect({ password });
    accepted.receive(`${banner('X')}L OK in\r\n`);
    expect(accepted.failure).toEqual({ kind: 'protocol' });
    expect(accepted.acceptance).toBeNull();
  });
});

describe('without a list in the greeting', () => {
  test('the password waits for it', () => {
    const backend = connect();
    expect(backend.receive('* OK hi\r\n')).toBe('C CAPABILITY\r\n');
    expect(backend.receive('* CAPABILITY IMAP4rev1 X\r\n')).toBe('');
    expect(backend.receive('C OK done\r\n')).toBe('L LOGIN "alice" "pass"\r\n');
    backend.receive('L OK in\r\n');
    expect(backend.acceptance?.accepted).toEqual({ text: 'in', capability: 'IMAP4rev1 X' });
  });

  test('LOGINDISABLED in it is respected', () => {
    const backend = connect();
    backend.receive('* OK hi\r\n');
    expect(backend.receive('* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nC OK done\r\n')).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
  });

  test('a backend that has no CAPABILITY is logged in to all the same', () => {
    const backend = connect();
    backend.receive('* OK hi\r\n');
    expect(backend.receive('C BAD what\r\n')).toBe('L LOGIN "alice" "pass"\r\n');
  });

  test.each(['L OK in\r\n', 'L NO [LIMIT] x\r\n'])('%j before the login is no answer', (line) => {
    const backend = connect();
    backend.receive(`* OK hi\r\n${line}`);
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });
});

describe('SASL', () => {
  const response = 'AGFsaWNlAHBhc3M=';

  test('with SASL-IR in one line', () => {
    expect(connect({ mechanism: 'PLAIN' }).receive(BANNER)).toBe(
      `L AUTHENTICATE PLAIN ${response}\r\n`,
    );
  });

  test('without SASL-IR after the prompt', () => {
    const backend = connect({ mechanism: 'PLAIN' });
    expect(backend.receive(banner('AUTH=PLAIN'))).toBe('L AUTHENTICATE PLAIN\r\n');
    expect(backend.engine.state).toBe('auth-continue');
    expect(backend.receive('+ \r\n')).toBe(`${response}\r\n`);
    backend.receive('L OK in\r\n');
    expect(backend.acceptance?.accepted.text).toBe('in');
  });

  test('a second prompt is a protocol failure', () => {
    const backend = connect({ mechanism: 'PLAIN' });
    backend.receive(`${BANNER}+ more\r\n`);
    expect(backend.failure).toEqual({ kind: 'protocol' });
  });

  test('without PLAIN it is a matter of configuration; LOGINDISABLED does not matter', () => {
    const backend = connect({ mechanism: 'PLAIN' });
    expect(backend.receive(banner('SASL-IR AUTH=LOGIN'))).toBe('');
    expect(backend.failure).toEqual({ kind: 'remote-config' });
    expect(
      connect({ mechanism: 'PLAIN' }).receive(banner('SASL-IR AUTH=PLAIN LOGINDISABLED')),
    ).toContain(response);
  });
});

describe('answers', () => {
  test.each([
    ['NO [AUTHENTICATIONFAILED] wrong', { kind: 'auth' }],
    ['NO unknown user alice', { kind: 'auth' }],
    ['BAD [X] what', { kind: 'auth' }],
    ['NO [UNAVAILABLE] later', { kind: 'auth-tempfail', line: 'NO [UNAVAILABLE] later' }],
    ['no [unavailable] later', { kind: 'auth-tempfail', line: 'no [unavailable] later' }],
    ['NO [LIMIT] too\rmany\0', { kind: 'auth-reply', line: 'NO [LIMIT] toomany' }],
    ['NO [EXPIRED] x', { kind: 'auth-reply', line: 'NO [EXPIRED] x' }],
  ])('%j', (answer, failure) => {
    const backend = connect();
    backend.receive(`${BANNER}L ${answer}\r\n`);
    expect(backend.failure).toEqual(failure);
    expect(backend.receive('L OK in\r\n')).toBe('');
    expect(backend.endings).toBe(1);
  });

  test('bytes behind the acceptance are handed on unchanged', () => {
    const backend = connect();
    backend.receive(`${BANNER}* ID NIL\r\nL OK in\r\n* 1 EXISTS\r\n\0\xff`);
    expect(backend.acceptance).toEqual({
      accepted: { text: 'in', capability: 'IMAP4rev1 SASL-IR ID AUTH=PLAIN' },
      rest: '* 1 EXISTS\r\n\0\xff',
    });
  });

  test('of the lines before it, only OK, NO and BAD are forwarded', () => {
    const backend = connect();
    backend.receive(
      `${BANNER}* OK [ALERT] a\r\n* 1 EXISTS\r\n* BYE x\r\n* NO b\r\n* BAD c\r\n* ID NIL\r\n? odd\r\n`,
    );
    expect(backend.forwarded).toBe('* OK [ALERT] a\r\n* NO b\r\n* BAD c\r\n');
  });

  test.each([
    [backendLimits.linesBeforeLogin - 1, false],
    [backendLimits.linesBeforeLogin, false],
    [backendLimits.linesBeforeLogin + 1, true],
  ])('after %i lines', (count, isTooMany) => {
    const backend = connect();
    backend.receive(`${BANNER}${'* 1 EXISTS\r\n'.repeat(count)}L OK in\r\n`);
    expect(backend.failure).toEqual(isTooMany ? { kind: 'protocol' } : null);
    expect(backend.acceptance === null).toBe(isTooMany);
  });

  test('the log does not get a password that the backend echoes', () => {
    const backend = connect({ password: 'p"q' });
    backend.receive(`${BANNER}L BAD LOGIN "alice" "p\\"q" p"q AGFsaWNlAHAicQ==\r\n`);
    expect(backend.detail).toBe('BAD LOGIN "alice" "<secret>" <secret> <secret>');
  });

  test.each([0, 1])('the log gets %i characters over its limit cut off', (excess) => {
    const backend = connect();
    backend.receive(`${BANNER}L NO ${'x'.repeat(backendLimits.loggedChars - 3 + excess)}\r\n`);
    expect(backend.detail.length).toBe(backendLimits.loggedChars);
  });
});

test('a client that asked CAPABILITY makes us ask, in the same write', () => {
  expect(connect({ hints: { ...NO_HINTS, askedCapability: true } }).receive(BANNER)).toBe(
    'C CAPABILITY\r\nL LOGIN "alice" "pass"\r\n',
  );
});
