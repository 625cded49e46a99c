import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { BackendFaults } from './faults.ts';
import { GeneratedBody } from './generated-body.ts';
import { ImapSession } from './imap-session.ts';
import { EMBEDDED_LIMITS } from './limits.ts';
import type { AppendedMessage, MailSession, SessionInfo, SessionOwner } from './mail-session.ts';
import { Pop3Session } from './pop3-session.ts';

const DEFAULT_BODY_BYTES = 65_536;
const DEFAULT_MESSAGES = 1;

export interface EmbeddedBackendOptions {
  /** Shown in greetings and messages. */
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly imapPort?: number;
  readonly pop3Port?: number;
  /** Obeys ID x-* and XCLIENT, and advertises [XCLIENT]. Default true. */
  readonly isTrusting?: boolean;
  /** Size of every message, e.g. 16 MiB. Default 64 KiB. */
  readonly bodyBytes?: number;
  /** Default: any user whose password is "pass". Names and passwords are latin1 strings. */
  readonly verify?: (user: string, password: string) => boolean;
  readonly faults?: BackendFaults;
}

export interface BackendEvents {
  login: [SessionInfo];
  logout: [SessionInfo];
  append: [AppendedMessage];
  /** A connection was accepted. */
  connection: ['imap' | 'pop3'];
}

/**
 * A small IMAP4rev1 and POP3 server of our own: backend of the demo, of tests and of benches. It
 * runs on the event loop of the thread that started it and reports whom it serves.
 */
export class EmbeddedBackend extends EventEmitter<BackendEvents> {
  readonly name: string;
  readonly host: string;
  readonly #owner: SessionOwner;
  readonly #imap: Server;
  readonly #pop3: Server;
  readonly #sessions = new Set<MailSession>();
  readonly #userSessions = new Map<string, number>();
  readonly #messageCounts = new Map<string, number>();
  readonly #appends: AppendedMessage[] = [];
  #faults: BackendFaults;
  #imapPort: number;
  #pop3Port: number;
  #loginCount = 0;
  #refusedConnections = 0;

  constructor(options: EmbeddedBackendOptions) {
    super();
    this.name = options.name;
    this.host = options.host;
    this.#faults = options.faults ?? {};
    this.#imapPort = options.imapPort ?? 0;
    this.#pop3Port = options.pop3Port ?? 0;
    this.#owner = this.#createOwner(options);
    // allowHalfOpen is off: a client that ends its side is gone, as for a real mail server.
    this.#imap = createServer((socket) => this.#accept('imap', socket));
    this.#pop3 = createServer((socket) => this.#accept('pop3', socket));
  }

  get imapPort(): number {
    return this.#imapPort;
  }

  get pop3Port(): number {
    return this.#pop3Port;
  }

  get loginCount(): number {
    return this.#loginCount;
  }

