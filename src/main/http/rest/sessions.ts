import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { canonicalAddress, formatNetwork, parseNetwork } from '../../../shared/ip-address.ts';
import type { ListedSession, SessionFilter } from '../../../shared/messages.ts';
import { utf8Bytes } from '../../cli/byte-output.ts';
import { type RestContext, route } from './route.ts';
import * as schema from './schemas.ts';

const PATH = '/api/v1/sessions';
const network = z
  .string()
  .refine((text) => parseNetwork(text) !== null, 'expected an address or a network')
  .meta({ description: 'Address or network of clients', examples: ['192.0.2.0/24'] });

const listSessions = route({
  ...{ method: 'GET', path: PATH, operationId: 'listSessions', params: schema.nothing },
  summary: 'Sessions through this director that fit all that is asked for; may be very long',
  query: z.strictObject({
    user: z.string().optional(),
    backend: schema.address.optional(),
    client: network.optional(),
  }),
  ...{ body: null, errors: [] },
  answers: {
    200: {
      text: 'In no order',
      schema: z.strictObject({
        sessions: z.array(schema.session),
        missing_workers: schema.count.meta({
          description: 'Workers that did not answer, or ended meanwhile',
        }),
      }),
    },
  },
  handle: async (context, { query }) => {
    const user = query.user === undefined ? null : userOf(context, query.user);
    const parsed = query.client === undefined ? null : parseNetwork(query.client);
    const filter: SessionFilter = {
      ...{ user: user?.name ?? null, userHash: user?.hash ?? null },
      backend: query.backend === undefined ? null : canonicalAddress(query.backend),
      network: parsed === null ? null : formatNetwork(parsed),
    };
    // A name that nobody can have has no sessions.
    if (user !== null && user.name === null) {
      return { status: 200, body: { sessions: [], missing_workers: 0 } };
    }
    return { pieces: sessionPieces(context, filter) };
  },
});

function userOf(
  { http }: RestContext,
  text: string,
): { readonly name: string | null; readonly hash: number } {
  const name = http.normaliseUser(utf8Bytes(text));
  return { name, hash: http.director.view.hashUser(name ?? '') };
}

async function* sessionPieces(
  { http }: RestContext,
  filter: SessionFilter,
): AsyncGenerator<string, void> {
  yield '{"sessions":[';
  let separator = '';
  const list = http.sessions(filter);
  for await (const part of list) {
    yield `${separator}${part.map((session) => JSON.stringify(shown(session))).join(',')}`;
    separator = ',';
    await setImmediate();
  }
  yield `],"missing_workers":${list.missingWorkers}}`;
}

function shown(session: ListedSession): z.input<typeof schema.session> {
  return {
    user: Buffer.from(session.user, 'latin1').toString('utf8'),
    protocol: session.protocol,
    ...{ client: session.client, client_port: session.clientPort },
    ...{ backend: session.backend || null, session: session.sessionId, state: session.state },
    since: new Date(session.sinceMs).toISOString(),
    ...{ bytes_from_client: session.bytesFromClient },
    ...{ bytes_from_backend: session.bytesFromBackend },
  };
}

const countSessions = route({
  ...{ method: 'GET', path: `${PATH}/count`, operationId: 'countSessions' },
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

export const sessionRoutes = [listSessions, countSessions];
