import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { errorCode } from '../../../shared/errors.ts';
import { httpClientLimits } from '../../../shared/limits.ts';
import type { HttpServerSettings } from '../../../shared/remote-passdb-settings.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** Latin1 strings, without CR, LF and NUL. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case, values latin1 strings; of several the last, as for set ones nothing is defined. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Why there was no answer; the text is for the log, without secrets. */
export class HttpClientError extends Error {
  override readonly name = 'HttpClientError';
}

/**
 * Requests to one server, on connections that are kept. Bounded in number, time and size; redirects are not
 * followed: a redirect is an answer like any other.
 */
export class HttpClient {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;
  readonly #agent: PlainAgent;
  readonly #isTls: boolean;
  readonly #ca: string;
  /** One for each request that waits or is on its way. */
  readonly #pending = new Set<AbortController>();

  constructor(settings: HttpServerSettings) {
    this.#url = new URL(settings.url);
    this.#headers = settings.headers;
    this.#timeoutMs = settings.timeoutMs;
    this.#isTls = this.#url.protocol === 'https:';
    this.#ca = settings.ca;
    const options = {
      keepAlive: true,
      maxSockets: httpClientLimits.connections,
      maxFreeSockets: httpClientLimits.idleConnections,
      timeout: httpClientLimits.idleMs,
    };
    this.#agent = this.#isTls ? new TlsAgent(options) : new PlainAgent(options);
  }

  /** Rejects with HttpClientError, and within the time limit. */
  async exchange(request: HttpRequest): Promise<HttpResponse> {
    if (this.#pending.size >= httpClientLimits.pendingRequests) {
      throw new HttpClientError(`${httpClientLimits.pendingRequests} requests wait already`);
    }
    const gaveUp = new AbortController();
    this.#pending.add(gaveUp);
    const late = `no answer within ${this.#timeoutMs} ms`;
    const timer = setTimeout(() => gaveUp.abort(late), this.#timeoutMs);
    try {
      return await this.#send(request, gaveUp.signal);
    } catch (error) {
      if (error instanceof HttpClientError) throw error;
      const text = gaveUp.signal.aborted ? `${gaveUp.signal.reason}` : messageOf(error);
      throw new HttpClientError(text, { cause: error });
    } finally {
      clearTimeout(timer);
      this.#pending.delete(gaveUp);
    }
  }

  /** Requests that are on their way fail. */
  close(): void {
    for (const gaveUp of this.#pending) gaveUp.abort('closed');
    this.#agent.destroy();
  }

  async #send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const response = await this.#responseTo(request, signal);
    return {
      status: response.statusCode ?? 0,
      headers: lastHeaders(response.rawHeaders),
      body: await readBody(response),
    };
  }

  /** Tried again when a kept connection turns out to have been closed by the server meanwhile. */
  async #responseTo(request: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
    // As bytes: Node would write the headers in the encoding of a string, and they are latin1.
    const body = Buffer.from(request.body ?? '', 'utf8');
    const options = {
      method: request.method,
      agent: this.#agent,
      signal,
      maxHeaderSize: httpClientLimits.headerBytes,
      headers: {
        ...this.#headers,
        ...request.headers,
        ...(request.method === 'POST' ? { 'content-length': body.length } : {}),
      },
    };
    const ca = this.#ca === '' ? {} : { ca: this.#ca };
    const url = this.#url;
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = this.#isTls
        ? tlsRequest(url, { ...options, ...ca }, resolve)
        : plainRequest(url, options, resolve);
      sent.once('error', (error) => {
        const isStale = sent.reusedSocket && /^(?:ECONNRESET|EPIPE)$/.test(errorCode(error));
        if (isStale && !signal.aborted) resolve(this.#responseTo(request, signal));
        else reject(error);
      });
      sent.end(body);
    });
  }
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop ends the connection: the rest is never read.
    if (bytes > httpClientLimits.bodyBytes) {
      throw new HttpClientError(`an answer of more than ${httpClientLimits.bodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function lastHeaders(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) headers[raw[i].toLowerCase()] = raw[i + 1];
  return headers;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  // When an address of each family was tried, the text stands in the parts.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error.message;
}
