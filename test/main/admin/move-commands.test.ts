import { describe, expect, it } from 'vitest';
import { server } from '../directory/test-directory.ts';
import { AdminRig } from './admin-rig.ts';

const ONE = '10.0.0.1';
const HOSTS = [server(ONE), server('10.0.0.2'), server('10.0.0.9', 100, 'eu')];

/** Users who were here a moment ago: a move of each takes user_kick_delay. */
function rigWithUsers(count = 300): AdminRig {
  const rig = new AdminRig(HOSTS);
  for (let i = 0; i < count; i++) rig.test.login((((i * 2654435761) >>> 0) | 1) >>> 0);
  return rig;
}

function jobs(rig: AdminRig): string[][] {
  const lines = rig.client().ask('X-MOVES').split('\n');
  expect(lines.slice(-2)).toEqual(['', '']);
  return lines.slice(0, -2).map((line) => line.split('\t'));
}

describe('X-DRAIN', () => {
  it('goes on when the client is gone, and is listed with who ordered it', () => {
    const rig = rigWithUsers();
    const before = rig.test.usersOn(ONE)!;
    expect(rig.client().ask(`X-DRAIN\t${ONE}\t\t10\t100`)).toBe('JOB\t1\tstarted\n');
    rig.pass(100);
    const [fields] = jobs(rig);
    expect(fields).toHaveLength(17);
    expect(fields.slice(0, 7)).toEqual(['1', 'drain', ONE, 'moving', '0', String(before), '10']);
    expect(fields.slice(12)).toEqual(['10', '100', '', 'admin', '']);
    for (let i = 0; i < 1000; i++) rig.pass(100);
    expect(jobs(rig)[0].slice(3, 7)).toEqual(['done', String(before), String(before), '0']);
    expect(rig.client().ask('X-MOVES\t1')).toBe(rig.client().ask('X-MOVES'));
    expect(rig.client().ask('X-MOVES\t2')).toBe('\n');
  });

  it.each([
    [`X-DRAIN`, 'invalid address\n'],
    [`X-DRAIN\tfoo`, 'invalid address\n'],
    [`X-DRAIN\t10.0.0.77`, 'NOTFOUND\n'],
    [`X-DRAIN\t10.0.0.9`, 'there is no other backend for its users\n'],
    [`X-DRAIN\t${ONE}\t0`, 'invalid time: a number from 1 to 604800 is wanted\n'],
    [`X-DRAIN\t${ONE}\t604800`, 'JOB\t1\tstarted\n'],
    [`X-DRAIN\t${ONE}\t604801`, 'invalid time: a number from 1 to 604800 is wanted\n'],
    [`X-DRAIN\t${ONE}\t\t0`, 'invalid limit: a number from 1 to 10000 is wanted\n'],
    [`X-DRAIN\t${ONE}\t\t10000`, 'JOB\t1\tstarted\n'],
    [`X-DRAIN\t${ONE}\t\t10001`, 'invalid limit: a number from 1 to 10000 is wanted\n'],
    [`X-DRAIN\t${ONE}\t\t\t100001`, 'invalid rate: a number from 0 to 100000 is wanted\n'],
    [`X-DRAIN\t${ONE}\t\t\t0`, 'JOB\t1\tstarted\n'],
    [`X-FLUSH\tfoo`, 'invalid address\n'],
    [`X-FLUSH\t10.0.0.77`, 'NOTFOUND\n'],
    [`X-REBALANCE\tx`, 'invalid limit: a number from 1 to 10000 is wanted\n'],
    [`X-INTERRUPT`, 'NOTFOUND\n'],
    [`X-INTERRUPT\t1`, 'NOTFOUND\n'],
  ])('%j', (line, answer) => {
    expect(rigWithUsers().client().ask(line)).toBe(answer);
  });
});

it('X-INTERRUPT', () => {
  const rig = rigWithUsers();
  const client = rig.client();
  client.ask(`X-DRAIN\t${ONE}\t3600`);
  rig.pass(100);
  expect(client.ask('X-INTERRUPT\t1')).toBe('OK\n');
  for (let i = 0; i < 40; i++) rig.pass(100);
  expect(jobs(rig)[0][3]).toBe('interrupted');
  expect(client.ask('X-INTERRUPT\t1')).toBe('the job is over\n');
});

