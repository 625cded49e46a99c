import { describe, expect, test } from 'vitest';
import { smtpLimits } from '../../../src/shared/limits.ts';
import { formatSmtpReply, SmtpReplyReader } from '../../../src/shared/wire/smtp-reply.ts';

function read(...lines: string[]): ReturnType<SmtpReplyReader['accept']> {
  const reader = new SmtpReplyReader();
  for (const line of lines.slice(0, -1)) expect(reader.accept(line)).toBe('more');
  return reader.accept(lines.at(-1)!);
}

test.each([
  [['220 b.test ready'], { code: 220, enhancedCode: '', lines: ['b.test ready'] }],
  [['250'], { code: 250, enhancedCode: '', lines: [''] }],
  [['250 '], { code: 250, enhancedCode: '', lines: [''] }],
  [['334 VXNlcm5hbWU6'], { code: 334, enhancedCode: '', lines: ['VXNlcm5hbWU6'] }],
  [['235 2.7.0 Logged in.'], { code: 235, enhancedCode: '2.7.0', lines: ['Logged in.'] }],
  [['250 2.0.0'], { code: 250, enhancedCode: '2.0.0', lines: [''] }],
  [
    ['250-b.test', '250-SIZE 100', '250 8BITMIME'],
    { code: 250, enhancedCode: '', lines: ['b.test', 'SIZE 100', '8BITMIME'] },
  ],
  [
    ['535-5.7.8 No.', '535-5.7.8', '535 5.7.8 Never.'],
    { code: 535, enhancedCode: '5.7.8', lines: ['No.', '', 'Never.'] },
  ],
  // A code of another class is no enhanced code, nor is one that the first line has not.
  [['550 4.7.0 x'], { code: 550, enhancedCode: '', lines: ['4.7.0 x'] }],
  [['550-x', '550 5.7.0 y'], { code: 550, enhancedCode: '', lines: ['x', '5.7.0 y'] }],
  [['250 2.0.0.1 x'], { code: 250, enhancedCode: '', lines: ['2.0.0.1 x'] }],
  [['550 a\0b\rc\td\xe9\x7f'], { code: 550, enhancedCode: '', lines: ['abc\td\xe9'] }],
])('%j', (lines, reply) => {
  expect(read(...lines)).toEqual(reply);
});

test.each([
  '',
  'hello',
  '25',
  '250x',
  '2500 x',
  '150 x',
  '650 x',
  '560 x',
  '199 x',
  ' 250 x',
  '-ERR x',
])('%j is no reply', (line) => {
  expect(read(line)).toBe('invalid');
});

test('lines of one reply have one code', () => {
  const reader = new SmtpReplyReader();
  expect(reader.isWithin).toBe(false);
  expect(reader.accept('250-a')).toBe('more');
  expect(reader.isWithin).toBe(true);
  expect(reader.accept('251 b')).toBe('invalid');
});

test('one reply after the other', () => {
  const reader = new SmtpReplyReader();
  reader.accept('535-5.7.8 a');
  reader.accept('535 5.7.8 b');
  expect(reader.accept('220 c')).toEqual({ code: 220, enhancedCode: '', lines: ['c'] });
  expect(reader.isWithin).toBe(false);
});

describe('limits', () => {
  test.each([
    [smtpLimits.replyLines - 1, false],
    [smtpLimits.replyLines, false],
    [smtpLimits.replyLines + 1, true],
  ])('%i lines', (count, isTooMuch) => {
    const reader = new SmtpReplyReader();
    for (let i = 1; i < count; i++) reader.accept('250-x');
    expect(reader.accept('250 x') === 'invalid').toBe(isTooMuch);
  });

  test.each([
    [smtpLimits.replyBytes - 1, false],
    [smtpLimits.replyBytes, false],
    [smtpLimits.replyBytes + 1, true],
  ])('%i bytes', (size, isTooMuch) => {
    const reader = new SmtpReplyReader();
    reader.accept(`250-${'x'.repeat(size / 2 - 4)}`);
    const rest = `250 ${'x'.repeat(Math.ceil(size / 2) - 4)}`;
    expect(reader.accept(rest) === 'invalid').toBe(isTooMuch);
  });
});

test.each([
  [{ code: 220, enhancedCode: '', lines: ['b.test'] }, '220 b.test\r\n'],
  [
    { code: 535, enhancedCode: '5.7.8', lines: ['a', '', 'b'] },
    '535-5.7.8 a\r\n535-5.7.8 \r\n535 5.7.8 b\r\n',
  ],
])('%j is written %j', (reply, text) => {
  expect(formatSmtpReply(reply)).toBe(text);
  expect(read(...text.slice(0, -2).split('\r\n'))).toEqual(reply);
});
