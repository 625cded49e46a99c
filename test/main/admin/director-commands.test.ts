import { describe, expect, it } from 'vitest';
import { noRing } from '../../../src/main/ring/running-ring.ts';
import { AdminRig } from './admin-rig.ts';

describe('DIRECTOR-LIST', () => {
  it('lists strangers, neighbours, directors without connection, and this one', () => {
    const rig = new AdminRig([]);
    const figures = [1, 20, 30, 4, 50, 1_700_000_000, 1_700_000_001];
    rig.ring.list = [
      { member: null, status: ['handshaking - 0 USERs received', ...figures] },
      {
        member: { ip: '10.1.0.1', port: 9090, type: 'self', lastFailedSecs: 0 },
        status: ['ring synced', 7],
      },
      {
        member: { ip: '10.1.0.2', port: 9090, type: 'left', lastFailedSecs: 5 },
        status: ['synced', ...figures],
      },
      { member: { ip: '10.1.0.3', port: 9090, type: '', lastFailedSecs: 0 }, status: [] },
    ];
    expect(rig.client().ask('DIRECTOR-LIST')).toBe(
      [
        'handshaking - 0 USERs received\t1\t20\t30\t4\t50\t1700000000\t1700000001\n',
        '10.1.0.1\t9090\tself\t0\tring synced\t7\n',
        '10.1.0.2\t9090\tleft\t5\tsynced\t1\t20\t30\t4\t50\t1700000000\t1700000001\n',
        '10.1.0.3\t9090\t\t0\t\n\n',
      ].join(''),
    );
  });

  it('without a ring is as in Dovecot without director_servers', () => {
    const rig = new AdminRig([]);
    rig.ring.list = noRing.entries();
    expect(rig.client().ask('DIRECTOR-LIST')).toBe('127.0.0.1\t0\tself\t0\tring synced\t0\n\n');
  });
});

describe('DIRECTOR-ADD and DIRECTOR-REMOVE', () => {
  it.each([
    ['DIRECTOR-ADD\t10.1.0.1', 'OK\n', 'add 10.1.0.1 null'],
    ['DIRECTOR-ADD\t10.1.0.1\t9090', 'OK\n', 'add 10.1.0.1 9090'],
    ['DIRECTOR-ADD\t[FD00::1]\t1', 'OK\n', 'add fd00::1 1'],
    ['DIRECTOR-REMOVE\t10.1.0.1', 'OK\n', 'remove 10.1.0.1 null'],
    ['DIRECTOR-REMOVE\t10.1.0.1\t65535', 'OK\n', 'remove 10.1.0.1 65535'],
    ['DIRECTOR-REMOVE\t10.1.0.99', 'NOTFOUND\n', 'remove 10.1.0.99 null'],
  ])('%j', (line, answer, order) => {
    const rig = new AdminRig([]);
    expect(rig.client().ask(line)).toBe(answer);
    expect(rig.ring.orders).toEqual([order]);
  });

  it.each([
    ['known', 'OK\n'],
    ['too-many', 'too many directors\n'],
    ['no-ring', 'this director has no director.listen\n'],
  ] as const)('an addition that ends with %s', (outcome, answer) => {
    const rig = new AdminRig([]);
    rig.ring.addOutcome = outcome;
    expect(rig.client().ask('DIRECTOR-ADD\t10.1.0.1')).toBe(answer);
  });

  it.each([
    'DIRECTOR-ADD',
    'DIRECTOR-ADD\tfoo',
    'DIRECTOR-ADD\t10.1.0.1\t0',
    'DIRECTOR-ADD\t10.1.0.1\t65536',
    'DIRECTOR-ADD\t10.1.0.1\t',
    'DIRECTOR-REMOVE',
    'DIRECTOR-REMOVE\t\t9090',
    'DIRECTOR-REMOVE\t10.1.0.1\tx',
  ])('%j ends the connection', (line) => {
    const rig = new AdminRig([]);
    const client = rig.client();
    expect(client.ask(line)).toBe('');
    expect(rig.ring.orders).toEqual([]);
    expect(client.log).toEqual([`warn doveadm sent invalid ${line.split('\t', 1)[0]} parameters`]);
  });
});
