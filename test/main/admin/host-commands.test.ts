import { describe, expect, it } from 'vitest';
import { server } from '../directory/test-directory.ts';
import { AdminRig } from './admin-rig.ts';

const HOSTS = [server('10.0.0.1'), server('10.0.0.2', 50), server('10.0.0.3', 100, 'far')];

function hostLines(rig: AdminRig): string[] {
  return rig.client().ask('HOST-LIST').split('\n').slice(0, -2);
}

describe('HOST-SET and HOST-UPDATE', () => {
  it.each([
    ['HOST-SET\t10.0.0.9', '10.0.0.9\t100\t0\t\tU\t0'],
    ['HOST-SET\t10.0.0.9\t7', '10.0.0.9\t7\t0\t\tU\t0'],
    ['HOST-SET\t10.0.0.9@new\t0', '10.0.0.9\t0\t0\tnew\tU\t0'],
    ['HOST-SET\t10.0.0.9@\t1000', '10.0.0.9\t1000\t0\t\tU\t0'],
    ['HOST-SET\t[2001:DB8::9]@far', '2001:db8::9\t100\t0\tfar\tU\t0'],
    ['HOST-SET\t10.0.0.9\t4294967295', '10.0.0.9\t100\t0\t\tU\t0'],
    ['HOST-SET\t10.0.0.1\t1', '10.0.0.1\t1\t0\t\tU\t0'],
    ['HOST-SET\t10.0.0.2', '10.0.0.2\t50\t0\t\tU\t0'],
    ['HOST-SET\t10.0.0.3@far\t3', '10.0.0.3\t3\t0\tfar\tU\t0'],
    ['HOST-UPDATE\t10.0.0.1\t0', '10.0.0.1\t0\t0\t\tU\t0'],
    ['HOST-UPDATE\t10.0.0.3\t5\tignored', '10.0.0.3\t5\t0\tfar\tU\t0'],
    ['HOST-UPDATE\t10.0.0.2\t4294967295', '10.0.0.2\t50\t0\t\tU\t0'],
  ])('%j is obeyed', (line, expected) => {
    const rig = new AdminRig(HOSTS);
    expect(rig.client().ask(line)).toBe('OK\n');
    expect(hostLines(rig)).toContain(expected);
  });

  it.each([
    ['HOST-SET\t10.0.0.9\t1001', 'vhost count too large\n'],
    ['HOST-UPDATE\t10.0.0.1\t1001', 'vhost count too large\n'],
    ['HOST-UPDATE\t10.0.0.9\t1', 'NOTFOUND\n'],
    ['HOST-UPDATE\t10.0.0.9@far\t1', 'NOTFOUND\n'],
    ['HOST-SET\t10.0.0.1@far', "host tag can't be changed\n"],
    ['HOST-UPDATE\t10.0.0.3@near\t5', "host tag can't be changed\n"],
    ['HOST-SET\t10.0.0.9@a@b', 'invalid host tag\n'],
    ['HOST-SET\t10.0.0.9@a b', 'invalid host tag\n'],
    [`HOST-SET\t10.0.0.9@${'t'.repeat(65)}`, 'invalid host tag\n'],
  ])('%j is refused', (line, answer) => {
    const rig = new AdminRig(HOSTS);
    const client = rig.client();
    const before = hostLines(rig);
    expect(client.ask(line)).toBe(answer);
    expect(hostLines(rig)).toEqual(before);
    expect(client.connection.isDone).toBe(false);
  });

  it.each([
    'HOST-SET',
    'HOST-SET\t',
    'HOST-SET\thost',
    'HOST-SET\t@far',
    'HOST-SET\t10.0.0.9\t-1',
    'HOST-SET\t10.0.0.9\t',
    'HOST-SET\t10.0.0.9\t4294967296',
    'HOST-UPDATE',
    'HOST-UPDATE\t10.0.0.1',
    'HOST-UPDATE\t10.0.0.1\tx',
  ])('%j ends the connection', (line) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe('');
    const name = line.split('\t', 1)[0];
    expect(client.log).toEqual([`warn doveadm sent invalid ${name} parameters`]);
    expect(client.connection.isDone).toBe(true);
  });

  it('says when a host is still being changed', () => {
    const rig = new AdminRig(HOSTS);
    rig.test.directory.host('10.0.0.1')!.isDesynced = true;
    const client = rig.client();
    const text = 'host is already being updated - try again later\n';
    expect(client.ask('HOST-UPDATE\t10.0.0.1\t5')).toBe(text);
    expect(client.ask('HOST-DOWN\t10.0.0.1')).toBe(text);
    expect(client.ask('HOST-UP\t10.0.0.1')).toBe('OK\n');
  });

  it('says when there is no room for another host', () => {
    const rig = new AdminRig(HOSTS);
    rig.director.orders.addHost = () => {
      throw new RangeError('more than 16384 tags');
    };
    const client = rig.client();
    expect(client.ask('HOST-SET\t10.0.0.9@new')).toBe('more than 16384 tags\n');
    expect(client.log.at(-1)).toBe('error HOST-SET 10.0.0.9: more than 16384 tags');
  });
});

