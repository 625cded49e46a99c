import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Counter } from '../shared/memory/counters.ts';
import type { ListedSession, ServiceAddress } from '../shared/messages.ts';
import type { StoredScramKeys } from '../shared/passwords/scram-secret.ts';
import type { ProxyHeader } from '../shared/wire/proxy-header.ts';
import type { LoginRoute } from './auth/login-route.ts';
import { BackendLink, type LinkOwner } from './backend-link.ts';
import { backendLogin, ClientLogin, type LoginOwner } from './client-login.ts';
import { ClientOpening } from './client-opening.ts';
import { ownAccepted, ownUnread, type SocketOwner } from './owned-socket.ts';
import type { EndReason } from './protocols/end-reason.ts';
import {
  type ClientEngine,
  type ClientSink,
  type Credentials,
  type ForwardedIdentity,
  LOGGED_OUT,
  type LoginAccepted,
  type LoginFailure,
  type StreamWatch,
} from './protocols/engine.ts';
import { relayWrite } from './relay-write.ts';
import type { WorkerContext } from './worker-context.ts';

/** A connection that is not logged in lives this long, whatever it does. */
export const PRELOGIN_TIMEOUT_MS = 180_000;
/** Replies that a client does not read before login: then it is dropped. */
const MAX_UNREAD_REPLY_BYTES = 64 * 1024;
/** After our last word we still read (and drop) for so long, lest a reset destroys that word. */
const LINGER_MS = 2000;
/** When one side has closed its half, the other may go on for so long without moving a byte. */
const HALF_CLOSED_IDLE_MS = 60_000;

