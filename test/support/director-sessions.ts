import { RawClient } from '../embedded/raw-client.ts';

/** Where a director (or a backend) listens. */
export interface MailPorts {
  readonly host: string;
  readonly imapPort: number;
  readonly pop3Port: number;
}

/** A connection that has read its greeting. */
export async function greeted(host: string, port: number): Promise<RawClient> {
  const client = await RawClient.open(host, port);
  await client.line();
  return client;
}

/** A session that is logged in, over either protocol. The password is "pass". */
export class MailSession {
  readonly user: string;
  readonly protocol: 'imap' | 'pop3';
  readonly client: RawClient;
  /** The connection is gone, whoever ended it. */
  readonly closed: Promise<void>;

  private constructor(user: string, protocol: 'imap' | 'pop3', client: RawClient) {
    this.user = user;
    this.protocol = protocol;
    this.client = client;
    this.closed = new Promise((resolve) => {
      if (client.socket.closed) resolve();
      else client.socket.once('close', () => resolve());
    });
  }

  static async open(at: MailPorts, protocol: 'imap' | 'pop3', user: string): Promise<MailSession> {
    const client = await greeted(at.host, protocol === 'imap' ? at.imapPort : at.pop3Port);
    try {
      if (protocol === 'imap') {
        const answer = await client.ask(`a LOGIN ${user} pass\r\n`, /^a .*\r\n/m);
        if (!/^a OK/m.test(answer)) throw new Error(`login of ${user}: ${answer}`);
      } else {
        await client.ask(`USER ${user}\r\n`, /\+OK.*\r\n/);
        const answer = await client.ask('PASS pass\r\n', /.*\r\n/);
        if (!answer.startsWith('+OK')) throw new Error(`login of ${user}: ${answer}`);
      }
    } catch (error) {
      client.close();
      throw error;
    }
    return new MailSession(user, protocol, client);
  }

  get isClosed(): boolean {
    return this.client.hasEnded;
  }

  /** One command to and fro; throws when the session has been closed. */
  async noop(): Promise<void> {
    const answer =
      this.protocol === 'imap'
        ? await this.client.ask('n NOOP\r\n', /^n .*\r\n/m)
        : await this.client.ask('NOOP\r\n', /.*\r\n/);
    if (!/^(n OK|\+OK)/m.test(answer)) throw new Error(`NOOP of ${this.user}: ${answer}`);
  }

  /** An orderly end, or, when the session has been closed meanwhile, none. */
  async logout(): Promise<void> {
    if (!this.isClosed) {
      this.client.send(this.protocol === 'imap' ? 'z LOGOUT\r\n' : 'QUIT\r\n');
      await this.client.untilEnd();
    }
    this.client.close();
  }

  /** Just gone. */
  vanish(): void {
    this.client.close();
  }
}
