import { z } from 'zod';
import { canonicalAddress } from '../../../shared/ip-address.ts';
import type { ListedJob } from '../../moves/move-jobs.ts';
import { DEFAULT_REBALANCE_RATE, moveLimits } from '../../moves/move-limits.ts';
import { HttpError } from '../http-error.ts';
import { backendNotFound } from './replies.ts';
import { type RestContext, route } from './route.ts';
import * as schema from './schemas.ts';

const PATH = '/api/v1/moves';
const params = z.strictObject({
  id: z.coerce.number().pipe(z.int().min(1)).meta({ description: 'Of the job' }),
});

const listMoves = route({
  ...{ method: 'GET', path: PATH, operationId: 'listMoves' },
  summary: 'What this director is moving and ending at the moment, and the jobs of late',
  ...{ params: schema.nothing, query: schema.nothing, body: null, errors: [] },
  answers: {
    200: {
      text: 'Counts of now; jobs in the order in which they were begun',
      schema: z.strictObject({
        users_moving: schema.count.meta({
          description: 'Users whose sessions are being ended, or who wait for user_kick_delay',
        }),
        kicks: schema.count.meta({ description: 'Kicks by name or field under way' }),
        flushes: schema.count.meta({ description: "doveadm's flushes under way, or waiting" }),
        purging: z.boolean().meta({ description: 'Users of removed or flushed backends are left' }),
        waiting_logins: schema.count,
        max_parallel_moves: schema.count,
        max_parallel_kicks: schema.count,
        jobs: z.array(schema.job),
      }),
    },
  },
  handle: async ({ http }) => {
    const { orders, moves, maxParallelMoves, maxParallelKicks } = http.director;
    const { movingUsers, waitingLogins } = http.activity();
    const body = {
      ...{ users_moving: movingUsers, kicks: orders.kickCount, flushes: http.work.jobCount },
      ...{ purging: orders.isPurging, waiting_logins: waitingLogins },
      ...{ max_parallel_moves: maxParallelMoves, max_parallel_kicks: maxParallelKicks },
      jobs: moves.jobs.list().map(shown),
    };
    return { status: 200, body };
  },
});

const startMoves = route({
  ...{ method: 'POST', path: PATH, operationId: 'startMoves' },
  summary: 'Move users to where they belong: of one backend, of one that is to be empty, of all',
  ...{ params: schema.nothing, query: schema.nothing, body: schema.newJob },
  answers: {
    202: { text: 'It has begun', schema: schema.job },
    200: { text: 'It was under way already', schema: schema.job },
  },
  errors: ['BACKEND_NOT_FOUND', 'JOB_REFUSED'],
  handle: async (context, { body }) => {
    const { moves, maxParallelMoves } = context.http.director;
    const isRebalance = body.kind === 'rebalance';
    requireFit(body);
    const ip = body.backend === undefined ? null : canonicalAddress(body.backend);
    const defaultRate = isRebalance ? DEFAULT_REBALANCE_RATE : null;
    const outcome = moves.jobs.start({
      ...{ kind: body.kind, ip, by: context.who },
      maxMoving: body.max_parallel ?? Math.min(maxParallelMoves, moveLimits.maxMoving),
      ratePerSec: body.rate ?? defaultRate,
      withinMs: body.within_secs === undefined ? null : body.within_secs * 1000,
    });
    if (outcome.kind === 'unknown-host') throw backendNotFound(ip ?? '');
    if (outcome.kind === 'refused') throw new HttpError('JOB_REFUSED', outcome.text);
    if (outcome.kind === 'started') context.log('info', `job ${outcome.id}: ${body.kind}`);
    const status = outcome.kind === 'started' ? 202 : 200;
    return { status, body: jobNow(context, outcome.id) };
  },
});

/** Throws HttpError when a kind of job does not know a parameter. */
function requireFit({ kind, backend, within_secs }: z.output<typeof schema.newJob>): void {
  const refuse = (at: string, text: string): never => {
    throw new HttpError('BAD_REQUEST', `body.${at}: ${text}`, [{ at: `body.${at}`, text }]);
  };
  if (kind === 'drain' && backend === undefined) refuse('backend', 'a drain needs a backend');
  if (kind === 'rebalance' && backend !== undefined) refuse('backend', 'a rebalance is of all');
  if (kind !== 'drain' && within_secs !== undefined) refuse('within_secs', 'only of a drain');
}

const getJob = route({
  ...{ method: 'GET', path: `${PATH}/{id}`, operationId: 'getJob', params, body: null },
  ...{ summary: 'How far a job is', query: schema.nothing, errors: ['JOB_NOT_FOUND'] },
  answers: { 200: { text: 'Also of one that has ended lately', schema: schema.job } },
  handle: async (context, { params: { id } }) => ({ status: 200, body: jobNow(context, id) }),
});

const interruptJob = route({
  ...{ method: 'DELETE', path: `${PATH}/{id}`, operationId: 'interruptJob', params, body: null },
  summary: 'Interrupt a job: users on the way arrive, the others stay',
  ...{ query: schema.nothing, errors: ['JOB_NOT_FOUND', 'JOB_OVER'] },
  answers: { 202: { text: 'It will end soon', schema: schema.job } },
  handle: async (context, { params: { id } }) => {
    const isStopping = context.http.director.moves.jobs.interrupt(id, context.who);
    if (isStopping === null) throw jobNotFound(id);
    if (!isStopping) throw new HttpError('JOB_OVER', `job ${id} is over, or about to be`);
    return { status: 202, body: jobNow(context, id) };
  },
});

export const moveRoutes = [listMoves, startMoves, getJob, interruptJob];

function jobNotFound(id: number): HttpError {
  return new HttpError('JOB_NOT_FOUND', `there is no job ${id}`);
}

function jobNow({ http }: RestContext, id: number): z.input<typeof schema.job> {
  const job = http.director.moves.jobs.get(id);
  if (job === null) throw jobNotFound(id);
  return shown(job);
}

function shown({ id, order, progress }: ListedJob): z.input<typeof schema.job> {
  const { kind, ip, maxMoving, ratePerSec, withinMs, by } = order;
  const { state, movedCount, totalCount, movingCount, busyCount, leftSecs, note } = progress;
  const timeOf = (ms: number): string => new Date(ms).toISOString();
  return {
    ...{ id, kind, backend: ip, state, moved: movedCount, total: totalCount },
    ...{ moving: movingCount, busy: busyCount, rate: progress.ratePerSec },
    left_secs: leftSecs === null ? null : Math.ceil(leftSecs),
    started_at: timeOf(progress.startedMs),
    ended_at: progress.endedMs === 0 ? null : timeOf(progress.endedMs),
    ...{ max_parallel: maxMoving, max_rate: ratePerSec },
    within_secs: withinMs === null ? null : withinMs / 1000,
    ...{ by, note },
  };
}
