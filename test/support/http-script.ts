import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a server of a test was asked. Latin1 strings. */
export interface ScriptRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface ScriptAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** What to answer; null: nothing, ever. */
export type Script = (request: ScriptRequest) => ScriptAnswer | null | Promise<ScriptAnswer | null>;

/** A small HTTP server: what a site would write to say who its users are. */
export class HttpScript {
  /** May be changed at any time. */
  script: Script;
  readonly requests: ScriptRequest[] = [];
  connections = 0;
  readonly #server: Server;
  #port = 0;

  private constructor(script: Script) {
    this.script = script;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const asked: ScriptRequest = {
          method: request.method ?? '',
          url: request.url ?? '',
          headers: request.headers,
          rawHeaders: request.rawHeaders,
          body: Buffer.concat(chunks).toString('latin1'),
        };
        this.requests.push(asked);
        void this.#answer(asked, response);
      });
    });
    this.#server.on('connection', () => {
      this.connections++;
    });
  }

  static async start(script: Script): Promise<HttpScript> {
    const server = new HttpScript(script);
    await server.startAgain();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** On the port that it had before. */
  async startAgain(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(asked: ScriptRequest, response: ServerResponse): Promise<void> {
    const answer = await this.script(asked);
    if (answer === null) return;
    response.writeHead(answer.status ?? 200, { ...answer.headers });
    response.end(answer.body ?? '');
  }
}
