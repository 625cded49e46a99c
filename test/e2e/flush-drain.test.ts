import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileUserHash } from '../../src/shared/user-hash.ts';
import type { SessionInterval } from '../support/backend-watch.ts';
import { eventually } from '../support/deadline.ts';
import { LiveUsers } from '../support/live-users.ts';
import { MoveJobsClient } from '../support/move-jobs-client.ts';
import type { BackendKind } from '../support/ring-backends.ts';
import { RingLab } from '../support/ring-lab.ts';
import type { RingMember } from '../support/ring-member.ts';

/**
 * Users with live sessions, whose clients come back at once whenever they are kicked, while whole
 * backends are emptied. What the backends saw decides: nobody is on two of them at one time, and never
 * more than max_parallel_moves users are without a backend because of a move.
 */
const CASES: readonly { kind: BackendKind; users: number; withinSecs: number }[] = [
  { kind: 'embedded', users: 1000, withinSecs: 20 },
  { kind: 'dovecot', users: 60, withinSecs: 10 },
];
/** The default of max_parallel_moves. */
const MAX_PARALLEL = 100;
const KICK_DELAY_MS = 1000;
/** A drain tells the last users to go so long before its time is up: see move-job.ts. */
const RESERVE_MS = KICK_DELAY_MS + 2000;
/** Every so many users have sessions through both directors. */
const BOTH_EVERY = 10;
const hashOf = compileUserHash('%Lu');

