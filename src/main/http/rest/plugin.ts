import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { requireChange } from '../access.ts';
import { AdminCaller } from '../admin-caller.ts';
import type { HttpDirector } from '../http-director.ts';
import { HttpError, type RequestFault } from '../http-error.ts';
import { sendPieces } from '../pieces.ts';
import { describeApi } from './openapi.ts';
import { isChange, type RestRoute } from './route.ts';
import { restRoutes } from './routes.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** `/api/v1/…`, and its description in `/openapi.json`. */
export async function restPlugin(
  app: FastifyInstance,
  { http, version }: { readonly http: HttpDirector; readonly version: string },
): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: unknown, text: string) => parseJson(text),
  );
  const description = JSON.stringify(describeApi(restRoutes, version));
  app.get('/openapi.json', async (_request, reply) => {
    return await reply.type(JSON_TYPE).send(description);
  });
  for (const route of restRoutes) serve(app, route, http);
}

function serve(app: FastifyInstance, route: RestRoute, http: HttpDirector): void {
  app.route({
    method: route.method,
    url: route.path.replace(/\{(\w+)\}/g, ':$1'),
    onRequest: async ({ session }) => {
      if (isChange(route)) requireChange(session.caller);
    },
    handler: async (request, reply) => {
      const { director, work } = http;
      const { log, who } = request.session;
      const answer = await route.handle(
        { http, log, who, admin: new AdminCaller({ director, work, log, who }) },
        {
          params: checked(route.params, request.params, 'path'),
          query: checked(route.query, request.query, 'query'),
          body: route.body === null ? undefined : checked(route.body, request.body, 'body'),
        },
      );
      reply.type(JSON_TYPE);
      if ('pieces' in answer) return await sendPieces(reply, answer.pieces, 'utf8');
      reply.code(answer.status);
      if (answer.body === undefined) return await reply.removeHeader('content-type').send();
      return await reply.send(JSON.stringify(answer.body));
    },
  });
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new HttpError('BAD_JSON', `the body is no JSON: ${message}`);
  }
}

/** What the schema makes of it. Throws HttpError. */
function checked(schema: z.ZodType, value: unknown, place: string): unknown {
  const result = schema.safeParse(value ?? undefined);
  if (result.success) return result.data;
  const faults = result.error.issues.map(
    (issue): RequestFault => ({ at: [place, ...issue.path].join('.'), text: issue.message }),
  );
  const [{ at, text }] = faults;
  throw new HttpError('BAD_REQUEST', `${at}: ${text}`, faults);
}
