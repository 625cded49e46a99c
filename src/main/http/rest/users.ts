import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { canonicalAddress } from '../../../shared/ip-address.ts';
import { parseUint32 } from '../../admin/admin-protocol.ts';
import { utf8Bytes } from '../../cli/byte-output.ts';
import { HttpError } from '../http-error.ts';
import { httpLimits } from '../http-limits.ts';
import { backendNotFound, requireOk } from './replies.ts';
import { type RestContext, route } from './route.ts';
import * as schema from './schemas.ts';
import { timeText } from './schemas.ts';

const PATH = '/api/v1/users';
const params = z.strictObject({
  name: z.string().meta({ description: 'User name, or hash with `as=hash`' }),
});
const as = z
  .enum(['name', 'hash'])
  .default('name')
  .meta({ description: 'What `name` in the path is' });

const listUsers = route({
  ...{ method: 'GET', path: PATH, operationId: 'listUsers', params: schema.nothing, body: null },
  summary: 'All users of the directory, or those of one backend; may be very long',
  query: z.strictObject({ backend: schema.address.optional() }),
  answers: {
    200: {
      text: 'In no order; the directory knows no names',
      schema: z.strictObject({ users: z.array(schema.userEntry) }),
    },
  },
  errors: [],
  handle: async (context, { query }) => {
    const only = query.backend === undefined ? null : canonicalAddress(query.backend);
    return { pieces: userPieces(context, only) };
  },
});

async function* userPieces(
  { http }: RestContext,
  only: string | null,
): AsyncGenerator<string, void> {
  let piece = '{"users":[';
  let separator = '';
  let looked = 0;
  for (const { hash, ip, expiresAtSecs } of http.director.view.users()) {
    if (only === null || ip === only) {
      // Nothing in it needs to be escaped.
      piece += `${separator}{"hash":${hash},"backend":"${ip}","expires_at":"${timeText(expiresAtSecs)}"}`;
      separator = ',';
    }
    if (++looked % httpLimits.rowsPerSlice !== 0) continue;
    yield piece;
    piece = '';
    await setImmediate();
  }
  yield `${piece}]}`;
}

const getUser = route({
  ...{ method: 'GET', path: `${PATH}/{name}`, operationId: 'getUser', params, body: null },
  summary: 'Where a user is, and would be',
  query: z.strictObject({ tag: schema.tag.default(''), as }),
  answers: { 200: { text: 'Also of a user that is not in the directory', schema: schema.user } },
  errors: [],
  handle: async ({ http }, { params: { name }, query }) => {
    const { view, moves } = http.director;
    const hash = hashOf(http, name, query.as);
    const current = view.currentHost(query.tag, hash);
    const body: z.input<typeof schema.user> = {
      ...{ user: query.as === 'name' ? name : null, hash, tag: query.tag },
      backend: current?.ip ?? null,
      expires_at: current === null ? null : timeText(current.expiresAtSecs),
      hashed_backend: view.hashedHost(query.tag, hash),
      configured_backend: view.configuredHost(query.tag, hash),
      sessions: (moves.facts(query.tag, hash)?.sessions ?? []).map(({ ip, sessions }) => {
        return { backend: ip, sessions };
      }),
      moves: moves.recentOf(query.tag, hash, httpLimits.shownMoves).map((move) => ({
        ...{ at: new Date(move.atMs).toISOString(), kind: move.kind, by: move.by },
        ...{ from: move.oldIp || null, to: move.newIp || null },
      })),
    };
    return { status: 200, body };
  },
});

const done = z.boolean().meta({ description: 'False: it goes on' });
const moved = z.strictObject({ hash: schema.hash, backend: schema.address, done });
const kicked = z.strictObject({ done });

const moveUser = route({
  ...{ method: 'POST', path: `${PATH}/{name}/move`, operationId: 'moveUser', params },
  summary: 'Move a user to a backend; its sessions are ended first, on all directors',
  query: z.strictObject({ as }),
  body: z.strictObject({ backend: schema.address, wait_secs: schema.waitSecs.default(0) }),
  answers: {
    202: { text: 'The move has begun', schema: moved },
    200: { text: 'All directors have closed its sessions, and it may log in', schema: moved },
  },
  errors: ['BACKEND_NOT_FOUND', 'USER_BUSY'],
  handle: async ({ http, admin }, { params: { name }, query, body }) => {
    const hash = hashOf(http, name, query.as);
    const ip = canonicalAddress(body.backend) as string;
    requireOk(await admin.line('USER-MOVE', `${hash}`, ip), {
      NOTFOUND: backendNotFound(ip),
      TRYAGAIN: new HttpError('USER_BUSY', 'the user is being moved already'),
    });
    const wait = `${body.wait_secs}`;
    const done = body.wait_secs > 0 && (await admin.line('X-WAIT-MOVE', `${hash}`, wait)) === 'OK';
    return { status: done ? 200 : 202, body: { hash, backend: ip, done } };
  },
});

const kickUser = route({
  ...{ method: 'POST', path: `${PATH}/{name}/kick`, operationId: 'kickUser', params },
  ...{ summary: 'End all sessions of a user, on all directors', query: schema.nothing },
  body: z
    .strictObject({
      field: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .meta({ description: 'Of the passdb: `name` is its value, and not a user name' }),
      wait_secs: schema.waitSecs.default(0),
    })
    .prefault({}),
  answers: {
    202: { text: 'The sessions are being ended', schema: kicked },
    200: { text: 'Those through this director are closed; the others are told', schema: kicked },
  },
  errors: ['BUSY'],
  handle: async ({ admin }, { params, body }) => {
    const name = utf8Bytes(params.name);
    const whom = body.field === undefined ? [name] : [utf8Bytes(body.field), name];
    const alt = body.field === undefined ? '' : '-ALT';
    const line =
      body.wait_secs === 0
        ? await admin.line(`USER-KICK${alt}`, ...whom, 'nowait')
        : await admin.line(`X-KICK${alt}`, ...whom, `${body.wait_secs}`);
    const done = body.wait_secs > 0 && line === 'OK';
    const busy = { TRYAGAIN: new HttpError('BUSY', 'too many users are being kicked') };
    if (line?.startsWith('TIMEOUT\t') !== true) requireOk(line, busy);
    return { status: done ? 200 : 202, body: { done } };
  },
});

export const userRoutes = [listUsers, getUser, moveUser, kickUser];

function hashOf(http: RestContext['http'], name: string, as: 'name' | 'hash'): number {
  if (as === 'name') return http.director.view.hashUser(utf8Bytes(name));
  const hash = parseUint32(name);
  if (hash === null) throw new HttpError('BAD_REQUEST', 'expected a hash, 0 to 4294967295');
  return hash;
}