  get openSessions(): number {
    let open = 0;
    for (const count of this.#userSessions.values()) open += count;
    return open;
  }

  /** Connections, logged in or not. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Connections closed because there were too many. */
  get refusedConnections(): number {
    return this.#refusedConnections;
  }

  /** Open sessions per user, by the name as received. */
  sessions(): Map<string, number> {
    return new Map(this.#userSessions);
  }

  /** The last messages that arrived by APPEND. */
  get appends(): readonly AppendedMessage[] {
    return this.#appends;
  }

  /** The SHA-256 (hex) and size of the message every FETCH and RETR gives. */
  get message(): { bytes: number; sha256: string } {
    return { bytes: this.#owner.body.bytes, sha256: this.#owner.body.sha256() };
  }

  /** A new message for the user: says `* n EXISTS` to those who idle, and returns how many did. */
  notify(user: string): number {
    const count = this.#owner.messageCount(user) + 1;
    if (this.#messageCounts.size < EMBEDDED_LIMITS.maxMailboxes || this.#messageCounts.has(user)) {
      this.#messageCounts.set(user, count);
    }
    let told = 0;
    for (const session of this.#sessions) {
      if (session.user === user && session instanceof ImapSession && session.pushExists(count)) {
        told++;
      }
    }
    return told;
  }

  /** Replaces the faults; `{}` makes the backend behave again. */
  setFaults(faults: BackendFaults): void {
    this.#faults = faults;
    for (const session of this.#sessions) session.faultsChanged();
  }

  async listen(): Promise<void> {
    await listenOn(this.#imap, this.host, this.#imapPort);
    this.#imapPort = portOf(this.#imap);
    try {
      await listenOn(this.#pop3, this.host, this.#pop3Port);
    } catch (error) {
      await closeServer(this.#imap);
      throw error;
    }
    this.#pop3Port = portOf(this.#pop3);
  }

  /** Cuts every connection and stops listening, as a crash does. */
  async die(): Promise<void> {
    const closed = Promise.all([closeServer(this.#imap), closeServer(this.#pop3)]);
    for (const session of this.#sessions) session.destroy();
    await closed;
  }

  /** Listens again on the ports it had. */
  async revive(): Promise<void> {
    await this.listen();
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    await this.die();
  }

  #createOwner(options: EmbeddedBackendOptions): SessionOwner {
    const faults = (): BackendFaults => this.#faults;
    return {
      name: options.name,
      isTrusting: options.isTrusting ?? true,
      body: new GeneratedBody(options.name, options.bodyBytes ?? DEFAULT_BODY_BYTES),
      get faults() {
        return faults();
      },
      verify: options.verify ?? ((_user, password) => password === 'pass'),
      loggedIn: (_session, info) => {
        this.#loginCount++;
        this.#userSessions.set(info.user, (this.#userSessions.get(info.user) ?? 0) + 1);
        this.emit('login', info);
      },
      loggedOut: (_session, info) => {
        const left = (this.#userSessions.get(info.user) ?? 0) - 1;
        if (left > 0) this.#userSessions.set(info.user, left);
        else this.#userSessions.delete(info.user);
        this.emit('logout', info);
      },
      gone: (session) => this.#sessions.delete(session),
      messageCount: (user) => this.#messageCounts.get(user) ?? DEFAULT_MESSAGES,
      appended: (message) => {
        if (this.#appends.length >= EMBEDDED_LIMITS.maxRememberedAppends) this.#appends.shift();
        this.#appends.push(message);
        this.emit('append', message);
        this.notify(message.user);
      },
    };
  }

  #accept(protocol: 'imap' | 'pop3', socket: Socket): void {
    if (this.#sessions.size >= EMBEDDED_LIMITS.maxConnections) {
      this.#refusedConnections++;
      socket.destroy();
      return;
    }
    const session =
      protocol === 'imap'
        ? new ImapSession(this.#owner, socket)
        : new Pop3Session(this.#owner, socket);
    this.#sessions.add(session);
    this.emit('connection', protocol);
    session.start();
  }
}

/** Starts one backend. */
export async function startEmbeddedBackend(
  options: EmbeddedBackendOptions,
): Promise<EmbeddedBackend> {
  const backend = new EmbeddedBackend(options);
  await backend.listen();
  return backend;
}

const SHARED_PORT_TRIES = 20;

/**
 * Starts several backends, each on an address of its own and all on the same two ports, as a
 * director needs them: it knows one port per protocol.
 */
export async function startEmbeddedBackends(
  all: readonly Omit<EmbeddedBackendOptions, 'imapPort' | 'pop3Port'>[],
): Promise<EmbeddedBackend[]> {
  for (let tries = 1; ; tries++) {
    const started: EmbeddedBackend[] = [];
    try {
      for (const options of all) {
        const first = started[0];
        const ports = { imapPort: first?.imapPort ?? 0, pop3Port: first?.pop3Port ?? 0 };
        started.push(await startEmbeddedBackend({ ...options, ...ports }));
      }
      return started;
    } catch (error) {
      await Promise.all(started.map((backend) => backend.stop()));
      // A port that is free on the first address may be taken on the next: try another pair.
      if (!isAddressInUse(error) || tries >= SHARED_PORT_TRIES) throw error;
    }
  }
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

async function listenOn(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port, backlog: 1024 });
  await once(server, 'listening');
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
  return address.port;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
