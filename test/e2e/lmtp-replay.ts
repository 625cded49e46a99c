import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import tls from 'node:tls';
import { eventually } from '../support/deadline.ts';
import type { RecordedEvent } from '../workers/protocols/recording-player.ts';
import { lineCount } from './replay-backend.ts';

type Step =
  | { readonly kind: 'expect'; readonly lines: number }
  | { readonly kind: 'send'; readonly data: string }
  | { readonly kind: 'tls' };

/** What each connection to a backend (`B`, `B2`) of a recorded case says, and after how many lines. */
export function connectionScripts(
  events: readonly RecordedEvent[],
  backend: 'B' | 'B2',
): { readonly steps: Step[]; readonly expected: string }[] {
  const scripts: { steps: Step[]; expected: string }[] = [];
  for (const { dir, data, event } of events) {
    if (dir === `P>${backend}` && event === 'tcp connect')
      scripts.push({ steps: [], expected: '' });
    const script = scripts.at(-1);
    if (script === undefined) continue;
    if (dir === `P>${backend}` && data !== undefined) {
      script.steps.push({ kind: 'expect', lines: lineCount(data) });
      script.expected += data;
    } else if (dir === `P>${backend}` && event?.startsWith('TLS handshake')) {
      script.steps.push({ kind: 'tls' });
    } else if (dir === `${backend}>P` && data !== undefined) {
      script.steps.push({ kind: 'send', data });
    }
  }
  return scripts;
}

/** Plays one backend's side of recorded cases on one address. */
export class LmtpReplayBackend {
  readonly #secureContext: tls.SecureContext;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #scripts: Step[][] = [];
  /** What each connection of the present case has brought. */
  received: string[] = [];

  private constructor(secureContext: tls.SecureContext) {
    this.#secureContext = secureContext;
    this.#server = createServer((socket) => this.#play(socket));
  }

  static async listen(
    host: string,
    port: number,
    secureContext: tls.SecureContext,
  ): Promise<LmtpReplayBackend> {
    const backend = new LmtpReplayBackend(secureContext);
    backend.#server.listen({ host, port });
    await once(backend.#server, 'listening');
    return backend;
  }

  prepare(scripts: Step[][]): void {
    this.#scripts = scripts;
    this.received = [];
  }

  /** When everything that was recorded has come. */
  async finished(expected: readonly string[]): Promise<string[]> {
    await eventually(`backend side ${JSON.stringify(expected)}`, 10_000, () => {
      return expected.every((text, i) => lineCount(this.received[i] ?? '') >= lineCount(text));
    });
    return this.received;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #play(raw: Socket): void {
    let socket = raw;
    const steps = this.#scripts.shift() ?? [];
    const index = this.received.push('') - 1;
    this.#sockets.add(raw);
    raw.once('close', () => this.#sockets.delete(raw));
    let awaited = 0;
    const advance = (): void => {
      for (let step = steps[0]; step !== undefined; step = steps[0]) {
        if (step.kind === 'expect') {
          if (lineCount(this.received[index]) < awaited + step.lines) return;
          awaited += step.lines;
        } else if (step.kind === 'send') {
          socket.write(step.data, 'latin1');
        } else {
          raw.off('data', read);
          socket = new tls.TLSSocket(raw, { isServer: true, secureContext: this.#secureContext });
          listen(socket);
        }
        steps.shift();
      }
    };
    const read = (chunk: Buffer): void => {
      this.received[index] += chunk.toString('latin1');
      advance();
    };
    const listen = (on: Socket): void => {
      on.on('data', read);
      on.on('error', () => {});
    };
    listen(raw);
    advance();
  }
}
