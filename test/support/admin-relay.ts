import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';

/** C is the client, D the director; data is latin1. */
export interface RelayEvent {
  /** Since the relay was told to begin anew. */
  readonly t_ms: number;
  readonly dir: 'C>D' | 'D>C';
  readonly data?: string;
  readonly event?: 'connect' | 'end';
}

/** Stands between a client and a director's admin socket and writes down what both say. */
export class AdminRelay {
  readonly path: string;
  readonly #server: Server;
  #events: RelayEvent[] = [];
  #startMs = performance.now();

  private constructor(path: string, target: string) {
    this.path = path;
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      const director = connect({ path: target, allowHalfOpen: true });
      this.#note({ dir: 'C>D', event: 'connect' });
      for (const [from, to, dir] of [
        [client, director, 'C>D'],
        [director, client, 'D>C'],
      ] as const) {
        from.on('data', (chunk: Buffer) => {
          this.#note({ dir, data: chunk.toString('latin1') });
          to.write(chunk);
        });
        from.on('end', () => {
          this.#note({ dir, event: 'end' });
          to.end();
        });
        // The other side is told by the end.
        from.on('error', () => to.destroy());
      }
    });
  }

  static async listen(path: string, target: string): Promise<AdminRelay> {
    const relay = new AdminRelay(path, target);
    relay.#server.listen(path);
    await once(relay.#server, 'listening');
    return relay;
  }

  #note(event: Omit<RelayEvent, 't_ms'>): void {
    const last = this.#events.at(-1);
    const t_ms = Math.round(performance.now() - this.#startMs);
    // Pieces of one answer.
    if (event.data !== undefined && last?.data !== undefined && last.dir === event.dir) {
      this.#events.pop();
      this.#events.push({ ...last, data: last.data + event.data });
    } else {
      this.#events.push({ t_ms, ...event });
    }
  }

  get events(): readonly RelayEvent[] {
    return this.#events;
  }

  /** What was said since the last time. */
  take(): RelayEvent[] {
    const events = this.#events;
    this.#events = [];
    this.#startMs = performance.now();
    return events;
  }

  async close(): Promise<void> {
    const isClosed = once(this.#server, 'close');
    this.#server.close();
    await isClosed;
  }
}
