import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import tls from 'node:tls';
import { eventually, withDeadline } from './deadline.ts';

const DEADLINE_MS = 10_000;

export interface LmtpPeerOptions {
  /** Of LHLO; default PIPELINING, CHUNKING, 8BITMIME and ENHANCEDSTATUSCODES. */
  readonly capabilities?: readonly string[];
  /** The reply to RCPT; null = none, until the test writes one. Default: accepted. */
  readonly rcpt?: (path: string) => string | null;
  /** What follows a whole message for one recipient; null = silence, 'close' = the connection. */
  readonly final?: (path: string) => string | 'close' | null;
  /** The connection has ended, with these recipients accepted and without a final reply. */
  readonly closed?: (recipients: readonly string[]) => void;
  /** Neither QUIT nor the end of our half makes it close. */
  readonly ignoresQuit?: boolean;
  /** No greeting until the test writes one. */
  readonly isSilent?: boolean;
  /** Stops to read when the message begins. */
  readonly holdsMessage?: boolean;
  readonly secureContext?: tls.SecureContext;
  readonly isImplicitTls?: boolean;
  /** Sent in one piece behind the consent to STARTTLS, in the clear. */
  readonly injected?: string;
}

/** One connection, and what it has brought. */
export class LmtpPeerConnection {
  socket: Socket;
  /** Lines outside of messages. */
  readonly commands: string[] = [];
  /** Accepted ones, until the message is there. */
  recipients: string[] = [];
  /** Those that the message was for. */
  readonly finished: string[] = [];
  message: Buffer = Buffer.alloc(0);
  /** Of messages that are not kept. */
  messageBytes = 0;
  wholeMessages = 0;
  hasMessageBegun = false;
  isClosed = false;
  /** Ended by a reset. */
  isReset = false;

  /** Goes on to read a message that is held. */
  resume: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  async closed(): Promise<void> {
    await eventually('the backend sees the end', DEADLINE_MS, () => this.isClosed);
  }

  async command(start: string, count = 1): Promise<void> {
    await eventually(`${count} ${start}`, DEADLINE_MS, () => {
      return this.commands.filter((line) => line.startsWith(start)).length >= count;
    });
  }

  async messageBegun(): Promise<void> {
    await eventually('message', DEADLINE_MS, () => this.hasMessageBegun);
  }
}

/** An LMTP server that does what the test wants. */
export class LmtpPeer {
  options: LmtpPeerOptions;
  readonly connections: LmtpPeerConnection[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: LmtpPeerOptions) {
    this.options = options;
    const allowHalfOpen = options.ignoresQuit === true;
    this.#server = createServer({ allowHalfOpen }, (socket) => this.#accept(socket));
  }

  static async start(host: string, port: number, options: LmtpPeerOptions = {}): Promise<LmtpPeer> {
    const peer = new LmtpPeer(options);
    peer.#server.listen({ host, port });
    await once(peer.#server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.connections.filter(({ isClosed }) => !isClosed).length;
  }

  async connection(index: number): Promise<LmtpPeerConnection> {
    return await eventually(`connection ${index}`, DEADLINE_MS, () => this.connections[index]);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await withDeadline(once(this.#server, 'close'), DEADLINE_MS, 'end of the LMTP peer');
  }

  #accept(socket: Socket): void {
    const connection = new LmtpPeerConnection(socket);
    this.connections.push(connection);
    this.#sockets.add(socket);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      connection.isReset = error.code === 'ECONNRESET';
    });
    socket.on('close', () => {
      connection.isClosed = true;
      this.options.closed?.(connection.recipients);
      this.#sockets.delete(socket);
    });
    const { secureContext, isImplicitTls } = this.options;
    if (isImplicitTls === true && secureContext !== undefined) {
      this.#secure(connection, secureContext, true);
    } else {
      new Dialogue(this, connection).start(this.options.isSilent !== true);
    }
  }

  /** Goes over to TLS; the old dialogue must not read any more. */
  #secure(connection: LmtpPeerConnection, secureContext: tls.SecureContext, greets: boolean): void {
    const secured = new tls.TLSSocket(connection.socket, { isServer: true, secureContext });
    secured.on('error', () => {});
    connection.socket = secured;
    new Dialogue(this, connection).start(greets);
  }

  startTls(connection: LmtpPeerConnection): void {
    this.#secure(connection, this.options.secureContext!, false);
  }
}

