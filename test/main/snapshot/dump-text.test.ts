import { describe, expect, it } from 'vitest';
import { DumpError, parseDump, restoreOrders } from '../../../src/main/snapshot/dump-text.ts';
import { host } from './sample-snapshot.ts';

it('is read as doveadm prints it, with socket or without', () => {
  const text = `doveadm director add 10.0.0.1 100
doveadm director add -a /run/dovecot/director-admin 10.0.0.3@far 0
postilion director add 2001:DB8::1@x 1000
doveadm director remove 10.0.0.2 
doveadm director remove -a /run/x 10.0.0.4 \r

# by hand
doveadm director down 10.0.0.1
`;
  expect(parseDump(text)).toEqual([
    { kind: 'add', ip: '10.0.0.1', tag: '', vhostCount: 100 },
    { kind: 'add', ip: '10.0.0.3', tag: 'far', vhostCount: 0 },
    { kind: 'add', ip: '2001:db8::1', tag: 'x', vhostCount: 1000 },
    { kind: 'remove', ip: '10.0.0.2' },
    { kind: 'remove', ip: '10.0.0.4' },
    { kind: 'down', ip: '10.0.0.1' },
  ]);
});

it.each([
  ['doveadm director add 10.0.0.1', 'line 1: expected a weight from 0 to 1000'],
  ['doveadm director add 10.0.0.1 1001', 'line 1: expected a weight from 0 to 1000'],
  ['doveadm director add 10.0.0.1 -1', 'line 1: expected a weight from 0 to 1000'],
  ['\ndoveadm director add mail.example.com 1', 'line 2: expected an IP address'],
  ['doveadm director add 10.0.0.1@a@b 1', 'line 1: expected a tag without blank and @'],
  ['doveadm director remove 10.0.0.1 5', 'line 1: expected the address alone'],
  ['doveadm director remove 10.0.0.1@x', 'line 1: expected the address alone'],
  ['doveadm director move alice 10.0.0.1', 'line 1: expected `doveadm director add HOST WEIGHT`'],
  ['doveadm director add 10.0.0.1 1; rm -rf /', 'line 1: expected nothing behind the weight'],
  ['doveadm director add 10.0.0.1 $(id)', 'line 1: expected a weight from 0 to 1000'],
  ['doveadm director add -a /x', 'line 1: expected `doveadm director add HOST WEIGHT`'],
  [
    'doveadm director add 10.0.0.1 1\ndoveadm director add 10.0.0.1 2',
    'line 2: 10.0.0.1 was there',
  ],
  [
    'doveadm director add 10.0.0.1 1\ndoveadm director remove 10.0.0.1',
    'line 2: 10.0.0.1 was there',
  ],
  ['mail server ip tag vhosts', 'line 1: expected `doveadm director add HOST WEIGHT`'],
  ['\n'.repeat(200_000), 'line 200001: this is too long for a dump'],
])('%j is refused as a whole', (text, message) => {
  const parse = () => parseDump(text);
  expect(parse).toThrow(DumpError);
  expect(parse).toThrow(message);
});

it('is read with the quotes that our own dump has for the shell', () => {
  const text = String.raw`postilion director add -a '/run/with blank/it'\''s' '10.0.0.1@a!$b' 5
postilion director add '10.0.0.2@it'\''s' 6`;
  expect(parseDump(text)).toEqual([
    { kind: 'add', ip: '10.0.0.1', tag: 'a!$b', vhostCount: 5 },
    { kind: 'add', ip: '10.0.0.2', tag: "it's", vhostCount: 6 },
  ]);
  expect(() => parseDump("postilion director add '10.0.0.1 5")).toThrow('line 1: expected');
});

describe('what to order', () => {
  const present = [
    host('10.0.0.1'),
    host('10.0.0.2', { vhostCount: 5 }),
    host('10.0.0.3', { tag: 'far', isDown: true }),
  ];
  const orders = (text: string) => {
    return restoreOrders(parseDump(text), present).map(({ command, args }) => [command, ...args]);
  };

  it('is only what differs', () => {
    expect(orders('doveadm director add 10.0.0.1 100\ndoveadm director remove 10.0.0.9')).toEqual(
      [],
    );
    expect(
      orders(`doveadm director add 10.0.0.2 6
doveadm director add 10.0.0.4@x 7
doveadm director remove 10.0.0.1
doveadm director up 10.0.0.3
doveadm director down 10.0.0.2`),
    ).toEqual([
      ['HOST-SET', '10.0.0.2', '6'],
      ['HOST-SET', '10.0.0.4@x', '7'],
      ['HOST-REMOVE', '10.0.0.1'],
      ['HOST-UP', '10.0.0.3'],
      ['HOST-DOWN', '10.0.0.2'],
    ]);
  });

  it('removes a backend first whose tag differs', () => {
    expect(orders('doveadm director add 10.0.0.3 100')).toEqual([
      ['HOST-REMOVE', '10.0.0.3'],
      ['HOST-SET', '10.0.0.3', '100'],
    ]);
  });

  it('has a text for people', () => {
    const [order] = restoreOrders(parseDump('doveadm director add 10.0.0.4@x 7'), present);
    expect(order.text).toBe('director add 10.0.0.4@x 7');
  });
});
