import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileUserHash } from '../../src/shared/user-hash.ts';
import { eventually, withDeadline } from '../support/deadline.ts';
import { waitUntilAllEnded } from '../support/ring-backends.ts';
import { RingLab } from '../support/ring-lab.ts';
import type { RingMember } from '../support/ring-member.ts';
import { parseMix, ringMixes } from '../support/ring-mixes.ts';
import type { RingSession } from '../support/ring-session.ts';

/**
 * Real Dovecot directors and ours in one ring, on embedded backends. Replay one mixture with
 * RING_MIX=ours,real,real npx vitest run test/e2e/ring-mixed.test.ts
 * RING_LOGS=FOLDER keeps what the members logged; real ones log every line of the ring protocol.
 */
const MIXES = await ringMixes(['ours,real,real', 'ours,ours,real', 'ours,ours,real,real']);
const BACKENDS = 5;
/** The last one is added by the tests. */
const CONFIGURED = 4;
const CLOSE_DEADLINE_MS = 5_000;
/** Users whose listing shows that news after a flush is believed again, and how long that may take. */
const PROBES = 12;
const NEWS_DEADLINE_MS = 40_000;
const USERS = Array.from({ length: 20 }, (_value, index) => `user${index}`);
const hashOf = compileUserHash('%Lu');

