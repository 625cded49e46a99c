import { expect, test } from 'vitest';
import { DemoScreen } from '../../src/demo/demo-screen.ts';
import { type DemoSnapshot, renderDemo } from '../../src/demo/demo-table.ts';

const SNAPSHOT: DemoSnapshot = {
  upSecs: 12,
  backends: [
    {
      name: 'b1',
      address: '127.0.0.11',
      users: 2,
      sessions: new Map([
        ['user07', 1],
        ['user03', 2],
      ]),
      logins: 1234,
    },
    { name: 'b2', address: '127.0.0.12', users: 1, sessions: new Map(), logins: 5 },
  ],
  checkedLogins: 1239,
  violationCount: 0,
  violations: [],
  failureCount: 0,
  failures: [],
  commands: ['curl imap://127.0.0.1:4143/INBOX -u user01:pass'],
};

test('backends, users, totals, promise, commands', () => {
  expect(renderDemo(SNAPSHOT)).toEqual([
    'Postilion demo: one director, 2 backends, up 12 s',
    '',
    'backend  address     users  sessions  logins',
    'b1       127.0.0.11      2         3    1234',
    'b2       127.0.0.12      1         0       5',
    'total                    3         3    1239',
    '',
    'b1: user03 x2 user07',
    'b2: nobody',
    '',
    'No user was ever on two backends at the same time (1239 logins, checked by the backends).',
    '',
    'Try it (any user, password "pass"):',
    '  curl imap://127.0.0.1:4143/INBOX -u user01:pass',
  ]);
});

test('a broken promise and failed sessions are said, with details', () => {
  const lines = renderDemo({
    ...SNAPSHOT,
    violationCount: 2,
    violations: ['user07: login on b2 with open sessions on b1 (1)'],
    failureCount: 4,
    failures: ['user09 (imap): a NO [UNAVAILABLE] x'],
  });
  expect(lines.slice(10, 14)).toEqual([
    'BROKEN PROMISE: 2 of 1239 logins found their user on another backend:',
    '  user07: login on b2 with open sessions on b1 (1)',
    '4 sample sessions failed, the first:',
    '  user09 (imap): a NO [UNAVAILABLE] x',
  ]);
});

test('the users of a backend are folded at the width of the screen, and none is lost', () => {
  const names = Array.from({ length: 60 }, (_, i) => `user${`${i}`.padStart(2, '0')}`);
  const sessions = new Map(names.map((name) => [name, 2]));
  const [b1, ...others] = SNAPSHOT.backends;
  if (b1 === undefined) throw new Error('the snapshot has backends');
  const lines = renderDemo({ ...SNAPSHOT, backends: [{ ...b1, sessions }, ...others] });
  const users = lines.filter((line) => line.includes(' x2'));
  expect(users.length).toBeGreaterThan(3);
  for (const line of users) expect(line.length).toBeLessThanOrEqual(100);
  expect(users.join(' ').match(/user\d\d/g)).toEqual(names);
});

function collector(isTTY: boolean): {
  output: { write(text: string): void; isTTY: boolean };
  text(): string;
} {
  let all = '';
  return {
    output: {
      isTTY,
      write: (text) => {
        all += text;
      },
    },
    text: () => all,
  };
}

test('no escape sequences where there is no terminal, or no live drawing is wanted', () => {
  for (const [isTTY, isLive] of [
    [false, true],
    [true, false],
  ] as const) {
    const { output, text } = collector(isTTY);
    const screen = new DemoScreen(output, isLive);
    screen.draw(['one', 'two']);
    screen.close();
    expect(text()).toBe('one\ntwo\n\n');
  }
});

test('a terminal is redrawn in place and given back with the last picture', () => {
  const { output, text } = collector(true);
  const screen = new DemoScreen(output, true);
  screen.draw(['one']);
  screen.draw(['two']);
  screen.close();
  screen.close();
  expect(text()).toBe(
    '\x1b[?1049h\x1b[?25l\x1b[Hone\x1b[K\n\x1b[J\x1b[Htwo\x1b[K\n\x1b[J' +
      '\x1b[?25h\x1b[?1049ltwo\n',
  );
});
