import { describe, expect, it } from 'vitest';
import {
  createRegistry,
  SessionRegistryWriter,
  SessionState,
} from '../../../src/shared/memory/session-registry.ts';
import { server } from '../directory/test-directory.ts';
import { AdminRig, type RigClient } from './admin-rig.ts';

const HOSTS = [server('10.0.0.1'), server('10.0.0.2'), server('10.0.0.3')];
const USERS = 3000;

/** Users all over the table, who were here lately: a move of each takes user_kick_delay. */
function rigWithUsers(limits: ConstructorParameters<typeof AdminRig>[1] = {}): AdminRig {
  const rig = new AdminRig(HOSTS, limits);
  for (let i = 0; i < USERS; i++) rig.test.login(hashOf(i));
  return rig;
}

function hashOf(i: number): number {
  return (((i * 2654435761) >>> 0) | 1) >>> 0;
}

function down(rig: AdminRig, ip: string): void {
  expect(rig.client().ask(`HOST-DOWN\t${ip}`)).toBe('OK\n');
}

/** Time passes until there is an answer. Gives the most users that were being moved at a time. */
function waitForAnswer(rig: AdminRig, client: RigClient, answer = 'OK\n'): number {
  let most = 0;
  for (let i = 0; i < 2000; i++) {
    most = Math.max(most, rig.test.directory.counts().kills);
    const said = client.take();
    if (said !== '') {
      expect(said).toBe(answer);
      return most;
    }
    rig.pass(100);
  }
  throw new Error('no answer');
}

