import {
  type BackendLogin,
  type ClientEngine,
  type ClientEngineOptions,
  type ConnectionFacts,
  type Credentials,
  type ForwardedIdentity,
  type LoginAccepted,
  type LoginFailure,
  NO_HINTS,
  type Protocol,
} from '../../../src/workers/protocols/engine.ts';

export const facts: ConnectionFacts = {
  sessionId: 'bygTHfdghZp/AwEB',
  remoteIp: '192.0.2.7',
  remotePort: 39557,
  localIp: '192.0.2.1',
  localPort: 143,
  isTrusted: false,
  allowsPlaintext: true,
  isTls: false,
  tlsVersion: '',
  offersStartTls: false,
  serverName: '',
  certificateUser: '',
  mechanisms: ['PLAIN', 'LOGIN'],
  ttl: 5,
};

export const options: ClientEngineOptions = {
  greeting: 'proxy.test ready.',
  hostname: 'proxy.test',
  submissionCapabilities: ['8BITMIME', 'DSN'],
  submissionMaxMailSize: 0,
  sieveImplementation: 'Dovecot Pigeonhole',
  sieveExtensions: 'fileinto reject',
  sieveNotify: 'mailto',
  imapCapability: '',
  imapLiteralMinus: false,
  imapIdRetain: false,
};

export const login: BackendLogin = {
  user: 'alice',
  password: 'pass',
  master: '',
  mechanism: '',
  isNoAuth: false,
  startTls: false,
  mayPipeline: true,
  hostname: 'proxy.test',
  sendIdentity: false,
  facts,
  forward: [],
  hints: NO_HINTS,
};

/** What a client engine did, besides replying. */
export type ClientEvent =
  | { kind: 'login'; credentials: Credentials }
  | { kind: 'refuse-later' }
  | { kind: 'find-scram-keys'; user: string; authzid: string }
  | { kind: 'identify'; identity: ForwardedIdentity }
  | { kind: 'start-tls' }
  | { kind: 'close'; reason: string };

/** A client engine with everything it does written down. */
export class TestClient {
  output = '';
  readonly events: ClientEvent[] = [];
  /** Who was named in what was refused last. */
  refusedUser: string | null = null;
  readonly engine: ClientEngine;

  constructor(
    protocol: Protocol,
    changedFacts: Partial<ConnectionFacts> = {},
    changedOptions: Partial<ClientEngineOptions> = {},
  ) {
    // As a session has it: nobody is offered what he may not use.
    const mechanisms = changedFacts.allowsPlaintext === false ? [] : facts.mechanisms;
    this.engine = protocol.createClient(
      { ...facts, mechanisms, ...changedFacts },
      { ...options, ...changedOptions },
      {
        reply: (bytes) => {
          this.output += bytes;
        },
        login: (credentials) => this.events.push({ kind: 'login', credentials }),
        refuseLater: (user) => {
          this.refusedUser = user;
          this.events.push({ kind: 'refuse-later' });
        },
        findScramKeys: (user, authzid) => {
          this.events.push({ kind: 'find-scram-keys', user, authzid });
        },
        identify: (identity) => this.events.push({ kind: 'identify', identity }),
        startTls: () => this.events.push({ kind: 'start-tls' }),
        close: (reason) => this.events.push({ kind: 'close', reason }),
      },
    );
    this.engine.start();
  }

  /** Feeds text (latin1) in one chunk, and gives what was replied since the last call. */
  send(text: string): string {
    this.engine.receive(Buffer.from(text, 'latin1'));
    return this.takeOutput();
  }

  takeOutput(): string {
    const output = this.output;
    this.output = '';
    return output;
  }

  get credentials(): Credentials | undefined {
    return this.events.findLast((event) => event.kind === 'login')?.credentials;
  }

  get isClosed(): boolean {
    return this.events.some((event) => event.kind === 'close');
  }
}

/** A backend engine with everything it does written down. */
export class TestBackend {
  sent: string[] = [];
  forwarded = '';
  isGreeted = false;
  hasStartedTls = false;
  acceptance: { accepted: LoginAccepted; rest: string | null } | null = null;
  failure: LoginFailure | null = null;
  detail = '';
  endings = 0;
  readonly engine;

  constructor(protocol: Protocol, changedLogin: Partial<BackendLogin> = {}) {
    this.engine = protocol.createBackend(
      { ...login, ...changedLogin },
      {
        send: (bytes) => this.sent.push(bytes),
        greeted: () => {
          this.isGreeted = true;
        },
        startTls: () => {
          this.hasStartedTls = true;
        },
        forward: (bytes) => {
          this.forwarded += bytes;
        },
        accepted: (accepted, rest) => {
          this.endings++;
          this.acceptance = { accepted, rest: rest === null ? null : rest.toString('latin1') };
        },
        failed: (failure, detail) => {
          this.endings++;
          this.failure = failure;
          this.detail = detail;
        },
      },
    );
  }

  /** Feeds text (latin1) in one chunk, and gives what was sent since the last call. */
  receive(text: string): string {
    this.engine.receive(Buffer.from(text, 'latin1'));
    return this.sent.splice(0).join('');
  }
}

/** Cuts `text` at the given places (taken modulo its length). */
export function cut(text: string, places: readonly number[]): Buffer[] {
  const borders = [0, ...new Set(places.map((place) => place % (text.length + 1))), text.length];
  borders.sort((a, b) => a - b);
  return borders
    .slice(1)
    .map((border, i) => Buffer.from(text.slice(borders[i], border), 'latin1'))
    .filter((chunk) => chunk.length > 0);
}

export function everyByte(text: string): Buffer[] {
  return [...text].map((character) => Buffer.from(character, 'latin1'));
}
