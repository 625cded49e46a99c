import { z } from 'zod';
import { canonicalAddress } from '../../../shared/ip-address.ts';
import type { RingEntry } from '../../admin/admin-director.ts';
import { HttpError } from '../http-error.ts';
import { requireOk } from './replies.ts';
import { route } from './route.ts';
import * as schema from './schemas.ts';
import { timeOrNull } from './schemas.ts';

const PATH = '/api/v1/ring';
const portInPath = z.coerce.number().pipe(schema.port).optional();

const getRing = route({
  ...{ method: 'GET', path: PATH, operationId: 'getRing', summary: 'The ring of directors' },
  ...{ params: schema.nothing, query: schema.nothing, body: null, errors: [] },
  answers: {
    200: {
      text: 'Connections whose director is not known yet, then all directors by address',
      schema: z.strictObject({
        synced: z.boolean().meta({ description: 'All directors know all changes' }),
        directors: z.array(schema.director),
      }),
    },
  },
  handle: async ({ http }) => {
    const { ring } = http.director;
    const body = { synced: ring.isSynced, directors: ring.entries().map(shown) };
    return { status: 200, body };
  },
});

const addDirector = route({
  ...{ method: 'POST', path: PATH, operationId: 'addDirector', summary: 'Add a director' },
  ...{ params: schema.nothing, query: schema.nothing },
  body: z.strictObject({
    address: schema.address,
    port: schema.port.optional().meta({ description: 'That of this director if not given' }),
  }),
  answers: { 202: { text: 'It is connected to as soon as possible', schema: z.strictObject({}) } },
  errors: ['NO_RING', 'LIMIT_REACHED', 'RING_UNSYNCED'],
  handle: async ({ admin }, { body }) => {
    const ip = canonicalAddress(body.address) as string;
    const port = body.port === undefined ? [] : [`${body.port}`];
    requireOk(await admin.line('DIRECTOR-ADD', ip, ...port));
    return { status: 202, body: {} };
  },
});

const removeDirector = route({
  ...{ method: 'DELETE', path: `${PATH}/{address}`, operationId: 'removeDirector' },
  ...{ summary: 'Take a director out of the ring', body: null },
  params: z.strictObject({ address: schema.address }),
  query: z.strictObject({ port: portInPath }),
  answers: { 204: { text: 'Every director has obeyed', schema: null } },
  errors: ['DIRECTOR_NOT_FOUND', 'RING_UNSYNCED'],
  handle: async ({ admin }, { params: { address }, query }) => {
    const ip = canonicalAddress(address) as string;
    const port = query.port === undefined ? [] : [`${query.port}`];
    const notFound = new HttpError('DIRECTOR_NOT_FOUND', `there is no director ${address}`);
    requireOk(await admin.line('DIRECTOR-REMOVE', ip, ...port), { NOTFOUND: notFound });
    return { status: 204 };
  },
});

export const ringRoutes = [getRing, addDirector, removeDirector];

function shown({ member, status }: RingEntry): z.input<typeof schema.director> {
  const [text = '', pingMs, read, sent, buffered, peak, lastRead, lastWrite] = status;
  return {
    address: member?.ip ?? null,
    port: member?.port ?? null,
    type: member === null ? 'unknown' : member.type === '' ? 'unconnected' : member.type,
    status: `${text}`,
    last_failed_at: timeOrNull(member?.lastFailedSecs ?? 0),
    ping_ms: numberOf(pingMs),
    bytes_read: numberOf(read),
    bytes_sent: numberOf(sent),
    buffered_bytes: numberOf(buffered),
    buffered_peak_bytes: numberOf(peak),
    last_read_at: timeOrNull(numberOf(lastRead) ?? 0),
    last_write_at: timeOrNull(numberOf(lastWrite) ?? 0),
  };
}

function numberOf(field: string | number | undefined): number | null {
  return typeof field === 'number' ? field : null;
}
