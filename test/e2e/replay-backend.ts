import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { eventually } from '../support/deadline.ts';
import type { RecordedEvent } from '../workers/protocols/recording-player.ts';

type Step =
  | { readonly kind: 'expect'; readonly lines: number }
  | { readonly kind: 'send'; readonly data: string }
  | { readonly kind: 'close' };

/**
 * Without a capability list in the greeting we send no password before we have asked for one; Dovecot
 * sends both commands at once. So the recorded answers come in two pieces too.
 */
function unpipelined(events: readonly RecordedEvent[]): RecordedEvent[] {
  const asked = events.findIndex(({ dir, data }) => {
    return dir === 'P>B' && (data ?? '').startsWith('C CAPABILITY\r\nL ');
  });
  if (asked < 0) return [...events];
  const [question, answer] = [events[asked], events[asked + 1]];
  const cut = (event: RecordedEvent, behind: RegExp): [RecordedEvent, RecordedEvent] => {
    const data = event.data ?? '';
    const match = behind.exec(data);
    const at = (match?.index ?? 0) + (match?.[0].length ?? 0);
    return [
      { ...event, data: data.slice(0, at) },
      { ...event, data: data.slice(at) },
    ];
  };
  const [ask, login] = cut(question, /^C CAPABILITY\r\n/);
  const [list, accepted] = cut(answer, /^C OK .*\r\n/m);
  return [...events.slice(0, asked), ask, list, login, accepted, ...events.slice(asked + 2)];
}

/** The backend side of a recorded case: what each connection says, and after how many lines. */
export function backendScripts(events: readonly RecordedEvent[]): Step[][] {
  const scripts: Step[][] = [];
  for (const { dir, data, event } of unpipelined(events)) {
    if (dir === 'P>B' && event === 'tcp connect') scripts.push([]);
    const script = scripts.at(-1);
    if (script === undefined) continue;
    if (dir === 'P>B' && data !== undefined)
      script.push({ kind: 'expect', lines: lineCount(data) });
    else if (dir === 'B>P' && data !== undefined) script.push({ kind: 'send', data });
    else if (dir === 'B>P' && event === 'close') script.push({ kind: 'close' });
  }
  return scripts;
}

export function lineCount(text: string): number {
  return text.split('\n').length - 1;
}

/** Plays the backends of recorded cases, one connection after the other, on one address. */
export class ReplayBackend {
  readonly #host: string;
  #server: Server | null = null;
  #port = 0;
  #scripts: Step[][] = [];
  readonly #sockets = new Set<Socket>();
  /** What each connection of the present case has received. */
  received: string[] = [];

  constructor(host: string) {
    this.#host = host;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens, on the same port as before. */
  async listen(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer((socket) => this.#play(socket));
    server.listen({ host: this.#host, port: this.#port });
    await once(server, 'listening');
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** From now on connections are refused. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Gets ready for a case. Without a connection in the recording nobody listens. */
  async prepare(scripts: Step[][]): Promise<void> {
    this.#scripts = [...scripts];
    this.received = [];
    if (scripts.length === 0) await this.close();
    else await this.listen();
  }

  /** Waits until every connection has been made and has received as many lines as were recorded. */
  async finished(expected: readonly string[]): Promise<string[]> {
    await eventually(`backend side ${JSON.stringify(expected)}`, 10_000, () => {
      const isSame = this.received.length === expected.length;
      return (
        isSame && this.received.every((text, i) => lineCount(text) >= lineCount(expected[i] ?? ''))
      );
    });
    return this.received;
  }

  #play(socket: Socket): void {
    const script = this.#scripts.shift() ?? [{ kind: 'close' }];
    const index = this.received.push('') - 1;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => this.#sockets.delete(socket));
    // The director may cut the connection at any moment.
    socket.on('error', () => {});
    let awaited = 0;
    const advance = (): void => {
      for (let step = script[0]; step !== undefined; step = script[0]) {
        if (step.kind === 'expect') {
          if (lineCount(this.received[index]) < awaited + step.lines) return;
          awaited += step.lines;
        } else if (step.kind === 'send') {
          socket.write(step.data, 'latin1');
        } else {
          socket.end();
        }
        script.shift();
      }
    };
    socket.on('data', (chunk) => {
      this.received[index] += chunk.toString('latin1');
      advance();
    });
    advance();
  }
}
