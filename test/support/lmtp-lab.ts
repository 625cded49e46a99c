import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { withDeadline } from './deadline.ts';
import {
  type DovecotBackend,
  type DovecotFacts,
  DovecotLab,
  IMAP_PORT,
  POP3_PORT,
} from './dovecot.ts';
import { PostilionProcess } from './postilion.ts';

export const LMTP_PORT = 23024;
const REPLY_DEADLINE_MS = 15_000;

/** Dovecot's lmtp beside IMAP and POP3; what it logs of a delivery has the session. */
export function lmtpConfig({ directory }: DovecotFacts): string {
  return `
protocols = imap pop3 lmtp
postmaster_address = postmaster@example.test
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
lmtp_rcpt_check_quota = no
service lmtp {
  inet_listener lmtp {
    port = ${LMTP_PORT}
  }
  unix_listener lmtp {
    mode = 0
  }
}
service stats {
  client_limit = 1000
}
# ${directory}
`;
}

/** Real backends with LMTP. `further` is added to their configuration. */
export async function startLmtpLab(
  count: number,
  further: (backend: DovecotFacts) => string = () => '',
): Promise<DovecotLab> {
  return await DovecotLab.start(count, 1, {
    config: (backend) => lmtpConfig(backend) + further(backend),
    packages: ['dovecot-lmtpd'],
  });
}

export interface LmtpPostilionOptions {
  readonly mailServers: readonly string[];
  readonly lmtpPort?: number;
  readonly workers?: number;
  /** Settings of `backends.lmtp`. */
  readonly backend?: Readonly<Record<string, unknown>>;
  readonly services?: readonly Readonly<Record<string, unknown>>[];
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly director?: Readonly<Record<string, unknown>>;
}

/** `postilion serve` with IMAP and LMTP. */
export async function startLmtpPostilion(options: LmtpPostilionOptions): Promise<PostilionProcess> {
  const listen = '127.0.0.1:0';
  return await PostilionProcess.start({
    mailServers: options.mailServers,
    imapPort: IMAP_PORT,
    pop3Port: POP3_PORT,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(options.director === undefined ? {} : { director: options.director }),
    overrides: {
      hostname: 'proxy.test',
      services: options.services ?? [
        { protocol: 'imap', listen },
        { protocol: 'lmtp', listen },
      ],
      backends: {
        imap: { port: IMAP_PORT, trusted: true },
        lmtp: { port: options.lmtpPort ?? LMTP_PORT, trusted: true, ...options.backend },
      },
      ...options.overrides,
    },
  });
}

export function lmtpPortOf(postilion: PostilionProcess): number {
  const line = postilion.log.find((entry) => {
    return entry['msg'] === 'listening' && entry['protocol'] === 'lmtp' && 'port' in entry;
  });
  return line?.['port'] as number;
}

/** The messages in a user's INBOX on one backend, as they are in their files. */
export function inbox(backend: DovecotBackend, user: string): string[] {
  const maildir = join(backend.directory, 'mail', user.toLowerCase(), 'Maildir');
  return ['new', 'cur'].flatMap((folder) => {
    const path = join(maildir, folder);
    if (!existsSync(path)) return [];
    return readdirSync(path).map((name) => readFileSync(join(path, name), 'latin1'));
  });
}

/** Where a user's mail is: the names of the backends, one for each message. */
export function copiesOf(lab: DovecotLab, user: string): string[] {
  return lab.backends.flatMap((backend) => inbox(backend, user).map(() => backend.name));
}

/** An MTA at its lowest: lines out, lines in. */
export class LmtpClient {
  readonly socket: Socket;
  #received = '';
  #wake: (() => void) | null = null;
  #isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake?.();
    });
  }

  /** Connected, greeted, and introduced by LHLO. */
  static async open(port: number, host = '127.0.0.1'): Promise<LmtpClient> {
    const client = new LmtpClient(connect({ host, port }));
    await client.replies(1);
    await client.command('LHLO mta.test');
    return client;
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Sends one line and gives the whole reply to it. */
  async command(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return (await this.replies(1))[0];
  }

  /** MAIL and RCPT commands; the replies to RCPT. */
  async envelope(sender: string, ...recipients: string[]): Promise<string[]> {
    await this.command(`MAIL FROM:<${sender}>`);
    const replies: string[] = [];
    for (const recipient of recipients) {
      replies.push(await this.command(`RCPT TO:<${recipient}>`));
    }
    return replies;
  }

  /** The message by DATA; so many final replies. */
  async data(message: string, count: number): Promise<string[]> {
    await this.command('DATA');
    this.send(`${message}.\r\n`);
    return await this.replies(count);
  }

  /** The next so many replies, each with all its lines joined by LF. */
  async replies(count: number): Promise<string[]> {
    const found: string[] = [];
    const take = async (): Promise<string[]> => {
      while (found.length < count) {
        const match = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#received);
        if (match !== null) {
          this.#received = this.#received.slice(match[0].length);
          found.push(match[0].trimEnd().replaceAll('\r\n', '\n'));
          continue;
        }
        if (this.#isClosed) throw new Error(`closed; replies ${JSON.stringify(found)}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      return found;
    };
    return await withDeadline(take(), REPLY_DEADLINE_MS, `${count} LMTP replies`);
  }

  /** Resolves when the connection is closed, with what came before that. */
  async closed(): Promise<string> {
    const wait = async (): Promise<void> => {
      while (!this.#isClosed) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    await withDeadline(wait(), REPLY_DEADLINE_MS, 'end of the LMTP connection');
    return this.#received;
  }

  close(): void {
    this.socket.destroy();
  }
}
