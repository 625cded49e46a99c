import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { smtpLimits } from '../../../src/shared/limits.ts';
import {
  formatMailbox,
  isSmtpDomain,
  parseEnvelope,
  parseMailbox,
  parseSmtpCommand,
} from '../../../src/shared/wire/smtp-command.ts';

describe('command lines', () => {
  test.each([
    ['quit', 'QUIT', ''],
    ['Ehlo client.test  \t', 'EHLO', 'client.test'],
    ['MAIL FROM:<a@b> SIZE=1', 'MAIL', 'FROM:<a@b> SIZE=1'],
    ['NOOP ', 'NOOP', ''],
    ['VRFY \u00c3\u00a9', 'VRFY', '\u00c3\u00a9'],
    ['VRFY x\xc2\xa0', 'VRFY', 'x\xc2\xa0'],
    ['VRFY a\tb', 'VRFY', 'a\tb'],
    ['x'.repeat(smtpLimits.verbChars), 'X'.repeat(smtpLimits.verbChars), ''],
  ])('%j', (line, verb, argument) => {
    expect(parseSmtpCommand(line)).toEqual({ verb, argument });
  });

  test.each([
    '',
    ' ',
    ' QUIT',
    'FOO1',
    'QUIT\t',
    'EHLO  x',
    'X-Y z',
    '*',
    '235 2.0.0',
    'EHLO a\0b',
    'EHLO a\rb',
    'EHLO \x1b[0m',
    'EHLO \x7f',
    'VRFY \xe9',
    'VRFY \xc3',
    'x'.repeat(smtpLimits.verbChars + 1),
  ])('%j is none', (line) => {
    expect(parseSmtpCommand(line)).toBeNull();
  });
});

describe('MAIL and RCPT', () => {
  test.each([
    ['FROM:<>', null, []],
    ['from:<a.b@example.org>', { local: 'a.b', domain: 'example.org' }, []],
    ['FROM:<a@[192.0.2.1]>', { local: 'a', domain: '[192.0.2.1]' }, []],
    ['FROM:<a@[IPv6:2001:db8::1]>', { local: 'a', domain: '[IPv6:2001:db8::1]' }, []],
    ['FROM:<"a > \\"b\\\\"@c>', { local: 'a > "b\\', domain: 'c' }, []],
    ['FROM:<"a@b"@c>', { local: 'a@b', domain: 'c' }, []],
    ['FROM:<@x.test,@[192.0.2.1]:a@b>', { local: 'a', domain: 'b' }, []],
    ['FROM:<..a..@b>', { local: '..a..', domain: 'b' }, []],
    [
      'FROM:<a@b> size=10 X body=8BITMIME',
      { local: 'a', domain: 'b' },
      [
        { keyword: 'SIZE', value: '10' },
        { keyword: 'X', value: null },
        { keyword: 'BODY', value: '8BITMIME' },
      ],
    ],
  ])('%j', (argument, address, parameters) => {
    expect(parseEnvelope(argument, 'FROM')).toEqual({ address, parameters });
  });

  test.each([
    ['', 'syntax'],
    ['<a@b>', 'syntax'],
    ['TO:<a@b>', 'syntax'],
    ['FROM <a@b>', 'syntax'],
    ['FROM:a@b', 'path'],
    ['FROM: <a@b>', 'path'],
    ['FROM:<a@b', 'path'],
    ['FROM:<a@b>x', 'path'],
    ['FROM:<a b@c>', 'path'],
    ['FROM:<a@>', 'path'],
    ['FROM:<@b>', 'path'],
    ['FROM:<@x:>', 'path'],
    ['FROM:<a@b@c>', 'path'],
    ['FROM:<a@b..c>', 'path'],
    ['FROM:<a@[999.0.0.1]>', 'path'],
    ['FROM:<"">', 'path'],
    ['FROM:<"a>', 'path'],
    ['FROM:<"a\tb"@c>', 'path'],
    ['FROM:<\xc3\xa9@c>', 'path'],
    ['FROM:<a@b>  X', 'parameter'],
    ['FROM:<a@b> X=', 'parameter'],
    ['FROM:<a@b> -X', 'parameter'],
    ['FROM:<a@b> X=a=b', 'parameter'],
    ['FROM:<a@b> X=\xc3\xa9', 'parameter'],
  ])('%j: bad %s', (argument, problem) => {
    expect(parseEnvelope(argument, 'FROM')).toBe(problem);
  });

  test('RCPT wants TO, and needs no domain', () => {
    expect(parseEnvelope('TO:<postmaster>', 'TO')).toEqual({
      address: { local: 'postmaster', domain: '' },
      parameters: [],
    });
    expect(parseEnvelope('FROM:<a@b>', 'TO')).toBe('syntax');
  });

  test.each([
    [smtpLimits.pathBytes - 1, false],
    [smtpLimits.pathBytes, false],
    [smtpLimits.pathBytes + 1, true],
  ])('a path of %i bytes', (size, isTooLong) => {
    const envelope = parseEnvelope(`TO:<${'x'.repeat(size - 2)}@y>`, 'TO');
    expect(envelope === 'path').toBe(isTooLong);
  });

  test.each([
    [smtpLimits.parameters - 1, false],
    [smtpLimits.parameters, false],
    [smtpLimits.parameters + 1, true],
  ])('%i parameters', (count, isTooMany) => {
    const envelope = parseEnvelope(`TO:<x>${' X=1'.repeat(count)}`, 'TO');
    expect(envelope === 'parameter').toBe(isTooMany);
  });
});

test('a mailbox that is written can be read', () => {
  const local = fc.string({ unit: fc.constantFrom(...'ab.@"\\ <>+;'), minLength: 1 });
  fc.assert(
    fc.property(local, fc.constantFrom('', 'example.org'), (name, domain) => {
      const address = { local: name, domain };
      const text = formatMailbox(address);
      expect(parseMailbox(text)).toEqual(address);
      expect(parseEnvelope(`TO:<${text}> X`, 'TO')).toMatchObject({ address });
    }),
  );
});

test.each([
  ['client.test', true],
  ['a_b-c', true],
  ['[127.0.0.1]', true],
  ['[IPV6:::1]', true],
  ['', false],
  ['.', false],
  ['a.', false],
  ['[::1]', false],
  ['[IPv6:127.0.0.1]', false],
  ['[]', false],
  ['a b', false],
  ['\xc3\xa9', false],
  ['x'.repeat(smtpLimits.heloBytes), true],
  ['x'.repeat(smtpLimits.heloBytes + 1), false],
])('domain %j: %s', (text, isValid) => {
  expect(isSmtpDomain(text)).toBe(isValid);
});