describe('HOST-RESET-USERS', () => {
  it('is listed, the next one as waiting, and can be interrupted', () => {
    const rig = rigWithUsers();
    rig.client().ask(`HOST-DOWN\t${ONE}`);
    const client = rig.client();
    const second = rig.client();
    client.send(`HOST-RESET-USERS\t${ONE}\t5\n`);
    second.send('HOST-RESET-USERS\n');
    rig.pass(100);
    const [first, next] = jobs(rig);
    expect(first.slice(1, 4)).toEqual(['flush', ONE, 'moving']);
    expect(Number(first[4])).toBeGreaterThanOrEqual(5);
    expect(next.slice(1, 4)).toEqual(['flush', '', 'waiting']);
    expect(next[16]).toBe('waits for another HOST-RESET-USERS');
    expect(rig.client().ask('X-INTERRUPT\t1')).toBe('OK\n');
    expect(rig.client().ask('X-INTERRUPT\t1')).toBe('the job is over\n');
    rig.pass(100);
    expect(client.take()).toBe('interrupted\n');
    expect(jobs(rig)[0][3]).toBe('interrupted');
    for (let i = 0; i < 100; i++) rig.pass(100);
    expect(second.take()).toBe('OK\n');
    expect(jobs(rig)[1][3]).toBe('done');
  });
});

describe('X-DRY-RUN', () => {
  it.each([
    ['HOST-LIST', /^10\.0\.0\.1\t100\t/],
    ['HOST-RESET-USERS\t10.0.0.77', /^NOTFOUND\n$/],
    ['HOST-RESET-USERS', /^WOULD\tmove 0 users of all backends .*\nOK\n$/],
    ['HOST-SET\t10.0.0.1@eu', /^[^\n]+\n$/],
    ['HOST-UPDATE\t10.0.0.1\t1001', /^vhost count too large\n$/],
    [
      'USER-MOVE\tfoo\t10.0.0.1',
      /^WOULD\tmove user hash 1, .* to 10\.0\.0\.1\nOK\n$|^WOULD\tleave/,
    ],
    ['DIRECTOR-REMOVE\t10.1.0.1', /^NOTFOUND\n$/],
  ])('%s', (line, answer) => {
    const rig = rigWithUsers();
    const client = rig.client();
    const before = client.ask('HOST-LIST');
    client.send(`X-DRY-RUN\t${line}\n`);
    rig.settle();
    expect(client.take()).toMatch(answer);
    expect(client.log).toEqual([]);
    expect(client.ask('HOST-LIST')).toBe(before);
    expect(rig.test.directory.counts().kills).toBe(0);
    expect(rig.ring.orders).toEqual([]);
  });

  it.each(['', '\tX-DRY-RUN\tHOST-UP', '\tX-INTERRUPT\t1', '\tfoo'])(
    '%j ends the connection',
    (rest) => {
      const client = new AdminRig(HOSTS).client();
      expect(client.ask(`X-DRY-RUN${rest}`)).toBe('');
      expect(client.log[0]).toMatch(/^warn doveadm sent unknown command for a dry run/);
      expect(client.connection.isDone).toBe(true);
    },
  );

  it('counts users who would be elsewhere, as many as a rebalance then moves', () => {
    const rig = rigWithUsers();
    const client = rig.client();
    const said = client.ask('X-DRY-RUN\tHOST-SET\t10.0.0.3');
    const [, count] = /have (\d+) of 300 users on another backend/.exec(said)!;
    expect(Number(count)).toBeGreaterThan(50);
    client.ask('HOST-SET\t10.0.0.3');
    expect(client.ask('X-DRY-RUN\tX-REBALANCE')).toMatch(
      new RegExp(`^WOULD\tmove ${count} users of all backends`),
    );
  });
});

describe('X-WHY', () => {
  it('tells of a user who is being moved', () => {
    const rig = rigWithUsers(1);
    const from = rig.test.hostOf(1)!;
    const to = from === ONE ? '10.0.0.2' : ONE;
    const client = rig.client();
    client.ask(`USER-MOVE\t1\t${to}`);
    const lines = client.ask('X-WHY\t1').split('\n');
    expect(lines).toContain('state\tkilling\tdelay');
    expect(lines.filter((line) => line.startsWith('candidate'))).toHaveLength(2);
    expect(lines).toContain(`hashed\t${from}`);
    expect(lines.slice(-2)).toEqual(['', '']);
  });

  it.each([
    ['X-WHY\t5', /^user\t5\t\nstate\tnone\t\ncurrent\t\t0\nseen\t0\n/],
    ['X-WHY\t0', /^user\t0\t\nstate\tnone\t\n/],
    ['X-WHY', /^user\t1\t\n/],
    ['X-WHY\t5\teu', /^user\t5\teu\n.*\nhashed\t10\.0\.0\.9\n/s],
    ['X-WHY\t5\tnowhere', /^NOTFOUND\n$/],
  ])('%j', (line, answer) => {
    expect(new AdminRig(HOSTS).client().ask(line)).toMatch(answer);
  });
});
