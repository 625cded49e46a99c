import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Answers of a server to one line; null: silence. `ends` closes behind it. */
export type FakeAnswer = string | { readonly text: string; readonly ends: true } | null;

/** A server of lines: what a test says, and nothing else. */
export class FakeMailServer {
  readonly received: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #stalledUntil: Promise<void> | null = null;

  private constructor(greeting: string, answer: (line: string) => FakeAnswer) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      let rest = '';
      socket.on('data', async (chunk) => {
        const lines = (rest + chunk.toString('latin1')).split('\r\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          this.received.push(line);
          await this.#stalledUntil;
          const reply = answer(line);
          if (typeof reply === 'string') socket.write(reply, 'latin1');
          else if (reply !== null) socket.end(reply.text, 'latin1');
        }
      });
      socket.write(greeting, 'latin1');
    });
  }

  static async start(
    greeting: string,
    answer: (line: string) => FakeAnswer,
  ): Promise<FakeMailServer> {
    const server = new FakeMailServer(greeting, answer);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Answers nothing for this time. */
  stall(ms: number): void {
    this.#stalledUntil = new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }
}

/** Logs everybody in on `backend`, as the backends of our benches say it. */
export function imapAnswers(backend: (user: string) => string): (line: string) => FakeAnswer {
  return (line) => {
    const [tag = '', verb = '', user = ''] = line.split(' ');
    if (verb === 'LOGIN') {
      const name = user.replaceAll('"', '');
      return `${tag} OK Logged in {${backend(name)}/${name}}\r\n`;
    }
    if (verb !== 'LOGOUT') return `${tag} OK done\r\n`;
    return { text: `* BYE\r\n${tag} OK bye\r\n`, ends: true };
  };
}

/** LMTP or Submission; `recipient` is what the final reply names. */
export function smtpAnswers(
  recipient: (path: string) => string = (path) => path,
): (line: string) => FakeAnswer {
  let path = '';
  let isText = false;
  return (line) => {
    if (isText) {
      if (line !== '.') return null;
      isText = false;
      return `250 2.0.0 <${recipient(path)}> x1 Saved\r\n`;
    }
    const verb = line.split(' ', 1)[0];
    switch (verb) {
      case 'LHLO':
      case 'EHLO':
        return '250-fake\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n';
      case 'AUTH':
        return '235 2.7.0 Logged in.\r\n';
      case 'RCPT':
        path = /<(.*)>/.exec(line)?.[1] ?? '';
        return '250 2.1.5 OK\r\n';
      case 'DATA':
        isText = true;
        return '354 OK\r\n';
      case 'QUIT':
        return { text: '221 2.0.0 Bye\r\n', ends: true };
      default:
        return '250 2.0.0 OK\r\n';
    }
  };
}