class Dialogue {
  readonly #peer: LmtpPeer;
  readonly #connection: LmtpPeerConnection;
  #input: Buffer = Buffer.alloc(0);
  #mode: 'command' | 'data' | 'bdat' | 'held' = 'command';
  #bdatLeft = 0;
  #tail = '\r\n';
  readonly #read = (chunk: Buffer): void => this.#receive(chunk);

  constructor(peer: LmtpPeer, connection: LmtpPeerConnection) {
    this.#peer = peer;
    this.#connection = connection;
  }

  start(greets: boolean): void {
    this.#connection.socket.on('data', this.#read);
    if (greets) this.#connection.write('220 peer LMTP\r\n');
  }

  #receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    while (this.#step());
  }

  #step(): boolean {
    switch (this.#mode) {
      case 'held':
        return false;
      case 'bdat': {
        const taken = this.#input.subarray(0, this.#bdatLeft);
        this.#keep(taken);
        this.#bdatLeft -= taken.length;
        this.#input = this.#input.subarray(taken.length);
        if (this.#bdatLeft > 0) return false;
        this.#finish();
        return true;
      }
      case 'data': {
        const text = this.#tail + this.#input.toString('latin1');
        const end = text.indexOf('\r\n.\r\n');
        if (end < 0) {
          this.#keep(this.#input);
          this.#tail = text.slice(-4);
          this.#input = Buffer.alloc(0);
          return false;
        }
        const used = end + 5 - this.#tail.length;
        this.#keep(this.#input.subarray(0, used));
        this.#input = this.#input.subarray(used);
        this.#finish();
        return true;
      }
      case 'command': {
        const end = this.#input.indexOf('\r\n');
        if (end < 0) return false;
        const line = this.#input.toString('latin1', 0, end);
        this.#input = this.#input.subarray(end + 2);
        this.#connection.commands.push(line);
        this.#command(line);
        return true;
      }
    }
  }

  #keep(piece: Buffer): void {
    const connection = this.#connection;
    connection.messageBytes += piece.length;
    if (connection.messageBytes < 1024 * 1024) {
      connection.message = Buffer.concat([connection.message, piece]);
    }
  }

  #command(line: string): void {
    const connection = this.#connection;
    const { options } = this.#peer;
    const verb = line.split(/[ :]/)[0].toUpperCase();
    const path = /<(.*)>/.exec(line)?.[1] ?? '';
    switch (verb) {
      case 'LHLO': {
        const capabilities = options.capabilities ?? [
          ...['PIPELINING', 'CHUNKING', '8BITMIME', 'ENHANCEDSTATUSCODES'],
        ];
        const lines = ['peer', ...capabilities];
        const reply = lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}\r\n`);
        connection.write(reply.join(''));
        break;
      }
      case 'STARTTLS':
        connection.socket.off('data', this.#read);
        connection.write(`220 go\r\n${options.injected ?? ''}`);
        this.#peer.startTls(connection);
        break;
      case 'PROXY':
        break;
      case 'XCLIENT':
        connection.write('220 peer LMTP\r\n');
        break;
      case 'RCPT': {
        const reply = options.rcpt === undefined ? '250 2.1.5 OK\r\n' : options.rcpt(path);
        if (reply?.startsWith('2')) connection.recipients.push(path);
        if (reply !== null) connection.write(reply);
        break;
      }
      case 'DATA':
        connection.write('354 go\r\n');
        this.#beginMessage('data');
        break;
      case 'BDAT':
        this.#bdatLeft = Number(line.split(' ')[1]);
        this.#beginMessage('bdat');
        break;
      case 'QUIT':
        if (options.ignoresQuit === true) break;
        connection.write('221 2.0.0 Bye\r\n');
        connection.socket.end();
        break;
      default:
        connection.write('250 2.0.0 OK\r\n');
    }
  }

  #beginMessage(mode: 'data' | 'bdat'): void {
    this.#connection.hasMessageBegun = true;
    this.#mode = mode;
    if (this.#peer.options.holdsMessage !== true) return;
    this.#mode = 'held';
    this.#connection.socket.pause();
    this.#connection.resume = () => {
      this.#mode = mode;
      this.#connection.socket.resume();
      while (this.#step());
    };
  }

  #finish(): void {
    const connection = this.#connection;
    this.#mode = 'command';
    connection.wholeMessages++;
    const recipients = connection.recipients.splice(0);
    connection.finished.push(...recipients);
    for (const path of recipients) {
      const { final } = this.#peer.options;
      const reply = final === undefined ? `250 2.0.0 <${path}> peer Saved\r\n` : final(path);
      if (reply === 'close') {
        connection.socket.destroy();
        return;
      }
      if (reply !== null) connection.write(reply);
    }
  }
}
