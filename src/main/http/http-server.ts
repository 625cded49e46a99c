import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type FastifyError, type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import { errorCode, PostilionError } from '../../shared/errors.ts';
import type { AdminLog } from '../admin/command.ts';
import { addressText, type Caller, callerOf, type RequestOrigin } from './access.ts';
import { doveadmRoutes } from './doveadm/routes.ts';
import type { HttpDirector } from './http-director.ts';
import { HttpError } from './http-error.ts';
import { httpLimits } from './http-limits.ts';
import type { KeyFile } from './key-file.ts';
import { Refusals } from './refusals.ts';
import { restPlugin } from './rest/plugin.ts';

export interface HttpServerOptions {
  readonly http: HttpDirector;
  readonly keyFile: KeyFile;
  /** Changes and who ordered them; refused requests; our own faults. */
  readonly log: AdminLog;
  /** Of this program, for the description. */
  readonly version: string;
}

/** The listener cannot be had; the text says why. */
export class HttpSocketError extends PostilionError {
  constructor(message: string, options?: ErrorOptions) {
    super('HTTP_SOCKET', message, options);
  }
}

/** What a request's routes need to know of it. */
export interface HttpSession {
  readonly caller: Caller;
  /** For lists of who ordered what. */
  readonly who: string;
  /** Every line names the caller. */
  readonly log: AdminLog;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before anything of the body is read. */
    session: HttpSession;
  }
}

/** Serves the HTTP API on one address. */
export class HttpServer {
  readonly #app: FastifyInstance;
  readonly #options: HttpServerOptions;

  private constructor(app: FastifyInstance, options: HttpServerOptions) {
    this.#app = app;
    this.#options = options;
  }

  /** Throws HttpSocketError. */
  static async listen(
    endpoint: { readonly ip: string; readonly port: number },
    options: HttpServerOptions,
  ): Promise<HttpServer> {
    const app = createApp(options);
    try {
      await app.listen({ host: endpoint.ip, port: endpoint.port });
    } catch (error) {
      await app.close();
      const where = `${endpoint.ip}:${endpoint.port}`;
      const text = `cannot listen for HTTP on ${where} (${errorCode(error) || String(error)})`;
      throw new HttpSocketError(text, { cause: error });
    }
    return new HttpServer(app, options);
  }

  get port(): number {
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Reads the keys again. */
  async reload(): Promise<void> {
    const { keyFile, log } = this.#options;
    await keyFile.reload(log);
  }

  /** Ends all clients. */
  async close(): Promise<void> {
    const { server } = this.#app;
    const isClosed = server.listening ? once(server, 'close') : null;
    await this.#app.close();
    await isClosed;
  }
}

/** Without a listener: for tests. */
export function createApp({ http, keyFile, log, version }: HttpServerOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: httpLimits.restBodyBytes,
    requestTimeout: httpLimits.requestMs,
    keepAliveTimeout: httpLimits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    http: { maxHeaderSize: httpLimits.headerBytes, noDelay: true, keepAlive: true },
    routerOptions: { maxParamLength: httpLimits.pathPartChars },
    clientErrorHandler: answerNoHttp,
    // A path that cannot be one: no hook and no handler of ours sees it.
    frameworkErrors: (_error, _request, reply) => {
      const error = new HttpError('BAD_REQUEST', 'this is no path');
      const headers = { 'content-type': 'application/json', connection: 'close' };
      reply.raw.writeHead(error.status, headers).end(JSON.stringify(error));
    },
  });
  app.server.maxConnections = httpLimits.connections;
  const refusals = new Refusals(log);
  app.decorateRequest('session');
  app.addHook('onRequest', async (request) => {
    // It tells nothing and does nothing.
    if (request.method === 'OPTIONS') return;
    const origin = originOf(request);
    let caller: Caller;
    try {
      caller = callerOf(origin, keyFile.keys);
    } catch (error) {
      if (error instanceof HttpError) refusals.log(addressText(origin), error);
      throw error;
    }
    const who = `http(${caller.who})`;
    request.session = { caller, who, log: (level, text) => log(level, `${who}: ${text}`) };
  });
  app.setErrorHandler(async (error: FastifyError | Error, request, reply) => {
    const shown = toHttpError(error, request, log);
    if (shown.code === 'UNAUTHORIZED') reply.header('www-authenticate', CHALLENGES);
    if (shown.status === 503) reply.header('retry-after', '1');
    return await reply.code(shown.status).send(shown.toJSON());
  });
  app.setNotFoundHandler(async () => {
    throw new HttpError('NOT_FOUND', 'there is nothing here');
  });
  app.register(doveadmRoutes, { http });
  app.register(restPlugin, { http, version });
  return app;
}

/** Dovecot's two, and our own. */
const CHALLENGES = ['X-Dovecot-API', 'Basic Realm="doveadm"', 'Bearer'];

function originOf({ headers, socket }: FastifyRequest): RequestOrigin {
  const { remoteAddress = '', remotePort = 0 } = socket;
  return { headers, remoteAddress, remotePort };
}

/** Whatever has happened, the client gets a code, and never a stack trace. */
function toHttpError(
  error: FastifyError | Error,
  request: FastifyRequest,
  log: AdminLog,
): HttpError {
  if (error instanceof HttpError) return error;
  switch (errorCode(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpError('BODY_TOO_LARGE', 'the body is too large');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpError('UNSUPPORTED_MEDIA_TYPE', 'expected application/json');
  }
  const status = 'statusCode' in error ? (error.statusCode ?? 500) : 500;
  if (status < 500) return new HttpError('BAD_REQUEST', 'the request cannot be read');
  const { method, url } = request;
  log('error', `http: ${method} ${url.slice(0, 200)} failed: ${error.stack ?? String(error)}`);
  return new HttpError('INTERNAL', 'something went wrong here; the log says what');
}

/** What the client sends is no HTTP, or comes too slowly. */
function answerNoHttp(error: Error, socket: Socket): void {
  if (errorCode(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(new HttpError('BAD_REQUEST', 'this is not HTTP as expected'));
  const head = [
    ...['HTTP/1.1 400 Bad Request', 'Content-Type: application/json', 'Connection: close'],
    `Content-Length: ${body.length}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
