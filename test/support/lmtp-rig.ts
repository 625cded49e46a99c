import { once } from 'node:events';
import { eventually } from './deadline.ts';
import { labAddress } from './dovecot.ts';
import { InProcessDirector } from './in-process-director.ts';
import { LmtpClient } from './lmtp-lab.ts';
import { LmtpPeer, type LmtpPeerOptions } from './lmtp-peer.ts';

export interface LmtpRigOptions {
  readonly peers?: number;
  readonly peer?: LmtpPeerOptions;
  /** Of `backends.lmtp`. */
  readonly backend?: Readonly<Record<string, unknown>>;
  readonly overrides?: Readonly<Record<string, unknown>>;
}

/** A director with one worker in this process, and LMTP servers behind it that do what the test wants. */
export class LmtpRig {
  readonly front: InProcessDirector;
  readonly peers: readonly LmtpPeer[];
  readonly #clients: LmtpClient[] = [];

  private constructor(front: InProcessDirector, peers: readonly LmtpPeer[]) {
    this.front = front;
    this.peers = peers;
  }

  static async start(options: LmtpRigOptions = {}): Promise<LmtpRig> {
    const peers: LmtpPeer[] = [];
    for (let number = 1; number <= (options.peers ?? 2); number++) {
      const port = peers[0]?.port ?? 0;
      peers.push(await LmtpPeer.start(labAddress(number), port, options.peer));
    }
    const listen = '127.0.0.1:0';
    const front = await InProcessDirector.start({
      mailServers: peers.map((_peer, i) => labAddress(i + 1)),
      imapPort: 143,
      pop3Port: 110,
      workers: 1,
      director: { user_kick_delay: '1s' },
      overrides: {
        hostname: 'proxy.test',
        services: ['imap', 'pop3', 'lmtp'].map((protocol) => ({ protocol, listen })),
        backends: { lmtp: { port: peers[0].port, ...options.backend } },
        log: { level: 'debug', format: 'json' },
        ...options.overrides,
      },
    }).catch(async (error: unknown) => {
      await Promise.all(peers.map((peer) => peer.stop()));
      throw error;
    });
    return new LmtpRig(front, peers);
  }

  get port(): number {
    const found = this.front.director.addresses().find(({ protocol }) => protocol === 'lmtp');
    return found?.port ?? 0;
  }

  async client(): Promise<LmtpClient> {
    const client = await LmtpClient.open(this.port);
    this.#clients.push(client);
    return client;
  }

  /** Users that nobody knows yet go to this peer (counted from 1) from now on. */
  onlyTo(number: number): void {
    for (const [i] of this.peers.entries()) {
      this.front.director.directory.setVhostCount(labAddress(i + 1), i + 1 === number ? 100 : 0);
    }
  }

  move(user: string, number: number): unknown {
    return this.front.director.directory.moveUser(user, labAddress(number));
  }

  /** No recipient of any transaction is a session of its user any more. */
  async noSessions(): Promise<void> {
    await eventually('no sessions', 10_000, () => this.front.sessionCount() === 0);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) {
      if (!client.socket.closed) {
        client.close();
        await once(client.socket, 'close');
      }
    }
    await this.front.stop();
    for (const peer of this.peers) await peer.stop();
  }
}