describe.each(CASES)('$users users on $kind backends', ({ kind, users, withinSecs }) => {
  let lab: RingLab;
  let live: LiveUsers;
  let first: RingMember;
  let second: RingMember;
  let jobs: MoveJobsClient;

  beforeAll(async () => {
    const userKickDelay = `${KICK_DELAY_MS}ms`;
    lab = await RingLab.start({
      mix: ['ours', 'ours'],
      ...{ backendCount: 3, backends: kind, userKickDelay },
    });
    [first, second] = lab.members;
    await Promise.all(lab.members.map((member) => member.start()));
    await lab.waitForRing();
    jobs = await MoveJobsClient.connect(lab, first);
    live = new LiveUsers(lab);
    await live.add(
      Array.from({ length: users }, (_value, i) => {
        const user = `user${i}`;
        const one = { user, member: i % 2 === 0 ? first : second };
        const other = { user, member: i % 2 === 0 ? second : first };
        return i % BOTH_EVERY === 0 ? [one, other] : [one];
      }).flat(),
    );
    await lab.waitForEqualState();
  }, 120_000);

  afterAll(async () => {
    jobs?.close();
    await live?.stop();
    await lab?.stop();
  });

  /** Users who have a session on the backend. */
  function usersOn(ip: string): Set<string> {
    const open = lab.backends.open().filter(({ backend }) => backend === ip);
    return new Set(open.map(({ user }) => user));
  }

  async function untilAllAreBack(): Promise<void> {
    await eventually('all clients are logged in again', 30_000, () => live.areAllIn);
    await eventually('the backends know of all', 10_000, () => {
      return lab.backends.open().length === live.sessions.length;
    });
  }

  /** Sessions that have ended on the backend since then, by their end. */
  function endedSince(sinceUs: number, ip: string): SessionInterval[] {
    return lab.backends.ended().filter(({ endUs, backend }) => {
      return (endUs ?? 0) > sinceUs && backend === ip;
    });
  }

  /**
   * A user on the way is not let in for user_kick_delay after its last session has ended. So as many
   * users as have ended their last session within one such time were on the way at once.
   */
  function mostOnTheWay(ended: readonly SessionInterval[]): number {
    const lastEnds = new Map<string, number>();
    for (const { user, endUs } of ended) {
      lastEnds.set(user, Math.max(lastEnds.get(user) ?? 0, endUs ?? 0));
    }
    const times = [...lastEnds.values()].sort((a, b) => a - b);
    // A backend may notice an end late: a tenth of the time is left out for that.
    const windowUs = KICK_DELAY_MS * 900;
    let most = 0;
    for (let start = 0, end = 0; end < times.length; end++) {
      while (times[end] - times[start] > windowUs) start++;
      most = Math.max(most, end - start + 1);
    }
    return most;
  }

  test('flush of a backend that is down: all go, 100 at a time, nobody is on two backends', async () => {
    const [ip] = lab.backends.ips;
    const before = usersOn(ip);
    expect(before.size).toBeGreaterThan(users / 5);
    const down = await second.doveadm('down', ip);
    expect(down).toMatchObject({ code: 0 });
    await lab.waitForRing();
    const sinceUs = nowUs();
    const id = await jobs.start('X-FLUSH', ip);
    const { mostMoving, ...job } = await jobs.finish(id, 60_000);
    expect(job).toMatchObject({ state: 'done', moved: before.size, total: before.size, note: '' });
    await untilAllAreBack();
    expect(usersOn(ip).size).toBe(0);
    expect(lab.backends.overlaps()).toEqual([]);
    const ended = endedSince(sinceUs, ip);
    expect(new Set(ended.map(({ user }) => user))).toEqual(before);
    expect(mostMoving).toBeLessThanOrEqual(MAX_PARALLEL);
    expect(mostOnTheWay(ended)).toBeLessThanOrEqual(MAX_PARALLEL);
    if (before.size > 2 * MAX_PARALLEL) {
      expect(mostOnTheWay(ended)).toBeGreaterThan(MAX_PARALLEL / 2);
    }
    await lab.waitForEqualState();
    expect(live.refusals).toEqual([]);
  }, 120_000);

  test('the same by doveadm: the users come back to the backend that is up again', async () => {
    const [ip] = lab.backends.ips;
    expect(await second.doveadm('up', ip)).toMatchObject({ code: 0 });
    await lab.waitForRing();
    expect(await first.doveadm('flush', 'all')).toMatchObject({ code: 0 });
    await untilAllAreBack();
    expect(usersOn(ip).size).toBeGreaterThan(users / 5);
    expect(lab.backends.overlaps()).toEqual([]);
    await eventually('nobody is on the way', 10_000, async () => {
      const states = await Promise.all(['user0', 'user1'].map((user) => jobs.list('X-WHY', user)));
      return states.flat().every(([key, , kill]) => key !== 'state' || kill === '');
    });
  }, 120_000);

  test('drain: all are gone within the time, evenly, nobody is on two backends', async () => {
    const ip = lab.backends.ips[1];
    const before = usersOn(ip);
    expect(before.size).toBeGreaterThan(users / 5);
    const sinceUs = nowUs();
    const id = await jobs.start('X-DRAIN', ip, String(withinSecs));
    const { mostMoving, ...job } = await jobs.finish(id, withinSecs * 1000 + 10_000);
    const tookMs = (nowUs() - sinceUs) / 1000;
    expect(job).toMatchObject({ state: 'done', note: '' });
    expect(tookMs).toBeLessThanOrEqual(withinSecs * 1000);
    expect(tookMs).toBeGreaterThan(withinSecs * 500);
    await untilAllAreBack();
    expect(usersOn(ip).size).toBe(0);
    expect(lab.backends.overlaps()).toEqual([]);
    const ended = endedSince(sinceUs, ip);
    expect(new Set(ended.map(({ user }) => user))).toEqual(before);
    expect(mostMoving).toBeLessThanOrEqual(MAX_PARALLEL);
    expect(mostOnTheWay(ended)).toBeLessThanOrEqual(MAX_PARALLEL);
    const halfUs = sinceUs + (withinSecs * 1000 - RESERVE_MS) * 500;
    const firstHalf = ended.filter(({ endUs }) => (endUs ?? 0) < halfUs);
    expect(firstHalf.length / ended.length).toBeGreaterThan(0.35);
    expect(firstHalf.length / ended.length).toBeLessThan(0.65);
    expect((await first.hosts()).find((host) => host.ip === ip)).toMatchObject({ vhosts: 0 });
    expect(live.refusals).toEqual([]);
  }, 120_000);

  test('an interrupted drain is continued by the same command on another director', async () => {
    const ip = lab.backends.ips[1];
    expect(await second.doveadm('update', ip, '100')).toMatchObject({ code: 0 });
    await lab.waitForRing();
    expect(await second.doveadm('flush', 'all')).toMatchObject({ code: 0 });
    await untilAllAreBack();
    const before = usersOn(ip).size;
    const id = await jobs.start('X-DRAIN', ip, '3600');
    await eventually('the first users are gone', 30_000, async () => {
      return (await jobs.job(id)).moved > 0;
    });
    expect(await jobs.ask('X-INTERRUPT', String(id))).toBe('OK');
    expect(await jobs.finish(id, 10_000)).toMatchObject({ state: 'interrupted', moving: 0 });
    await untilAllAreBack();
    const left = usersOn(ip).size;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(before);
    const others = await MoveJobsClient.connect(lab, second);
    try {
      const again = await others.start('X-DRAIN', ip);
      expect(await others.finish(again, 30_000)).toMatchObject({ state: 'done', moved: left });
    } finally {
      others.close();
    }
    await untilAllAreBack();
    expect(usersOn(ip).size).toBe(0);
    expect(lab.backends.overlaps()).toEqual([]);
  }, 120_000);

  test('a move kills the sessions on both directors before the first new one', async () => {
    const movers = Array.from({ length: 10 }, (_value, i) => `user${i * BOTH_EVERY}`).slice(
      0,
      Math.floor(users / BOTH_EVERY),
    );
    for (const [i, user] of movers.entries()) {
      await untilAllAreBack();
      const old = lab.backends.open(user);
      expect(new Set(old.map(({ clientIp }) => clientIp)).size).toBe(2);
      const target = lab.backends.ips.find((ip) => ip !== old[0].backend && ip !== drained())!;
      const by = lab.members[i % 2];
      expect(await by.doveadm('move', user, target)).toMatchObject({ code: 0 });
      const fresh = await eventually(`${user} is back on both`, 30_000, () => {
        const open = lab.backends.open(user).filter(({ backend }) => backend === target);
        return open.length === old.length ? open : null;
      });
      const ended = lab.backends.ended().filter((session) => {
        return session.user === user && session.backend === old[0].backend;
      });
      const lastEndUs = Math.max(...ended.map(({ endUs }) => endUs ?? 0));
      const firstStartUs = Math.min(...fresh.map(({ startUs }) => startUs));
      expect(ended.length).toBeGreaterThanOrEqual(old.length);
      expect(firstStartUs).toBeGreaterThan(lastEndUs);
      const why = await jobs.list('X-WHY', String(hashOf(user)));
      const move = why.find(([key]) => key === 'move')!;
      expect(move.slice(2, 5)).toEqual(['move', old[0].backend, target]);
      expect(move[5]).toMatch(by === first ? /^unix socket$/ : /^director 127\./);
    }
    expect(lab.backends.overlaps()).toEqual([]);
  }, 120_000);

  /** Takes nobody since the tests before. */
  function drained(): string {
    return lab.backends.ips[1];
  }
});

function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