describe('HOST-RESET-USERS', () => {
  it.each([
    ['', 100],
    ['\t1', 1],
    ['\t7', 7],
    ['\t2999', 2999],
  ])('with limit %j moves at most %d at a time', (limit, expected) => {
    const rig = rigWithUsers();
    down(rig, '10.0.0.1');
    const before = rig.test.usersOn('10.0.0.1')!;
    expect(before).toBeGreaterThan(800);
    // So few at a time take so long that most of them need not wait for user_kick_delay.
    const client = rig.client();
    client.send(`HOST-RESET-USERS\t10.0.0.1${limit}\n`);
    const most = waitForAnswer(rig, client);
    expect(most).toBe(Math.min(expected, before));
    expect(rig.test.usersOn('10.0.0.1')).toBe(0);
    expect(client.log.at(-1)).toMatch(
      new RegExp(
        `^info Moved ${before} users in 1 hosts in \\d+\\.\\d{3} secs \\(max parallel=${expected}\\)$`,
      ),
    );
    for (let i = 0; i < 50; i++) rig.pass(100);
    expect(rig.test.directory.counts()).toMatchObject({ users: USERS, kills: 0 });
  });

  it('has the default of the configuration', () => {
    const rig = rigWithUsers({ maxParallelMoves: 13 });
    down(rig, '10.0.0.1');
    const client = rig.client();
    client.send('HOST-RESET-USERS\n');
    expect(waitForAnswer(rig, client)).toBe(13);
    expect(client.log.at(-1)).toMatch(
      /^info Moved \d+ users in 3 hosts in .* \(max parallel=13\)$/,
    );
  });

  it('moves nobody who is where he belongs, and brings back who was moved away', () => {
    const rig = rigWithUsers();
    const homes = Array.from({ length: USERS }, (_, i) => rig.test.hostOf(hashOf(i)));
    const client = rig.client();
    for (let i = 0; i < 50; i++) client.ask(`USER-MOVE\t${hashOf(i)}\t10.0.0.2`);
    rig.pass(5000);
    const away = homes.slice(0, 50).filter((ip) => ip !== '10.0.0.2').length;
    client.send('HOST-RESET-USERS\t\t10\n');
    waitForAnswer(rig, client);
    expect(client.log.at(-1)).toMatch(new RegExp(`^info Moved ${away} users in 3 hosts`));
    rig.pass(5000);
    expect(Array.from({ length: USERS }, (_, i) => rig.test.hostOf(hashOf(i)))).toEqual(homes);
  });

  it('looks at a part of the users in one turn of the event loop', () => {
    const rig = rigWithUsers();
    const client = rig.client();
    client.send('HOST-RESET-USERS\t10.0.0.1\n');
    let turns = 0;
    while (client.take() === '') {
      rig.turn();
      turns++;
    }
    expect(turns).toBeGreaterThan(1);
  });

  it('waits for the ring, and stands still while hosts are changing', () => {
    const rig = rigWithUsers();
    down(rig, '10.0.0.1');
    rig.pass(5000);
    rig.ring.isSynced = false;
    const client = rig.client();
    client.send('HOST-RESET-USERS\t10.0.0.1\n');
    const before = rig.test.usersOn('10.0.0.1')!;
    rig.pass(60_000);
    expect(client.take()).toBe('');
    expect(rig.test.usersOn('10.0.0.1')).toBe(before);
    rig.ring.isSynced = true;
    waitForAnswer(rig, client);
    expect(rig.test.usersOn('10.0.0.1')).toBe(0);
  });

  it('says in the log how far it is', () => {
    const rig = rigWithUsers();
    down(rig, '10.0.0.1');
    const client = rig.client();
    client.send('HOST-RESET-USERS\t10.0.0.1\t1\n');
    for (let i = 0; i < 101; i++) {
      rig.pass(100);
      client.take();
    }
    expect(client.log.some((text) => /^info Moved \d+ users so far/.test(text))).toBe(
      rig.work.jobCount > 0,
    );
  });

  it('goes on when the client is gone; the next one has its turn after it', () => {
    const rig = rigWithUsers();
    const registry = createRegistry(64);
    const writer = new SessionRegistryWriter(registry);
    rig.test.directory.attachWorker(1, registry);
    const busy = Array.from({ length: USERS }, (_, i) => hashOf(i)).find((hash) => {
      return rig.test.hostOf(hash) === '10.0.0.1';
    })!;
    writer.setState(writer.enter(0, busy), SessionState.active, 1);
    down(rig, '10.0.0.1');
    rig.client().send('HOST-RESET-USERS\t10.0.0.1\t1\n');
    const second = rig.client();
    second.send('HOST-RESET-USERS\t10.0.0.2\nHOST-LIST-REMOVED\n');
    expect(rig.work.jobCount).toBe(2);
    let answer = '';
    for (let i = 0; i < 100_000 && answer === ''; i++) {
      rig.pass(100);
      for (const { killId } of rig.test.kicks.splice(0)) {
        rig.test.directory.acknowledgeKick(1, killId, rig.test.nowMs);
      }
      answer = second.take();
    }
    expect(answer).toBe('OK\n\n');
    expect(rig.test.usersOn('10.0.0.1')).toBe(0);
  });

  it('forgets users for whom there is no backend, after their sessions have been killed', () => {
    const rig = rigWithUsers();
    for (const { ip } of HOSTS) down(rig, ip);
    rig.pass(5000);
    const client = rig.client();
    client.send('HOST-RESET-USERS\t10.0.0.1\n');
    waitForAnswer(rig, client);
    expect(client.log.join('\n')).toContain('No backend is left for the users of 10.0.0.1');
    for (let i = 0; i < 50; i++) rig.pass(100);
    expect(rig.test.usersOn('10.0.0.1')).toBe(0);
    expect(rig.test.usersOn('10.0.0.2')).toBeGreaterThan(0);
  });

  it('is at its end when the backend is removed meanwhile', () => {
    const rig = rigWithUsers();
    down(rig, '10.0.0.1');
    const client = rig.client();
    client.send('HOST-RESET-USERS\t10.0.0.1\t1\n');
    rig.pass(100);
    expect(client.take()).toBe('');
    rig.director.orders.removeHost('10.0.0.1');
    waitForAnswer(rig, client);
  });

  it.each([
    ['HOST-RESET-USERS\t10.0.0.9', 'NOTFOUND\n', []],
    ['HOST-RESET-USERS\t10.0.0.9\t5', 'NOTFOUND\n', []],
    ['HOST-RESET-USERS\tfoo', '', ['warn doveadm sent invalid HOST-RESET-USERS ip: foo']],
    ['HOST-RESET-USERS\t\t0', '', ['warn doveadm sent invalid HOST-RESET-USERS parameters']],
    ['HOST-RESET-USERS\t\t-1', '', ['warn doveadm sent invalid HOST-RESET-USERS parameters']],
    ['HOST-RESET-USERS\t10.0.0.1\t', '', ['warn doveadm sent invalid HOST-RESET-USERS parameters']],
  ])('%j', (line, answer, log) => {
    const client = new AdminRig(HOSTS).client();
    expect(client.ask(line)).toBe(answer);
    expect(client.log).toEqual(log);
  });
});
