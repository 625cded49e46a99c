import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import tls from 'node:tls';
import type { CertificateFiles } from './certificates.ts';

export interface TlsBackendOptions extends CertificateFiles {
  readonly ip: string;
  readonly mode: 'starttls' | 'implicit';
  /** Said in the clear behind the consent to STARTTLS, in the same segment. */
  readonly injected?: string;
}

/** What a connection has brought. */
export interface TlsBackendConnection {
  clear: string;
  secured: string;
  isReused: boolean;
}

/** An IMAP server that accepts every login, over TLS; for what a real one cannot be made to do. */
export class TlsBackend {
  readonly connections: TlsBackendConnection[] = [];
  readonly #options: TlsBackendOptions;
  readonly #context: tls.SecureContext;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(options: TlsBackendOptions) {
    this.#options = options;
    this.#context = tls.createSecureContext({
      cert: readFileSync(options.cert),
      key: readFileSync(options.key),
      sessionIdContext: 'test',
    });
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(options: TlsBackendOptions): Promise<TlsBackend> {
    const backend = new TlsBackend(options);
    backend.#server.listen({ host: options.ip, port: 0 });
    await once(backend.#server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    const connection = { clear: '', secured: '', isReused: false };
    this.connections.push(connection);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    if (this.#options.mode === 'implicit') {
      this.#secure(socket, connection);
      return;
    }
    socket.write('* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS LOGINDISABLED] in the clear\r\n');
    socket.on('data', (chunk) => {
      connection.clear += chunk.toString('latin1');
      if (!connection.clear.endsWith('S STARTTLS\r\n')) return;
      socket.removeAllListeners('data');
      socket.write(`S OK begin\r\n${this.#options.injected ?? ''}`);
      this.#secure(socket, connection);
    });
  }

  #secure(socket: Socket, connection: TlsBackendConnection): void {
    const secured = new tls.TLSSocket(socket, { isServer: true, secureContext: this.#context });
    secured.on('error', () => {});
    secured.once('secure', () => {
      connection.isReused = secured.isSessionReused();
      if (this.#options.mode === 'implicit') {
        secured.write('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] secured\r\n');
      }
    });
    secured.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      connection.secured += text;
      for (const line of text.split('\r\n')) {
        const [tag, command] = line.split(' ');
        if (command === 'CAPABILITY') {
          secured.write(`* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n${tag} OK done\r\n`);
        } else if (command === 'LOGIN') secured.write(`${tag} OK Logged in\r\n`);
        else if (command === 'NOOP') secured.write(`${tag} OK NOOP completed\r\n`);
      }
    });
  }
}
