import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const DEADLINE_MS = 10_000;

/** A TCP client for tests that reads and writes exact bytes (latin1 strings), with deadlines. */
export class RawClient {
  readonly socket: Socket;
  #received = '';
  #isEnded = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1');
      this.#wake?.();
    });
    const ended = (): void => {
      this.#isEnded = true;
      this.#wake?.();
    };
    socket.on('end', ended);
    socket.on('error', ended);
    socket.on('close', ended);
  }

  /** @param localAddress where it comes from; default: what the system takes */
  static async open(host: string, port: number, localAddress?: string): Promise<RawClient> {
    const socket = connect({ host, port, localAddress });
    const client = new RawClient(socket);
    await once(socket, 'connect', { signal: AbortSignal.timeout(DEADLINE_MS) });
    return client;
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Takes everything up to the first match of `pattern`, that included. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = this.#received.slice(0, end);
        this.#received = this.#received.slice(end);
        return taken;
      }
      if (this.#isEnded) throw new Error(`closed before ${pattern}: ${this.#shown()}`);
      await this.#more(`${pattern}`);
    }
  }

  /** Exactly so many bytes: cheaper than a pattern for large ones. */
  async take(bytes: number): Promise<string> {
    while (this.#received.length < bytes) {
      if (this.#isEnded) throw new Error(`closed before ${bytes} bytes: ${this.#shown()}`);
      await this.#more(`${bytes} bytes`);
    }
    const taken = this.#received.slice(0, bytes);
    this.#received = this.#received.slice(bytes);
    return taken;
  }

  /** The rest of one line, with its CRLF. */
  line(): Promise<string> {
    return this.until(/\r\n/);
  }

  async ask(text: string, pattern: RegExp): Promise<string> {
    this.send(text);
    return await this.until(pattern);
  }

  /** Everything up to the end of the connection. */
  async untilEnd(): Promise<string> {
    while (!this.#isEnded) await this.#more('the end');
    return this.#received;
  }

  get hasEnded(): boolean {
    return this.#isEnded;
  }

  close(): void {
    this.socket.destroy();
  }

  #shown(): string {
    return JSON.stringify(this.#received.slice(-200));
  }

  async #more(what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = null;
        reject(new Error(`no ${what} within ${DEADLINE_MS} ms, got ${this.#shown()}`));
      }, DEADLINE_MS);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }
}

/** Waits for one event of an emitter, with a deadline. */
export async function nextEvent(
  emitter: NodeJS.EventEmitter,
  name: string,
): Promise<readonly unknown[]> {
  return await once(emitter, name, { signal: AbortSignal.timeout(DEADLINE_MS) });
}