describe('HOST-UP and HOST-DOWN', () => {
  it('change the state once', () => {
    const rig = new AdminRig(HOSTS);
    const client = rig.client();
    expect(client.ask('HOST-DOWN\t10.0.0.1')).toBe('OK\n');
    expect(client.ask('HOST-DOWN\t10.0.0.1')).toBe('OK\n');
    expect(hostLines(rig)[0]).toBe('10.0.0.1\t100\t0\t\tD\t1700000000');
    expect(client.ask('HOST-UP\t10.0.0.1')).toBe('OK\n');
    expect(hostLines(rig)[0]).toBe('10.0.0.1\t100\t0\t\tU\t1700000001');
    expect(client.log).toEqual(['info HOST-DOWN 10.0.0.1', 'info HOST-UP 10.0.0.1']);
  });

  it.each([
    ['HOST-UP\t10.0.0.9', 'NOTFOUND\n', []],
    ['HOST-DOWN\t10.0.0.9', 'NOTFOUND\n', []],
    ['HOST-UP', '', ['warn doveadm sent invalid HOST-UP parameters: ']],
    ['HOST-DOWN\tfoo\x01tbar', '', ['warn doveadm sent invalid HOST-DOWN parameters: foo?bar']],
  ])('%j', (line, answer, log) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe(answer);
    expect(client.log).toEqual(log);
  });
});

describe('HOST-REMOVE, HOST-FLUSH and HOST-LIST-REMOVED', () => {
  it('remove a host, and tell which ones of the configuration are gone', () => {
    const rig = new AdminRig(HOSTS);
    const client = rig.client();
    expect(client.ask('HOST-LIST-REMOVED')).toBe('\n');
    client.ask('HOST-SET\t10.0.0.9');
    for (const ip of ['10.0.0.3', '10.0.0.1', '10.0.0.9']) {
      client.send(`HOST-REMOVE\t${ip}\n`);
      rig.test.settle();
      rig.work.run();
      expect(client.take()).toBe('OK\n');
    }
    expect(client.ask('HOST-LIST-REMOVED')).toBe('10.0.0.1\n10.0.0.3\n\n');
    expect(client.ask('HOST-REMOVE\t10.0.0.1')).toBe('NOTFOUND\n');
    expect(hostLines(rig)).toEqual(['10.0.0.2\t50\t0\t\tU\t0']);
  });

  it.each(['HOST-REMOVE\t10.0.0.1', 'HOST-FLUSH\t10.0.0.1'])(
    '%j is acknowledged when the users have been forgotten',
    (line) => {
      const rig = new AdminRig([HOSTS[0], HOSTS[1]]);
      for (let i = 1; i <= 200; i++) rig.test.login((i << 24) | i);
      const before = rig.test.usersOn('10.0.0.1')!;
      expect(before).toBeGreaterThan(20);
      rig.pass(5000);
      const client = rig.client();
      client.send(`${line}\n`);
      expect(client.take()).toBe('');
      for (let i = 0; i < 60; i++) rig.pass(100);
      expect(client.take()).toBe('OK\n');
      expect(rig.test.usersOn('10.0.0.1') ?? 0).toBe(0);
    },
  );

  it('HOST-FLUSH of all is answered at once', () => {
    for (const line of ['HOST-FLUSH', 'HOST-FLUSH\t']) {
      const rig = new AdminRig([HOSTS[0], HOSTS[1]]);
      for (let i = 1; i <= 50; i++) rig.test.login((i << 24) | i);
      rig.pass(5000);
      const client = rig.client();
      expect(client.ask(line)).toBe('OK\n');
      expect(client.log).toEqual(['warn HOST-FLUSH of all 2 backends with 50 users']);
      for (let i = 0; i < 60; i++) rig.pass(100);
      expect(rig.test.directory.counts().users).toBe(0);
    }
  });

  it.each([
    ['HOST-FLUSH\t10.0.0.9', 'NOTFOUND\n', []],
    ['HOST-FLUSH\tfoo', '', ['warn doveadm sent invalid HOST-FLUSH parameters']],
    ['HOST-REMOVE', '', ['warn doveadm sent invalid HOST-REMOVE parameters']],
    ['HOST-REMOVE\t', '', ['warn doveadm sent invalid HOST-REMOVE parameters']],
  ])('%j', (line, answer, log) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe(answer);
    expect(client.log).toEqual(log);
  });
});

describe('X-CHANGE', () => {
  const [ONE] = ['10.0.0.1'];
  const stateOf = (rig: AdminRig) => {
    return rig.director.view.hosts().find(({ ip }) => ip === ONE);
  };

  it.each([
    [`${ONE}\t7\tD`, { vhostCount: 7, isDown: true }],
    [`${ONE}\t\tD`, { vhostCount: 100, isDown: true }],
    [`${ONE}\t0`, { vhostCount: 0, isDown: false }],
    [ONE, { vhostCount: 100, isDown: false }],
  ])('%j is one change', (args, after) => {
    const rig = new AdminRig([server(ONE)]);
    const before = rig.test.publications.length;
    expect(rig.client().ask(`X-CHANGE\t${args}`)).toBe('OK\n');
    expect(stateOf(rig)).toMatchObject(after);
    expect(rig.test.publications.length - before).toBe(args === ONE ? 0 : 1);
  });

  it.each([
    [`${ONE}\t1001\tD`, 'invalid vhost count: a number from 0 to 1000 is wanted\n'],
    [`${ONE}\t5\tX`, 'invalid state: U or D is wanted\n'],
    ['10.0.0.9\t5\tD', 'NOTFOUND\n'],
    ['host\t5\tD', 'invalid address\n'],
  ])('%j changes nothing', (args, answer) => {
    const rig = new AdminRig([server(ONE)]);
    expect(rig.client().ask(`X-CHANGE\t${args}`)).toBe(answer);
    expect(stateOf(rig)).toMatchObject({ vhostCount: 100, isDown: false });
  });

  it('says what it would change', () => {
    const client = new AdminRig([server(ONE)]).client();
    expect(client.ask(`X-DRY-RUN\tX-CHANGE\t${ONE}\t5\tD`)).toMatch(
      /^WOULD\tchange the vhost count of 10.0.0.1 from 100 to 5\nWOULD\tmark 10.0.0.1 down\nWOULD\thave /,
    );
  });
});
