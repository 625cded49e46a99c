import { once } from 'node:events';
import net from 'node:net';

/** Between a client and its server: may keep the bytes to itself, or refuse connections. */
export class HoldingRelay {
  readonly #server: net.Server;
  readonly #pairs = new Set<readonly [client: net.Socket, server: net.Socket]>();
  readonly host: string;
  #port = 0;
  #isHolding = false;
  /** Connections so far. */
  accepted = 0;
  /** Bytes that clients sent, of all connections, in their order; for searches. */
  fromClients = '';

  private constructor(host: string, target: { readonly host: string; readonly port: number }) {
    this.host = host;
    this.#server = net.createServer({ pauseOnConnect: true }, (client) => {
      this.accepted++;
      const server = net.connect(target);
      const pair = [client, server] as const;
      this.#pairs.add(pair);
      client.on('data', (chunk: Buffer) => {
        this.fromClients += chunk.toString('latin1');
        server.write(chunk);
      });
      server.on('data', (chunk: Buffer) => client.write(chunk));
      for (const [socket, other] of [pair, [server, client] as const]) {
        socket.on('error', () => {});
        socket.on('close', () => {
          other.destroy();
          this.#pairs.delete(pair);
        });
      }
      if (this.#isHolding) server.pause();
      else client.resume();
    });
  }

  static async start(
    host: string,
    target: { readonly host: string; readonly port: number },
  ): Promise<HoldingRelay> {
    const relay = new HoldingRelay(host, target);
    await relay.open();
    return relay;
  }

  get port(): number {
    return this.#port;
  }

  /** Takes connections (again, on the same port). */
  async open(): Promise<void> {
    this.#server.listen({ host: this.host, port: this.#port });
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as net.AddressInfo).port;
  }

  /** As a server that has ended: connections are cut, and further ones refused. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  /** Ends all connections. */
  cut(): void {
    for (const [client] of this.#pairs) client.destroy();
  }

  /** As a server that hangs: connections are taken, and nothing comes back. */
  hold(): void {
    this.#isHolding = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  release(): void {
    this.#isHolding = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }
}
