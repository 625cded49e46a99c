import { setImmediate, setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { canonicalAddress } from '../../../shared/ip-address.ts';
import type { HostStatus } from '../../admin/directory-view.ts';
import { DEFAULT_VHOST_COUNT } from '../../directory/host-set.ts';
import { HttpError } from '../http-error.ts';
import { httpLimits } from '../http-limits.ts';
import { backendNotFound, requireOk } from './replies.ts';
import { type RestContext, route } from './route.ts';
import * as schema from './schemas.ts';
import { timeOrNull } from './schemas.ts';

const PATH = '/api/v1/backends';
const params = z.strictObject({ address: schema.address });
const flushParams = z.strictObject({
  address: schema.address.or(z.literal('all')).meta({ description: 'Address, or `all`' }),
});

const listBackends = route({
  ...{ method: 'GET', path: PATH, operationId: 'listBackends', summary: 'All backends' },
  ...{ params: schema.nothing, query: schema.nothing, body: null, errors: [] },
  answers: {
    200: {
      text: 'In address order, and the configured ones that are there no more',
      schema: z.strictObject({
        backends: z.array(schema.backend),
        removed: z.array(schema.address),
      }),
    },
  },
  handle: async (context) => ({ pieces: backendPieces(context) }),
});

async function* backendPieces({ http }: RestContext): AsyncGenerator<string, void> {
  const { view } = http.director;
  const sessions = sessionsByIp(http);
  let piece = '{"backends":[';
  for (const [i, host] of view.hosts().entries()) {
    piece += `${i > 0 ? ',' : ''}${JSON.stringify(shown(host, sessions))}`;
    if ((i + 1) % httpLimits.rowsPerSlice !== 0) continue;
    yield piece;
    piece = '';
    await setImmediate();
  }
  yield `${piece}],"removed":${JSON.stringify(view.removedHosts())}}`;
}

const addBackend = route({
  ...{ method: 'POST', path: PATH, operationId: 'addBackend', summary: 'Add a backend' },
  ...{ params: schema.nothing, query: schema.nothing },
  body: z.strictObject({
    address: schema.address,
    tag: schema.tag.default(''),
    vhost_count: schema.vhostCount.default(DEFAULT_VHOST_COUNT),
  }),
  answers: { 201: { text: 'Every director has it', schema: schema.backend } },
  errors: ['BACKEND_EXISTS', 'LIMIT_REACHED', 'RING_UNSYNCED'],
  handle: async (context, { body }) => {
    const ip = canonicalAddress(body.address) as string;
    if (context.http.director.orders.host(ip) !== undefined) {
      throw new HttpError('BACKEND_EXISTS', `${ip} is a backend already`);
    }
    const target = body.tag === '' ? ip : `${ip}@${body.tag}`;
    requireOk(await context.admin.line('HOST-SET', target, `${body.vhost_count}`));
    return { status: 201, body: backendNow(context, ip) };
  },
});

const getBackend = route({
  ...{ method: 'GET', path: `${PATH}/{address}`, operationId: 'getBackend' },
  ...{ summary: 'One backend', params, query: schema.nothing, body: null },
  answers: { 200: { text: 'The backend', schema: schema.backend } },
  errors: ['BACKEND_NOT_FOUND'],
  handle: async (context, { params: { address } }) => {
    return { status: 200, body: backendNow(context, canonicalAddress(address) as string) };
  },
});

const changeBackend = route({
  ...{ method: 'PATCH', path: `${PATH}/{address}`, operationId: 'changeBackend' },
  ...{
    summary: 'Change weight, state, or both at once; users stay until they expire, or are flushed',
  },
  ...{ params, query: schema.nothing },
  body: z
    .strictObject({ vhost_count: schema.vhostCount.optional(), state: schema.state.optional() })
    .refine((body) => Object.keys(body).length > 0, 'expected vhost_count, state, or both'),
  answers: { 200: { text: 'Every director knows it', schema: schema.backend } },
  errors: ['BACKEND_NOT_FOUND', 'BACKEND_UPDATING', 'RING_UNSYNCED'],
  handle: async (context, { params: { address }, body }) => {
    const ip = canonicalAddress(address) as string;
    const states = { up: 'U', down: 'D' } as const;
    const state = body.state === undefined ? '' : states[body.state];
    const line = await context.admin.line('X-CHANGE', ip, `${body.vhost_count ?? ''}`, state);
    requireOk(line, { NOTFOUND: backendNotFound(ip) });
    return { status: 200, body: backendNow(context, ip) };
  },
});

const removeBackend = route({
  ...{ method: 'DELETE', path: `${PATH}/{address}`, operationId: 'removeBackend' },
  ...{ summary: 'Remove a backend; its sessions are ended, its users forgotten' },
  ...{ params, query: schema.nothing, body: null },
  answers: { 204: { text: 'Every director has obeyed', schema: null } },
  errors: ['BACKEND_NOT_FOUND', 'RING_UNSYNCED'],
  handle: async ({ admin }, { params: { address } }) => {
    const ip = canonicalAddress(address) as string;
    requireOk(await admin.line('HOST-REMOVE', ip), { NOTFOUND: backendNotFound(ip) });
    return { status: 204 };
  },
});

const flushBackend = route({
  ...{ method: 'POST', path: `${PATH}/{address}/flush`, operationId: 'flushBackend' },
  ...{ summary: 'Move the users of a backend, or of all, to where they belong now' },
  ...{ params: flushParams, query: schema.nothing },
  body: z
    .strictObject({
      force: z
        .boolean()
        .default(false)
        .meta({ description: 'Forget the users at once, their sessions ended' }),
      max_parallel: z.int().min(1).max(1_000_000).optional(),
      wait_secs: schema.waitSecs.default(30),
    })
    .prefault({}),
  answers: {
    200: { text: 'Done', schema: z.strictObject({ done: z.literal(true) }) },
    202: { text: 'It goes on', schema: z.strictObject({ done: z.literal(false) }) },
  },
  errors: ['BACKEND_NOT_FOUND', 'BUSY', 'RING_UNSYNCED'],
  handle: async (context, { params: { address }, body }) => {
    const ip = address === 'all' ? '' : (canonicalAddress(address) as string);
    const limit = body.max_parallel === undefined ? [] : [`${body.max_parallel}`];
    const answer = body.force
      ? context.admin.line('HOST-FLUSH', ip)
      : context.admin.line('HOST-RESET-USERS', ip, ...limit);
    const end = new AbortController();
    const late = setTimeout(body.wait_secs * 1000, 'late' as const, { signal: end.signal });
    // Neither fails unheard when the other one was first.
    late.catch(() => {});
    answer.catch((error) => context.log('error', `flush ${address}: ${error}`));
    const line = await Promise.race([answer, late]).finally(() => end.abort());
    if (line === 'late') return { status: 202, body: { done: false } };
    requireOk(line, { NOTFOUND: backendNotFound(ip) });
    return { status: 200, body: { done: true } };
  },
});

export const backendRoutes = [
  ...[listBackends, addBackend, getBackend, changeBackend, removeBackend, flushBackend],
];

function backendNow({ http }: RestContext, ip: string): z.input<typeof schema.backend> {
  const host = http.director.view.hosts().find((candidate) => candidate.ip === ip);
  if (host === undefined) throw backendNotFound(ip);
  return shown(host, sessionsByIp(http));
}

function shown(
  host: HostStatus,
  sessions: ReadonlyMap<string, number>,
): z.input<typeof schema.backend> {
  return {
    address: host.ip,
    tag: host.tag,
    vhost_count: host.vhostCount,
    state: host.isDown ? 'down' : 'up',
    state_changed_at: timeOrNull(host.lastUpDownChangeSecs),
    users: host.userCount,
    sessions: sessions.get(host.ip) ?? 0,
  };
}

function sessionsByIp(http: RestContext['http']): Map<string, number> {
  return new Map(http.sessionCounts().map(({ ip, sessions }) => [ip, sessions]));
}
