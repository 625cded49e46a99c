import { describe, expect, it } from 'vitest';
import { moveLimits } from '../../../src/main/moves/move-limits.ts';
import { server } from '../directory/test-directory.ts';
import { MoveRig } from './move-rig.ts';

const ONE = '10.0.0.1';

function busyRig(backends = 3): MoveRig {
  const hosts = Array.from({ length: backends }, (_, i) => server(`10.0.0.${i + 1}`));
  const rig = new MoveRig(hosts);
  rig.addUsers(backends * 60, 1);
  return rig;
}

describe('a second job', () => {
  it('that is the same joins the first', () => {
    const rig = busyRig();
    const id = rig.start({ kind: 'drain', ip: ONE, maxMoving: 5 });
    expect(rig.order({ kind: 'drain', ip: ONE, maxMoving: 5, by: 'you' })).toEqual({
      ...{ kind: 'joined', id },
    });
    expect(rig.jobs.activeCount).toBe(1);
  });

  it.each([
    ['another kind', { kind: 'flush', ip: ONE, maxMoving: 5 }],
    ['other limits', { kind: 'drain', ip: ONE, maxMoving: 6 }],
    ['all backends', { kind: 'flush', ip: null, maxMoving: 5 }],
    ['a rebalance', { kind: 'rebalance', ip: null, maxMoving: 5 }],
  ] as const)('of %s is refused', (_name, order) => {
    const rig = busyRig();
    const id = rig.start({ kind: 'drain', ip: ONE, maxMoving: 5 });
    expect(rig.order({ ...order, by: 'you' })).toEqual({
      kind: 'refused',
      text: `drain of 10.0.0.1 (max parallel 5) by me is going on: job ${id}`,
    });
  });

  it('does not join one that is being interrupted', () => {
    const rig = busyRig();
    const id = rig.start({ kind: 'drain', ip: ONE, maxMoving: 5 });
    rig.jobs.interrupt(id, 'me');
    expect(rig.order({ kind: 'drain', ip: ONE, maxMoving: 5 })).toMatchObject({ kind: 'refused' });
  });

  it('on another backend goes on beside it, within one limit', () => {
    const rig = busyRig();
    const first = rig.start({ kind: 'drain', ip: ONE, maxMoving: 20 });
    const second = rig.start({ kind: 'drain', ip: '10.0.0.2', maxMoving: 20 });
    rig.finish(first);
    rig.finish(second);
    expect(rig.mostMoving).toBe(20);
    expect(rig.test.usersOn('10.0.0.3')).toBe(180);
  });
});

it('an unknown backend is refused', () => {
  expect(busyRig().order({ kind: 'drain', ip: '10.0.0.99' })).toEqual({ kind: 'unknown-host' });
});

it.each([
  ['one fewer than', moveLimits.activeJobs - 1, 'started'],
  ['as many as', moveLimits.activeJobs, 'started'],
  ['one more than', moveLimits.activeJobs + 1, 'refused'],
])('%s the limit of jobs', (_name, count, outcome) => {
  const rig = busyRig(moveLimits.activeJobs + 3);
  const outcomes = Array.from({ length: count }, (_, i) => {
    return rig.order({ kind: 'drain', ip: `10.0.0.${i + 1}`, withinMs: 60_000 });
  });
  expect(outcomes.at(-1)!.kind).toBe(outcome);
});

it('remembers the jobs that ended last', () => {
  const rig = new MoveRig();
  for (let i = 0; i < moveLimits.endedJobs + 1; i++) rig.start({ kind: 'flush' });
  expect(rig.jobs.list().map(({ id }) => id)).toEqual(
    Array.from({ length: moveLimits.endedJobs }, (_, i) => i + 2),
  );
  expect(rig.jobs.get(1)).toBeNull();
  expect(rig.jobs.interrupt(1, 'me')).toBeNull();
  expect(rig.jobs.interrupt(2, 'me')).toBe(false);
});

it('a job that has much to do does not keep another one from its part', () => {
  const rig = busyRig();
  rig.test.directory.setDown(ONE, true, rig.test.nowMs);
  rig.order({ kind: 'drain', ip: ONE });
  rig.order({ kind: 'drain', ip: '10.0.0.2' });
  for (let i = 0; i < 40; i++) rig.turn();
  const [first, second] = rig.jobs.list();
  expect(first.progress.totalCount).toBeGreaterThan(0);
  expect(second.progress.totalCount).toBeGreaterThan(0);
});