const Phase = {
  prelogin: 'prelogin',
  relaying: 'relaying',
  /** Our last word is on its way; input is dropped. */
  closing: 'closing',
  closed: 'closed',
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** One client connection, from accept to close. */
export class Session implements SocketOwner, ClientSink, LoginOwner, LinkOwner {
  readonly #context: WorkerContext;
  /** The TCP connection, or TLS on top of it once it has begun. */
  #client: net.Socket;
  #wantsTls = false;
  /** Null once it is logged in; what is asked for later is in the three below. */
  #opening: ClientOpening | null;
  /** Null as well when our last word was said. */
  #login: ClientLogin | null;
  #sessionId = '';
  #remoteIp = '';
  #remotePort = 0;
  #engine: ClientEngine | null = null;
  #link: BackendLink | null = null;
  #watch: StreamWatch | null = null;
  #user = '';
  #names: LoginRoute['names'] = {};
  #phase: Phase = Phase.prelogin;
  #timer: NodeJS.Timeout | null = null;
  #hasMoved = false;
  #clientEnded = false;
  /** What the client had not taken at the last look; after the backend has closed. */
  #unsentBytes = 0;
  /** Replies of the engine call that is running, written in one go. */
  #output = '';
  #closeReason = '';
  /** When the login began, then when it was accepted. */
  #sinceMs = 0;

  /** @param header of the balancer that the connection came through; null: it came straight */
  constructor(
    context: WorkerContext,
    service: ServiceAddress,
    client: net.Socket,
    header: ProxyHeader | null,
  ) {
    this.#context = context;
    this.#client = client;
    const opening = new ClientOpening(context, service, client, header);
    this.#opening = opening;
    this.#login = new ClientLogin(context, opening, this);
    this.#learn();
    context.counters.add(Counter.accepted);
    context.sessions.add(this);
    const isImplicitTls = service.tls === 'implicit';
    if (isImplicitTls) ownUnread(client, this);
    else ownAccepted(client, this);
    if (!opening.enter()) {
      this.#refuseConnection(isImplicitTls);
      return;
    }
    this.#timer = setTimeout(Session.#preloginTimeout, PRELOGIN_TIMEOUT_MS, this);
    if (isImplicitTls) {
      this.#startHandshake();
    } else {
      this.#greet();
      // Paused where a header was read.
      client.resume();
    }
  }

  #refuseConnection(isImplicitTls: boolean): void {
    const { counters, log, protocol, engineOptions } = this.#context;
    counters.add(Counter.limited);
    log.warn(this.#logFields(), 'limits.max_prelogin_per_address reached');
    if (!isImplicitTls) {
      const { facts } = this.#opening!;
      const goodbye = protocol.createClient(facts, engineOptions, this).goodbye('limit');
      this.#client.write(goodbye, 'latin1');
    }
    this.#linger();
  }

  #greet(): void {
    const { protocol, engineOptions } = this.#context;
    this.#engine = protocol.createClient(this.#opening!.facts, engineOptions, this);
    this.#engine.start();
    this.#flush();
  }

  // TLS

  startTls(): void {
    this.#wantsTls = true;
  }

  #startHandshake(): void {
    const secured = this.#opening!.startTls(this.#client, this);
    if (secured === null) this.#end('TLS was switched off');
    else this.#client = secured;
  }

  onSecure(socket: TLSSocket): void {
    const opening = this.#opening;
    if (opening === null || this.#phase !== Phase.prelogin) return;
    if (!opening.secured(socket)) {
      this.#context.log.info(this.#logFields(), 'client certificate missing or not valid');
      this.#end('client certificate');
      return;
    }
    this.#learn();
    if (this.#engine === null) {
      this.#greet();
    } else {
      this.#engine.tlsStarted(opening.facts);
      this.#flush();
    }
  }

  // Client socket

  onConnect(): void {
    // Accepted sockets are connected.
  }

  onRead(): boolean {
    // Accepted sockets deliver by onData().
    return false;
  }

  onData(_socket: net.Socket, chunk: Buffer): void {
    if (this.#phase === Phase.relaying) {
      this.#hasMoved = true;
      const backend = this.#link?.socket ?? null;
      if (backend === null) return;
      this.#watch?.fromClient(chunk);
      if (!relayWrite(backend, chunk, () => this.#client.resume())) this.#client.pause();
    } else if (this.#engine !== null) {
      this.#engine.receive(chunk);
      this.#flush();
    }
  }

  onEnd(socket: net.Socket): void {
    if (socket !== this.#client) return;
    if (this.#phase !== Phase.relaying) {
      // A client that has closed its half before it logged in gets no further than this.
      this.#end(this.#closeReason === '' ? 'disconnected by client' : this.#closeReason);
      return;
    }
    this.#clientEnded = true;
    this.#link?.socket?.end();
    this.#halfClosed();
  }

  onError(socket: net.Socket, error: NodeJS.ErrnoException): void {
    // 'close' follows.
    if (socket !== this.#client || this.#opening?.isHandshaking !== true) return;
    this.#context.counters.add(Counter.badInput);
    const detail = error.code ?? error.message;
    this.#context.log.info({ ...this.#logFields(), detail }, 'TLS handshake failed');
  }

  /** A bug of ours: costs this session, and nobody else. */
  onFault(error: unknown): void {
    this.#context.log.error({ session: this.#sessionId, err: error }, 'session fault');
    this.#end('internal fault');
  }

  onClose(socket: net.Socket): void {
    if (socket !== this.#client) return;
    this.#end(this.#closeReason === '' ? 'disconnected by client' : this.#closeReason);
  }

  // Client engine

  reply(bytes: string): void {
    this.#output += bytes;
  }

  login(credentials: Credentials): void {
    this.#client.pause();
    this.#sinceMs = Date.now();
    this.#login!.start(credentials);
  }

  findScramKeys(user: string, authzid: string): void {
    this.#client.pause();
    this.#login!.findScramKeys(user, authzid);
  }

  refuseLater(user: string): void {
    this.#client.pause();
    this.#login!.refuseLater(user);
  }

  identify(identity: ForwardedIdentity): void {
    this.#opening!.identify(identity);
    this.#learn();
  }

  #learn(): void {
    const { facts } = this.#opening!;
    this.#sessionId = facts.sessionId;
    this.#remoteIp = facts.remoteIp;
    this.#remotePort = facts.remotePort;
  }

  close(reason: string): void {
    this.#closeReason = reason;
  }

  /** Writes what the engine said, and closes if it said so. */
  #flush(): void {
    if (this.#output !== '') {
      const output = this.#output;
      this.#output = '';
      this.#client.write(output, 'latin1');
      if (this.#client.writableLength > MAX_UNREAD_REPLY_BYTES) {
        this.#end('client does not read');
        return;
      }
    }
    if (this.#wantsTls) {
      this.#wantsTls = false;
      this.#startHandshake();
    } else if (this.#closeReason !== '' && this.#phase === Phase.prelogin) {
      if (this.#closeReason !== LOGGED_OUT) {
        this.#context.counters.add(Counter.badInput);
        this.#context.log.info(this.#logFields(), this.#closeReason);
      }
      this.#linger();
    }
  }

  // Login

  loginRouted(route: LoginRoute): void {
    const context = this.#context;
    this.#user = route.user;
    this.#names = route.names;
    const login = backendLogin(context, this.#opening!, route, this.#engine!.hints);
    this.#link = new BackendLink(context, login, route, this.#client, this);
    this.#link.start();
  }

  scramKeysFound(keys: StoredScramKeys, nonce: string): void {
    this.#engine!.scramKeys(keys, nonce);
    this.#goOn();
  }

  loginRefused(failure: LoginFailure): void {
    this.#user = '';
    this.#engine!.loginFailed(failure);
    this.#goOn();
  }

  /** Reads the client again, unless it has said more than one thing that takes time. */
  #goOn(): void {
    this.#flush();
    if (this.#engine?.isPending === false && this.#phase === Phase.prelogin) this.#client.resume();
  }

  // Link

  linkForward(bytes: string): void {
    this.#client.write(bytes, 'latin1');
  }

  linkAccepted(accepted: LoginAccepted, rest: Buffer | null): void {
    const { reply, pipelined } = this.#engine!.takeOver(accepted);
    this.#engine = null;
    this.#phase = Phase.relaying;
    this.#sinceMs = Date.now();
    this.#watch = this.#context.protocol.createWatch();
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#client.write(rest === null ? reply : reply + rest.toString('latin1'), 'latin1');
    if (rest !== null) this.#watch?.fromBackend(rest);
    if (pipelined !== null && pipelined.length > 0) {
      this.#watch?.fromClient(pipelined);
      this.#link!.socket!.write(pipelined);
    }
    this.#client.resume();
    this.#opening?.leave();
    this.#opening = null;
    this.#login?.accepted(this.#link!);
    this.#login = null;
  }

  linkFailed(failure: LoginFailure, detail: string): void {
    const link = this.#link;
    // The client may have gone meanwhile.
    if (link === null) return;
    this.#link = null;
    this.#login?.failed(link, failure, detail);
  }

  linkRead(chunk: Buffer): boolean {
    this.#hasMoved = true;
    this.#watch?.fromBackend(chunk);
    return relayWrite(this.#client, chunk, () => this.#link?.socket?.resume());
  }

  /** The backend has closed: the client gets what is queued for it, and the end of the stream. */
  linkEnded(): void {
    if (this.#phase !== Phase.relaying) return;
    this.#phase = Phase.closing;
    this.#closeReason = 'disconnected by backend';
    this.#watch = null;
    this.#link?.abandon();
    this.#link = null;
    clearInterval(this.#timer ?? undefined);
    this.#timer = null;
    if (this.#clientEnded) {
      this.#client.destroySoon();
      return;
    }
    this.#client.once('finish', () => this.#startLinger());
    this.#client.end();
    this.#client.resume();
    this.#unsentBytes = this.#client.writableLength;
    this.#timer ??= setInterval(Session.#unsentCheck, HALF_CLOSED_IDLE_MS, this);
  }

  /** The client must take what is queued for it, or it loses it. */
  static readonly #unsentCheck = (session: Session): void => {
    const unsentBytes = session.#client.writableLength;
    const isStuck = unsentBytes === session.#unsentBytes;
    if (isStuck) session.#end('does not read what the backend left for it');
    session.#unsentBytes = unsentBytes;
  };

  /** The session is logged in, or is being so, under this name, or has it as an alternative one. */
  hasName(field: string, value: string): boolean {
    return field === 'user' ? value === this.#user : this.#names[field] === value;
  }

  listing(): ListedSession {
    const backend = this.#link?.ip ?? '';
    const beforeLogin = backend === '' ? 'waiting' : 'connecting';
    return {
      user: this.#user,
      protocol: this.#context.protocol.name,
      client: this.#remoteIp,
      clientPort: this.#remotePort,
      backend,
      sessionId: this.#sessionId,
      state: this.#opening === null ? 'open' : beforeLogin,
      sinceMs: this.#sinceMs,
      bytesFromClient: this.#client.bytesRead,
      bytesFromBackend: this.#link?.socket?.bytesRead ?? 0,
    };
  }

  linkKicked(reason: EndReason): void {
    this.#context.counters.add(Counter.kicked);
    const { session, protocol } = this.#logFields();
    this.#context.log.info({ session, user: this.#user, protocol, reason }, 'kicked');
    this.#sayGoodbye(reason);
  }

  /** The client has closed its half: the backend may finish, but not idle. */
  #halfClosed(): void {
    this.#hasMoved = false;
    this.#timer ??= setInterval(Session.#halfClosedCheck, HALF_CLOSED_IDLE_MS, this);
  }

  static readonly #halfClosedCheck = (session: Session): void => {
    if (session.#hasMoved) session.#hasMoved = false;
    else session.#end('half closed and idle');
  };

  // Ending

  static readonly #preloginTimeout = (session: Session): void => {
    if (session.#phase !== Phase.prelogin) return;
    session.#context.counters.add(Counter.timedOut);
    session.#sayGoodbye('inactivity');
  };

  /** The process stops. */
  stop(): void {
    this.#sayGoodbye('shutdown');
  }

  /**
   * Ends the session with the protocol's goodbye, or without one where the client would take it for something
   * else. The backend's connection goes first: nothing that the client does or does not do can hold that up.
   */
  #sayGoodbye(reason: EndReason): void {
    this.#link?.abandon();
    this.#link = null;
    this.#closeReason = reason;
    const speaker = this.#engine ?? this.#watch;
    const goodbye = speaker?.goodbye(reason) ?? '';
    if (goodbye === '') {
      this.#end(reason);
      return;
    }
    this.#client.write(goodbye, 'latin1');
    this.#linger();
  }

  /** Ends our half and drops what the client still sends, for a while. */
  #linger(): void {
    this.#phase = Phase.closing;
    this.#engine = null;
    this.#abandonLogin();
    this.#watch = null;
    this.#link?.abandon();
    this.#link = null;
    this.#client.end();
    this.#client.resume();
    this.#startLinger();
  }

  #startLinger(): void {
    if (this.#phase !== Phase.closing) return;
    clearTimeout(this.#timer ?? undefined);
    this.#timer = setTimeout(Session.#lingerTimeout, LINGER_MS, this);
  }

  static readonly #lingerTimeout = (session: Session): void => {
    session.#end(session.#closeReason);
  };

  #end(reason: string): void {
    if (this.#phase === Phase.closed) return;
    this.#phase = Phase.closed;
    const { log, sessions } = this.#context;
    const user = this.#user;
    if (this.#opening === null) {
      log.debug({ session: this.#sessionId, user }, `session ended: ${reason}`);
    } else if (this.#link !== null) {
      log.info({ ...this.#logFields(), user }, `login aborted: ${reason}`);
    }
    this.#opening?.leave();
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#engine = null;
    this.#abandonLogin();
    this.#client.destroy();
    this.#link?.abandon();
    this.#link = null;
    sessions.delete(this);
  }

  #abandonLogin(): void {
    this.#login?.abandon();
    this.#login = null;
  }

  #logFields(): { session: string; protocol: string; client: string } {
    const client = `${this.#remoteIp}:${this.#remotePort}`;
    return { session: this.#sessionId, protocol: this.#context.protocol.name, client };
  }
}
