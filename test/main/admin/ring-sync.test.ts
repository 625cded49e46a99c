import { describe, expect, it } from 'vitest';
import { adminLimits } from '../../../src/main/admin/admin-limits.ts';
import { server } from '../directory/test-directory.ts';
import { AdminRig } from './admin-rig.ts';

const HOSTS = [server('10.0.0.1'), server('10.0.0.2')];

describe('while the ring is not synced', () => {
  const waiting = [
    ...['HOST-SET\t10.0.0.1\t5', 'HOST-UPDATE\t10.0.0.1\t5', 'HOST-UP\t10.0.0.1'],
    ...['HOST-DOWN\t10.0.0.1', 'HOST-REMOVE\t10.0.0.1', 'HOST-FLUSH\t10.0.0.1'],
    ...['DIRECTOR-ADD\t10.1.0.1', 'DIRECTOR-REMOVE\t10.1.0.1', 'HOST-FLUSH'],
  ];

  it.each(waiting)('%j waits for it', (line) => {
    const rig = new AdminRig(HOSTS);
    rig.ring.isSynced = false;
    const client = rig.client();
    expect(client.ask(line)).toBe('');
    expect(client.connection.wantsInput).toBe(false);
    rig.pass(adminLimits.ringSyncMs - 1);
    expect({ answer: client.take(), log: client.log }).toEqual({ answer: '', log: [] });
    rig.ring.isSynced = true;
    rig.work.run();
    expect(client.wakes).toBe(1);
    client.take();
    for (let i = 0; i < 30; i++) rig.pass(100);
    client.take();
    expect(client.connection.wantsInput).toBe(true);
    expect(client.log.length).toBe(line.startsWith('HOST-UP\t') ? 0 : 1);
  });

  it.each(waiting)('%j gives up, and has changed nothing', (line) => {
    const rig = new AdminRig(HOSTS);
    rig.ring.isSynced = false;
    const client = rig.client();
    client.ask(line);
    rig.pass(adminLimits.ringSyncMs);
    expect(client.take()).toBe('Ring sync timed out\n');
    expect(client.log).toEqual([]);
    expect(client.connection.wantsInput).toBe(true);
    rig.ring.isSynced = true;
    rig.pass(100);
    expect(client.ask('HOST-LIST')).toBe('10.0.0.1\t100\t0\t\tU\t0\n10.0.0.2\t100\t0\t\tU\t0\n\n');
    expect(rig.ring.orders).toEqual([]);
  });

  it.each([
    ['HOST-LIST', '10.0.0.1\t100\t0\t\tU\t0\n10.0.0.2\t100\t0\t\tU\t0\n\n'],
    ['HOST-LIST-REMOVED', '\n'],
    ['DIRECTOR-LIST', '\n'],
    ['USER-LIST', '\n'],
    ['USER-MOVE\t5\t10.0.0.2', 'OK\n'],
    ['USER-KICK\tfoo', 'OK\n'],
    ['USER-KICK-ALT\tfoo\tbar', 'OK\n'],
  ])('%j does not wait', (line, answer) => {
    const rig = new AdminRig(HOSTS);
    rig.ring.isSynced = false;
    expect(rig.client().ask(line)).toBe(answer);
  });
});

describe('OK', () => {
  /** Hosts change, and the ring with them. */
  function unsyncingRig(): AdminRig {
    const rig = new AdminRig(HOSTS);
    const { orders } = rig.director;
    const setDown = orders.setDown.bind(orders);
    orders.setDown = (ip, isDown) => {
      rig.ring.isSynced = false;
      return setDown(ip, isDown);
    };
    return rig;
  }

  it('is said when the ring is synced again', () => {
    const rig = unsyncingRig();
    const client = rig.client();
    expect(client.ask('HOST-DOWN\t10.0.0.1')).toBe('');
    rig.pass(5000);
    expect(client.take()).toBe('');
    rig.ring.isSynced = true;
    rig.work.run();
    expect(client.take()).toBe('OK\n');
  });

  it('is not said when that takes too long, and later commands are not mixed up with it', () => {
    const rig = unsyncingRig();
    const client = rig.client();
    client.send('HOST-DOWN\t10.0.0.1\nHOST-LIST-REMOVED\n');
    rig.pass(adminLimits.ringSyncMs);
    expect(client.take()).toBe('Ring sync timed out\n\n');
    expect(client.ask('HOST-UPDATE\t10.0.0.1\t7')).toBe('');
    rig.ring.isSynced = true;
    rig.pass(100);
    expect(client.take()).toBe('OK\n');
  });
});

describe('pipelined commands', () => {
  it('are obeyed and answered in their order, though the first ones wait', () => {
    const rig = new AdminRig(HOSTS);
    for (let i = 1; i <= 20; i++) rig.test.login((i << 24) | i);
    rig.pass(5000);
    const [monitor, other] = [rig.client(), rig.client()];
    rig.ring.isSynced = false;
    monitor.send(
      'HOST-DOWN\t10.0.0.1\nHOST-FLUSH\t10.0.0.1\nHOST-UP\t10.0.0.9\nHOST-LIST-REMOVED\n',
    );
    expect(other.ask('HOST-LIST-REMOVED')).toBe('\n');
    expect(monitor.take()).toBe('');
    rig.ring.isSynced = true;
    for (let i = 0; i < 60; i++) rig.pass(100);
    expect(monitor.take()).toBe('OK\nOK\nNOTFOUND\n\n');
    expect(monitor.log).toEqual(['info HOST-DOWN 10.0.0.1', 'info HOST-FLUSH 10.0.0.1']);
  });

  it('of a client that is gone do no harm', () => {
    const rig = new AdminRig(HOSTS);
    rig.ring.isSynced = false;
    rig.client().send('HOST-DOWN\t10.0.0.1\nHOST-FLUSH\t10.0.0.1\n');
    expect(rig.work.waitCount).toBe(1);
    rig.pass(adminLimits.ringSyncMs);
    expect(rig.work.waitCount).toBe(0);
  });
});
