import { z } from 'zod';
import { route } from './route.ts';
import * as schema from './schemas.ts';

const listSessions = route({
  ...{ method: 'GET', path: '/api/v1/sessions', operationId: 'listSessions' },
  summary: 'Open sessions through this director, by backend',
  ...{ params: schema.nothing, query: schema.nothing, body: null, errors: [] },
  answers: {
    200: {
      text: 'Also of backends that were removed, while they have sessions',
      schema: z.strictObject({
        total: schema.count,
        backends: z.array(z.strictObject({ address: schema.address, sessions: schema.count })),
      }),
    },
  },
  handle: async ({ http }) => {
    const counts = http.sessionCounts();
    const total = counts.reduce((sum, { sessions }) => sum + sessions, 0);
    const backends = counts.map(({ ip, sessions }) => ({ address: ip, sessions }));
    return { status: 200, body: { total, backends } };
  },
});

const listMoves = route({
  ...{ method: 'GET', path: '/api/v1/moves', operationId: 'listMoves' },
  summary: 'What this director is moving and ending at the moment',
  ...{ params: schema.nothing, query: schema.nothing, body: null, errors: [] },
  answers: {
    200: {
      text: 'Counts of now',
      schema: z.strictObject({
        users_moving: schema.count.meta({
          description: 'Users whose sessions are being ended, or who wait for user_kick_delay',
        }),
        kicks: schema.count.meta({ description: 'Kicks by name or field under way' }),
        flushes: schema.count.meta({ description: 'Flushes under way or waiting for their turn' }),
        purging: z.boolean().meta({ description: 'Users of removed or flushed backends are left' }),
        waiting_logins: schema.count,
        max_parallel_moves: schema.count,
        max_parallel_kicks: schema.count,
      }),
    },
  },
  handle: async ({ http }) => {
    const { orders, maxParallelMoves, maxParallelKicks } = http.director;
    const { movingUsers, waitingLogins } = http.activity();
    const body = {
      ...{ users_moving: movingUsers, kicks: orders.kickCount, flushes: http.work.jobCount },
      ...{ purging: orders.isPurging, waiting_logins: waitingLogins },
      ...{ max_parallel_moves: maxParallelMoves, max_parallel_kicks: maxParallelKicks },
    };
    return { status: 200, body };
  },
});

export const activityRoutes = [listSessions, listMoves];