describe.each(MIXES)('%s', (mix) => {
  let lab: RingLab;
  /** One of each kind of those that take commands. */
  let commanders: RingMember[];
  let spare: string;

  beforeAll(async () => {
    lab = await RingLab.start({
      mix: parseMix(mix),
      backendCount: BACKENDS,
      configuredCount: CONFIGURED,
      logsWire: true,
    });
    spare = lab.backends.ips[CONFIGURED];
    const able = lab.members.filter((member) => member.commandable);
    commanders = [...new Map(able.map((member) => [member.kind, member])).values()];
  });

  afterAll(async () => {
    const logs = process.env['RING_LOGS'];
    if (logs !== undefined) lab?.saveLogs(join(logs, mix));
    await lab?.stop();
  });

  /** Runs a command that must succeed, and waits until all members agree on what it led to. */
  async function command(member: RingMember, ...args: string[]): Promise<void> {
    const result = await member.doveadm(...args);
    expect(result, `${args.join(' ')} on ${member.name}`).toEqual({
      ...{ code: 0, stdout: '', stderr: '' },
    });
    await lab.waitForRing();
    await lab.waitForEqualState();
  }

  /** Where all members say the user is; undefined: nowhere. */
  async function homeOf(user: string): Promise<string | undefined> {
    await lab.waitForEqualState();
    return (await lab.live[0].map()).get(hashOf(user));
  }

  /** One session through each running member. */
  async function loginByAll(user: string): Promise<RingSession[]> {
    return await Promise.all(lab.live.map((member) => lab.login(member, user)));
  }

  /** On which backends the user is, as these see it. */
  function backendsOf(user: string): string[] {
    return [...new Set(lab.backends.open(user).map((session) => session.backend))];
  }

  async function logout(user: string, sessions: readonly RingSession[]): Promise<void> {
    await Promise.all(sessions.map((session) => session.logout()));
    await waitUntilAllEnded(lab.backends, user);
  }

  async function allClosed(sessions: readonly RingSession[]): Promise<void> {
    const all = Promise.all(sessions.map((session) => session.closed));
    await withDeadline(all, CLOSE_DEADLINE_MS, 'end of the sessions');
  }

  test('forms from any start order', async () => {
    const { members } = lab;
    const orders = [members, [...members].reverse(), [...members.slice(1), members[0]]];
    for (const order of orders) {
      await Promise.all(members.map((member) => member.stop()));
      for (const member of order) await member.start();
      await lab.waitForRing();
    }
    await Promise.all(members.map((member) => member.stop()));
    await Promise.all(members.map((member) => member.start()));
    await lab.waitForRing();
    await lab.waitForEqualState();
    expect((await members[0].hosts()).map((host) => host.ip)).toEqual(
      lab.backends.ips.slice(0, CONFIGURED),
    );
  }, 90_000);

  test('all members tell the same', async () => {
    const sessions = await Promise.all(
      USERS.map((user, index) => lab.login(lab.members[index % lab.members.length], user)),
    );
    await lab.waitForEqualState();
    const usersFile = join(lab.directory, 'users');
    writeFileSync(usersFile, USERS.map((user) => `${user}\n`).join(''));
    const statuses = new Set<string>();
    const maps = new Set<string>();
    for (const member of lab.members) {
      const status = await member.doveadm('status');
      expect(status).toMatchObject({ code: 0, stderr: '' });
      statuses.add(status.stdout);
      const map = await member.doveadm('map', '-f', usersFile);
      expect(map).toMatchObject({ code: 0, stderr: '' });
      // All but the time of expiry, and in no order.
      const rows = map.stdout.split('\n').slice(1, -1);
      maps.add(
        rows
          .map((row) => row.split(/ +/).slice(0, 3).join(' '))
          .sort()
          .join('\n'),
      );
      const ring = await member.doveadm('ring', 'status');
      expect(ring).toMatchObject({ code: 0, stderr: '' });
      for (const { ip } of lab.members) expect(ring.stdout).toContain(`\n${ip} `);
      expect(ring.stdout).toMatch(new RegExp(`^${member.ip} +9090 +self +never +ring synced`, 'm'));
    }
    expect([...statuses]).toHaveLength(1);
    expect([...maps]).toHaveLength(1);
    const told = [...maps][0].split('\n').map((row) => row.split(' '));
    expect(told.map(([user]) => user)).toEqual([...USERS].sort());
    for (const [user, hash, ip] of told) {
      expect(Number(hash)).toBe(hashOf(user));
      expect(backendsOf(user)).toEqual([ip]);
    }
    await Promise.all(sessions.map((session) => session.logout()));
    await waitUntilAllEnded(lab.backends);
  });

  test('a user lands on the same backend by all members', async () => {
    for (const user of USERS) {
      const sessions = await loginByAll(user);
      expect(backendsOf(user)).toHaveLength(1);
      expect(backendsOf(user)).toEqual([await homeOf(user)]);
      await logout(user, sessions);
    }
  });

  test('hosts: add, update, down, up, remove', async () => {
    for (const member of commanders) {
      const spareHost = async (): Promise<object | undefined> => {
        const all = await Promise.all(lab.live.map((other) => other.hosts()));
        return all.map((hosts) => hosts.find((host) => host.ip === spare))[lab.live.length - 1];
      };
      await command(member, 'add', spare, '50');
      expect(await spareHost()).toMatchObject({ vhosts: 50, isDown: false, users: 0 });
      await command(member, 'update', spare, '70');
      expect(await spareHost()).toMatchObject({ vhosts: 70 });
      await command(member, 'down', spare);
      expect(await spareHost()).toMatchObject({ isDown: true });
      // Users who are new go elsewhere.
      const sessions = await Promise.all(USERS.map((user) => lab.login(lab.live[0], `${user}d`)));
      expect(lab.backends.open().filter(({ backend }) => backend === spare)).toEqual([]);
      await Promise.all(sessions.map((session) => session.logout()));
      await command(member, 'up', spare);
      await command(member, 'update', spare, '1000');
      const later = await Promise.all(
        USERS.map((user) => lab.login(lab.live[0], `${user}-${member.kind}`)),
      );
      expect(lab.backends.open().filter(({ backend }) => backend === spare)).not.toEqual([]);
      await Promise.all(later.map((session) => session.logout()));
      await waitUntilAllEnded(lab.backends);
      await command(member, 'remove', spare);
      expect(await spareHost()).toBeUndefined();
      for (const other of lab.live) expect([...(await other.map()).values()]).not.toContain(spare);
    }
  });

  test('move: sessions by all members end, the next go to the new backend', async () => {
    for (const member of commanders) {
      const user = `mover-${member.kind}`;
      const sessions = await loginByAll(user);
      const before = await homeOf(user);
      const target = lab.backends.ips.slice(0, CONFIGURED).find((ip) => ip !== before);
      if (target === undefined) throw new Error('no other backend');
      await command(member, 'move', user, target);
      await allClosed(sessions);
      expect(await homeOf(user)).toBe(target);
      // These wait until the move is over.
      const later = await loginByAll(user);
      expect(backendsOf(user)).toEqual([target]);
      await logout(user, later);
    }
  });

  test('kick: sessions by all members end, the user stays where it was', async () => {
    for (const member of commanders) {
      const user = `kicked-${member.kind}`;
      const other = await lab.login(lab.live[0], `${user}-not`);
      const sessions = await loginByAll(user);
      const before = await homeOf(user);
      await command(member, 'kick', user);
      await allClosed(sessions);
      expect(await other.noop()).toBe(true);
      await other.logout();
      const later = await loginByAll(user);
      expect(backendsOf(user)).toEqual([before]);
      await logout(user, later);
    }
  });

  test('flush: users of a drained backend are moved, with -F they are forgotten', async () => {
    for (const member of commanders) {
      const users = USERS.map((user) => `${user}-f-${member.kind}`);
      const sessions = await Promise.all(users.map((user) => lab.login(lab.live[0], user)));
      // One that has users: where they go depends on the addresses, which differ in every run.
      const [drained] = backendsOf(users[0]);
      const there = sessions.filter(({ user }) => backendsOf(user).includes(drained));
      await command(member, 'update', drained, '0');
      await command(member, 'flush', drained);
      await allClosed(there);
      await eventually('nobody is on the drained backend', CLOSE_DEADLINE_MS, async () => {
        const maps = await Promise.all(lab.live.map((other) => other.map()));
        return maps.every((map) => ![...map.values()].includes(drained));
      });
      const stayed = sessions.filter((session) => !there.includes(session));
      for (const session of stayed) expect(await session.noop()).toBe(true);
      const again = await Promise.all(there.map(({ user }) => lab.login(lab.live[0], user)));
      expect(again.every(({ user }) => !backendsOf(user).includes(drained))).toBe(true);
      await Promise.all([...stayed, ...again].map((session) => session.logout()));
      await waitUntilAllEnded(lab.backends);
      await command(member, 'update', drained, '100');
      // Nobody is logged in: forgetting is harmless.
      await command(member, 'flush', '-F', 'all');
      for (const other of lab.live) expect((await other.map()).size).toBe(0);
      // Right behind a flush ours doubts news of the hosts' users, which may be older than the flush: it asks
      // the ring at their next login, and does not list them. That passes.
      const probes = Array.from({ length: PROBES }, (_value, i) => `probe-${member.kind}-${i}`);
      await eventually('all members list all new users again', NEWS_DEADLINE_MS, async () => {
        for (const probe of probes) await (await lab.login(lab.live[0], probe)).logout();
        const maps = await Promise.all(lab.live.map((other) => other.map()));
        return maps.every(({ size }) => size === PROBES);
      });
      await waitUntilAllEnded(lab.backends);
    }
  }, 150_000);

  test('kill -9 of each member, and its return', async () => {
    for (const member of lab.members) {
      const user = `survivor-${member.name}`;
      const sessions = await loginByAll(user);
      const home = await homeOf(user);
      await member.kill9();
      await allClosed([sessions[lab.members.indexOf(member)]]);
      await lab.waitForRing();
      expect(await homeOf(user)).toBe(home);
      const meanwhile = await lab.login(lab.live[0], `${user}-new`);
      await member.start();
      await lab.waitForRing();
      expect(await homeOf(user)).toBe(home);
      const later = await lab.login(member, user);
      expect(backendsOf(user)).toEqual([home]);
      expect(backendsOf(`${user}-new`)).toEqual([await homeOf(`${user}-new`)]);
      await Promise.all([...sessions, later, meanwhile].map((session) => session.logout()));
      await waitUntilAllEnded(lab.backends);
    }
  }, 90_000);

  test('ring remove and ring add of each member', async () => {
    for (const commander of commanders) {
      for (const member of lab.members) {
        if (member === commander) continue;
        // A member that runs on after its removal would go its own ways.
        await member.stop();
        await lab.waitForRing();
        await command(commander, 'ring', 'remove', member.ip);
        for (const other of lab.live) {
          const listed = await other.ringStatus();
          expect(listed.map(({ ip }) => ip)).not.toContain(member.ip);
        }
        await command(commander, 'ring', 'add', member.ip);
        await member.start();
        await lab.waitForRing();
        await lab.waitForEqualState();
      }
    }
  }, 90_000);

  test('nobody was on two backends, and nobody misunderstood anybody', () => {
    expect(lab.backends.overlaps()).toEqual([]);
    for (const member of lab.members) expect(member.protocolErrors(), member.name).toEqual([]);
  });
});
