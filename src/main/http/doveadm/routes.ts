import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AdminCaller } from '../admin-caller.ts';
import type { HttpDirector } from '../http-director.ts';
import { HttpError } from '../http-error.ts';
import { httpLimits } from '../http-limits.ts';
import { sendPieces } from '../pieces.ts';
import { answerPieces, type RunCall } from './answer-pieces.ts';
import { JsonFault } from './json-reader.ts';
import { Exit, textOf } from './method.ts';
import { describeMethods, methods } from './methods.ts';
import { BadRequest, type Call, readRequest } from './request-reader.ts';

const PATH = '/doveadm/v1';
const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const MOUNTS = [
  ...['{"method":"OPTIONS","path":"*"}', '{"method":"GET","path":"/"}'],
  ...[`{"method":"GET","path":"${PATH}"}`, `{"method":"POST","path":"${PATH}"}`],
].join(',\n');

/** The doveadm HTTP API of Dovecot 2.3, with the commands of `doveadm director`. */
export async function doveadmRoutes(
  app: FastifyInstance,
  { http }: { readonly http: HttpDirector },
): Promise<void> {
  // Whatever the client calls it: `curl -d` without a header says it is a form.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer' },
    async (_request: unknown, body: Buffer) => body,
  );
  app.setErrorHandler(async (error, _request, reply) => {
    // As Dovecot, which has no body for this.
    if (!(error instanceof HttpError) || error.code !== 'UNAUTHORIZED') throw error;
    const challenges = ['X-Dovecot-API', 'Basic Realm="doveadm"'];
    return await reply.code(401).header('www-authenticate', challenges).send();
  });
  // Unlike Dovecot's, no web page from elsewhere is invited.
  app.options('*', async (_request, reply) => {
    return await reply.header('access-control-allow-methods', 'GET, POST, OPTIONS').send();
  });
  app.get('/', async (_request, reply) => {
    return await reply.type(JSON_TYPE).send(`[\n${MOUNTS}\n]`);
  });
  app.get(PATH, async (_request, reply) => {
    return await reply.type(JSON_TYPE).send(describeMethods());
  });
  app.post(PATH, { bodyLimit: httpLimits.doveadmBodyBytes }, async (request, reply) => {
    return await answer(http, request, reply);
  });
}

async function answer(
  http: HttpDirector,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const body = Buffer.isBuffer(request.body) ? request.body.toString('latin1') : '';
  let calls: readonly Call[];
  try {
    calls = readRequest(body, methods);
  } catch (error) {
    const isFault = error instanceof JsonFault;
    if (!isFault && !(error instanceof BadRequest)) throw error;
    const text = isFault ? `JSON parse error: ${error.message}` : error.message;
    return await reply.code(400).type(TEXT_TYPE).send(`${text}\r\n`);
  }
  const pieces = answerPieces(calls, (call) => run(http, request.session, call));
  return await sendPieces(reply.type(JSON_TYPE), pieces, 'latin1');
}

async function run(
  { director, work, adminSocket }: HttpDirector,
  { caller, who, log }: FastifyRequest['session'],
  { method, values }: Call,
): ReturnType<RunCall> {
  if (method === null || (!method.isRead && !caller.mayChange)) return 'unAuthorized';
  const socketPath = textOf(values, 'socket-path') ?? adminSocket;
  if (socketPath !== adminSocket) {
    // Somebody means another director than this one.
    log('warn', `${method.name}: socketPath is not ${adminSocket}`);
    return Exit.tempFail;
  }
  const admin = new AdminCaller({ director, work, log, who });
  return await method.run({ values, admin, view: director.view, socketPath, log });
}
