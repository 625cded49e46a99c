import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { eventually } from './deadline.ts';
import { labAddress } from './dovecot.ts';

const DELIVERY_DEADLINE_MS = 30_000;
/** Where submission services of the lab's backends relay to: one of this test process's own addresses. */
export const RELAY_PORT = 23025;
export const relayAddress = (): string => labAddress(13);

export interface RelayedMessage {
  readonly from: string;
  readonly to: readonly string[];
  /** Latin1, dots undone, without the line of the final dot. */
  readonly content: string;
}

/** The mail server behind the backends: takes every message and keeps it. */
export class RelayTarget {
  readonly messages: RelayedMessage[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      new RelaySession(socket, this.messages);
    });
  }

  static async start(): Promise<RelayTarget> {
    const target = new RelayTarget();
    target.#server.listen({ host: relayAddress(), port: RELAY_PORT });
    await once(target.#server, 'listening');
    return target;
  }

  /** The one message to this address. */
  async messageTo(recipient: string): Promise<RelayedMessage> {
    const found = (): RelayedMessage[] => this.messages.filter(({ to }) => to.includes(recipient));
    await eventually(`a message to ${recipient}`, DELIVERY_DEADLINE_MS, () => found().length > 0);
    const [message, ...others] = found();
    if (message === undefined || others.length > 0) throw new Error(`two messages to ${recipient}`);
    return message;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

class RelaySession {
  readonly #socket: Socket;
  readonly #messages: RelayedMessage[];
  #from = '';
  #to: string[] = [];
  /** A message is coming, no commands. */
  #isMessage = false;
  #rest = '';

  constructor(socket: Socket, messages: RelayedMessage[]) {
    this.#socket = socket;
    this.#messages = messages;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#receive(text));
    socket.write('220 relay.test ready\r\n');
  }

  #receive(text: string): void {
    this.#rest += text;
    for (;;) {
      if (this.#isMessage) {
        const end = this.#rest.indexOf('\r\n.\r\n');
        if (end < 0) return;
        // The line end before the dot belongs to the message; the first one is that of DATA.
        this.#keep(this.#rest.slice(2, end + 2));
        this.#rest = this.#rest.slice(end + 5);
      } else {
        const end = this.#rest.indexOf('\r\n');
        if (end < 0) return;
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        this.#execute(line);
      }
    }
  }

  #keep(content: string): void {
    const [from, to] = [this.#from, this.#to];
    this.#messages.push({ from, to, content: content.replace(/^\./gm, '') });
    this.#isMessage = false;
    this.#to = [];
    this.#socket.write('250 2.0.0 kept\r\n');
  }

  #execute(line: string): void {
    const path = /<(.*?)>/.exec(line)?.[1] ?? '';
    const verb = line.split(' ', 1)[0]?.toUpperCase();
    let reply = '250 2.0.0 ok';
    if (verb === 'EHLO') reply = '250-relay.test\r\n250-8BITMIME\r\n250-DSN\r\n250 PIPELINING';
    else if (verb === 'MAIL') this.#from = path;
    else if (verb === 'RCPT') this.#to.push(path);
    else if (verb === 'RSET') this.#to = [];
    else if (verb === 'DATA') {
      reply = '354 go on';
      this.#isMessage = true;
      // As if a line had ended, so that a dot may come at once.
      this.#rest = `\r\n${this.#rest}`;
    } else if (verb === 'QUIT') reply = '221 2.0.0 bye';
    this.#socket.write(`${reply}\r\n`);
    if (verb === 'QUIT') this.#socket.end();
  }
}
