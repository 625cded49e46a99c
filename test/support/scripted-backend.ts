import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** What a connection gets: the greeting, and the answer to each line (null: silence). */
export interface BackendScript {
  readonly greeting: string;
  /** Called per line, without its CRLF; what it returns is sent. */
  readonly answer: (line: string) => string | null;
  /** Ends the connection behind the greeting. */
  readonly closesAfterGreeting?: boolean;
}

/** A backend that says what the test tells it, right or wrong. */
export class ScriptedBackend {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** For connections from now on. */
  script: BackendScript;
  /** Every line that was received, oldest first. */
  readonly received: string[] = [];
  connectionCount = 0;

  private constructor(script: BackendScript) {
    this.script = script;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @param port 0: any free one */
  static async start(host: string, script: BackendScript, port = 0): Promise<ScriptedBackend> {
    const backend = new ScriptedBackend(script);
    backend.#server.listen({ host, port });
    await once(backend.#server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    const { script } = this;
    this.connectionCount++;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => this.#sockets.delete(socket));
    // The director may cut the connection at any moment.
    socket.on('error', () => {});
    let rest = '';
    socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        this.received.push(line);
        const answer = script.answer(line);
        if (answer !== null) socket.write(answer, 'latin1');
      }
    });
    socket.write(script.greeting, 'latin1');
    if (script.closesAfterGreeting === true) socket.end();
  }
}

/** Speaks just enough IMAP to log anybody in and to answer every later command with OK. */
export const GOOD_IMAP: BackendScript = {
  greeting: '* OK [CAPABILITY IMAP4rev1 SASL-IR] scripted\r\n',
  answer: (line) => `${line.split(' ')[0]} OK [CAPABILITY IMAP4rev1] done\r\n`,
};

/** The same for POP3. */
export const GOOD_POP3: BackendScript = {
  greeting: '+OK scripted\r\n',
  answer: () => '+OK Logged in.\r\n',
};
