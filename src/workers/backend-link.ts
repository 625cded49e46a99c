import type net from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { plainAddress } from '../shared/ip-address.ts';
import { Counter } from '../shared/memory/counters.ts';
import type { ListedSession, TlsMode } from '../shared/messages.ts';
import type { LoginRoute } from './auth/login-route.ts';
import { backendHeader } from './backend-header.ts';
import type { ConnectOutcome } from './backend-health.ts';
import type { DirectoryClient, HeldSession } from './directory-client.ts';
import { connectOwned, connectOwnedTls, type SocketOwner, upgradeOwned } from './owned-socket.ts';
import type { EndReason } from './protocols/end-reason.ts';
import type {
  BackendEngine,
  BackendLogin,
  BackendSink,
  LoginAccepted,
  LoginFailure,
} from './protocols/engine.ts';
import type { WorkerContext } from './worker-context.ts';

/** Pause before another try at the same backend, and what must be left of the time for one. */
export const RECONNECT_PAUSE_MS = 1000;
const RECONNECT_MIN_LEFT_MS = 1100;

/** Times of one login in milliseconds; 0 = not reached. */
export interface LoginStages {
  lookup: number;
  connect: number;
  /** With STARTTLS: the greeting and what was said before TLS too. */
  tls: number;
  greeting: number;
  auth: number;
}

/** The session that a link logs in for. */
export interface LinkOwner {
  /** Untagged lines of the backend that the client must see. */
  linkForward(bytes: string): void;
  linkAccepted(accepted: LoginAccepted, rest: Buffer | null): void;
  linkFailed(failure: LoginFailure, detail: string): void;
  /** Relay input; see SocketOwner.onRead. */
  linkRead(chunk: Buffer): boolean;
  linkEnded(): void;
  /** The user's sessions are being killed: end this one. The backend's connection is closed. */
  linkKicked(reason: EndReason): void;
  hasName(field: string, value: string): boolean;
  listing(): ListedSession;
  onFault(error: unknown): void;
}

const RETRIED: Readonly<Record<LoginFailure['kind'], boolean>> = {
  connect: true,
  protocol: true,
  remote: true,
  'auth-tempfail': true,
  'remote-config': false,
  internal: false,
  auth: false,
  authz: false,
  expired: false,
  disabled: false,
  'auth-reply': false,
  unavailable: false,
};

/**
 * One login towards the directory's choice of backend, with its retries, and then the backend side of
 * the relay. Holds the session's place in the registry from the lookup until the last socket is closed.
 */
export class BackendLink implements HeldSession, SocketOwner, BackendSink {
  readonly #context: WorkerContext;
  readonly #directory: DirectoryClient<HeldSession>;
  readonly #ownIp: string;
  readonly #ownPort: number | undefined;
  #owner: LinkOwner | null;
  #login: BackendLogin | null;
  readonly #route: Pick<LoginRoute, 'tag' | 'user' | 'host'>;
  readonly #port: number;
  readonly #tls: TlsMode;
  readonly #verifiesTls: boolean;
  readonly #timeoutMs: number;
  /** TLS has begun and is not done. */
  #isHandshaking = false;
  #engine: BackendEngine | null = null;
  #socket: net.Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Sockets that were given up and are not closed yet. */
  #closing = 0;
  #slot = -1;
  /** The answer of the directory is awaited; the slot must not be left before it has come. */
  #isWaiting = false;
  /** The health of the backend knows how the present attempt to connect ended. */
  #isSettled = true;
  #attemptMs = 0;
  #attempts = 0;
  #startedMs: number;
  #stageMs: number;
  ip = '';
  readonly stages: LoginStages = { lookup: 0, connect: 0, tls: 0, greeting: 0, auth: 0 };

  /** @param client the connection it is for: a backend at its local address would be ourselves */
  constructor(
    context: WorkerContext,
    login: BackendLogin,
    route: LoginRoute,
    client: net.Socket,
    owner: LinkOwner,
  ) {
    this.#context = context;
    const { tag, user, host } = route;
    this.#route = { tag, user, host };
    this.#verifiesTls = route.verifiesTls !== false;
    this.#port = route.port ?? context.backend.port;
    this.#tls = route.tls ?? context.backend.tls;
    this.#timeoutMs = route.timeoutMs ?? context.settings.proxyTimeoutMs;
    // A listener for both families tells mapped addresses.
    this.#ownIp = plainAddress(client.localAddress ?? '');
    this.#ownPort = client.localPort;
    this.#directory = context.directory;
    this.#login = login;
    this.#owner = owner;
    this.#startedMs = performance.now();
    this.#stageMs = this.#startedMs;
  }

  /** Open until the login has failed or the relay has ended. */
  get socket(): net.Socket | null {
    return this.#socket;
  }

  /** Its session goes under this name; see LinkOwner. False when the session has ended. */
  hasName(field: string, value: string): boolean {
    return this.#owner?.hasName(field, value) ?? false;
  }

  /** Null: the session has ended, and only the last socket is not closed yet. */
  listing(): ListedSession | null {
    return this.#owner?.listing() ?? null;
  }

  get attempts(): number {
    return this.#attempts;
  }

  start(): void {
    const { tag, user } = this.#route;
    const tagIndex = this.#context.tagIndex(tag);
    if (tagIndex < 0) {
      this.#fail({ kind: 'unavailable' }, `no backend has the tag ${tag}`);
      return;
    }
    this.#isWaiting = true;
    if (!this.#directory.enter(tagIndex, this.#context.hashUser(user), this, nowSecs())) {
      this.#isWaiting = false;
      this.#context.counters.add(Counter.limited);
      this.#fail({ kind: 'internal' }, 'limits.max_sessions_per_worker reached');
    }
  }

  // Directory

  hostAssigned(slot: number, hostId: number): void {
    this.#slot = slot;
    this.#isWaiting = false;
    if (this.#owner === null) {
      this.#leave();
      return;
    }
    this.stages.lookup = this.#endStage();
    this.#startedMs = this.#stageMs;
    this.ip = this.#route.host ?? this.#context.hostAddress(hostId);
    // Under another name it may go on elsewhere; if it does not, it is found by its TTL.
    const isSameUser = this.#login!.user === this.#route.user;
    if (isSameUser && this.ip === this.#ownIp && this.#port === this.#ownPort) {
      this.#fail({ kind: 'internal' }, 'proxying loops to itself');
      return;
    }
    const leftMs = this.#timeLeftMs();
    this.#timer = setTimeout(() => this.#timedOut(), Math.max(1, leftMs));
    this.#attempt();
  }

  hostFailed(slot: number, reason: string): void {
    this.#slot = slot;
    this.#isWaiting = false;
    this.#leave();
    this.#fail({ kind: 'unavailable' }, reason);
  }

  kick(reason: EndReason): void {
    const owner = this.#owner;
    this.abandon();
    owner?.linkKicked(reason);
  }

  // Connecting

  #attempt(): void {
    const login = this.#login!;
    const key = this.#key();
    if (!this.#context.health.mayConnect(key, performance.now())) {
      this.#fail({ kind: 'connect' }, `${key} is down: not tried`, false);
      return;
    }
    this.#attempts++;
    this.#isSettled = false;
    this.#attemptMs = performance.now();
    this.#stageMs = this.#attemptMs;
    this.#engine = this.#context.protocol.createBackend(login, this);
    const { tcpKeepaliveMs } = this.#context.settings;
    if (this.#tls === 'implicit' && !this.#sendsHeader) {
      this.#isHandshaking = true;
      const options = this.#tlsOptions();
      this.#socket = connectOwnedTls(this.ip, this.#port, tcpKeepaliveMs, this, options);
    } else {
      this.#socket = connectOwned(this.ip, this.#port, tcpKeepaliveMs, this);
    }
  }

  get #sendsHeader(): boolean {
    return this.#context.backend.haproxy !== 'off';
  }

  #key(): string {
    return `${this.ip}:${this.#port}`;
  }

  // TLS

  #tlsOptions(): ConnectionOptions {
    const name = this.#context.hostName(this.ip);
    return this.#context.backendTls.connectOptions(this.#key(), name, this.#verifiesTls);
  }

  startTls(): void {
    this.#isHandshaking = true;
    this.#socket = upgradeOwned(this.#socket!, this, this.#tlsOptions());
  }

  onSecure(socket: TLSSocket): void {
    if (socket !== this.#socket) return;
    this.#isHandshaking = false;
    this.stages.tls = this.#endStage();
    const complaint = this.#context.backendTls.secured(this.#key(), socket, this.#verifiesTls);
    if (complaint !== '') {
      this.#fail({ kind: 'internal' }, `TLS: ${complaint}`);
      return;
    }
    if (this.#tls === 'starttls') this.#engine?.tlsStarted();
  }

  /** Whatever the backend's certificate has wrong it will have wrong next time. */
  #handshakeFailed(error: NodeJS.ErrnoException): void {
    this.#context.backendTls.forget(this.#key());
    const isNetwork = error.syscall !== undefined;
    this.#fail({ kind: isNetwork ? 'connect' : 'internal' }, `TLS: ${error.message}`);
  }

  onConnect(): void {
    this.#settle('connected');
    this.stages.connect = this.#endStage();
    if (!this.#sendsHeader) return;
    const header = backendHeader(this.#context.backend, this.#login!.facts);
    if (header !== null) this.#socket?.write(header);
    if (this.#tls === 'implicit') this.startTls();
  }

  #settle(outcome: ConnectOutcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#context.health.settled(this.#key(), outcome, this.#attemptMs, performance.now());
  }

  #timedOut(): void {
    this.#timer = null;
    const isConnecting = !this.#isSettled;
    const state = isConnecting ? 'connecting' : (this.#engine?.state ?? 'reconnecting');
    this.#settle('failed');
    this.#fail({ kind: 'connect' }, `timed out (state: ${state})`, false);
  }

  #fail(failure: LoginFailure, detail: string, mayRetry = RETRIED[failure.kind]): void {
    this.#engine = null;
    this.#closeSocket();
    const { settings } = this.#context;
    if (
      mayRetry &&
      this.#attempts <= settings.proxyMaxReconnects &&
      this.#timeLeftMs() > RECONNECT_MIN_LEFT_MS
    ) {
      clearTimeout(this.#timer ?? undefined);
      this.#timer = setTimeout(() => this.#retry(), RECONNECT_PAUSE_MS);
      this.#context.log.debug({ ...this.#logFields(), detail }, 'backend failed, trying again');
      return;
    }
    const owner = this.#owner;
    this.abandon();
    // Later, as the owner may be inside the call that started this link.
    if (owner !== null) setImmediate(() => owner.linkFailed(failure, detail));
  }

  #logFields(): { user: string; session: string; backend: string } {
    const user = this.#login?.user ?? '';
    return { user, session: this.#login?.facts.sessionId ?? '', backend: this.ip };
  }

  #retry(): void {
    this.#timer = setTimeout(() => this.#timedOut(), Math.max(1, this.#timeLeftMs()));
    this.#attempt();
  }

  #timeLeftMs(): number {
    return this.#startedMs + this.#timeoutMs - performance.now();
  }

  #endStage(): number {
    const now = performance.now();
    const elapsed = now - this.#stageMs;
    this.#stageMs = now;
    return Math.round(elapsed * 1000) / 1000;
  }

  // Backend engine

  send(bytes: string): void {
    this.#socket?.write(bytes, 'latin1');
  }

  greeted(): void {
    this.stages.greeting = this.#endStage();
  }

  forward(bytes: string): void {
    this.#owner?.linkForward(bytes);
  }

  accepted(accepted: LoginAccepted, rest: Buffer | null): void {
    this.stages.auth = this.#endStage();
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#engine = null;
    // Forgets the password.
    this.#login = null;
    this.#owner?.linkAccepted(accepted, rest);
  }

  failed(failure: LoginFailure, detail: string): void {
    this.#fail(failure, detail);
  }

  // Socket

  /** TLS that was begun on an open connection delivers so. */
  onData(socket: net.Socket, chunk: Buffer): void {
    if (!this.onRead(socket, chunk) && socket === this.#socket) socket.pause();
  }

  onRead(socket: net.Socket, chunk: Buffer): boolean {
    if (socket !== this.#socket) return false;
    if (this.#engine === null) return this.#owner?.linkRead(chunk) ?? false;
    // No engine refers to a chunk afterwards: it lies in the shared read buffer.
    this.#engine.receive(chunk);
    return true;
  }

  onEnd(socket: net.Socket): void {
    if (socket !== this.#socket) return;
    if (this.#login !== null) {
      const state = this.#engine?.state ?? '';
      this.#fail({ kind: 'connect' }, `connection closed by the backend (state: ${state})`);
      return;
    }
    this.#owner?.linkEnded();
  }

  onError(socket: net.Socket, error: NodeJS.ErrnoException): void {
    if (socket !== this.#socket) return;
    if (this.#login !== null) {
      this.#settle('failed');
      if (this.#isHandshaking) this.#handshakeFailed(error);
      else this.#fail({ kind: 'connect' }, error.message);
    }
  }

  onFault(error: unknown): void {
    const owner = this.#owner;
    this.abandon();
    if (owner !== null) owner.onFault(error);
    else this.#context.log.error({ err: error }, 'session fault after its end');
  }

  onClose(socket: net.Socket): void {
    if (socket === this.#socket) {
      this.#socket = null;
      if (this.#login === null) {
        this.#owner?.linkEnded();
        this.#owner = null;
      }
    } else {
      this.#closing--;
    }
    if (this.#owner === null) this.#leave();
  }

  #closeSocket(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#settle('aborted');
    this.#socket = null;
    this.#closing++;
    socket.destroy();
  }

  /** Ends the link: closes what is open, calls the owner no more. */
  abandon(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#owner = null;
    this.#login = null;
    this.#engine = null;
    this.#closeSocket();
    this.#leave();
  }

  /** Leaves the registry, once nothing of this link can reach a backend any more. */
  #leave(): void {
    if (this.#slot < 0 || this.#isWaiting || this.#socket !== null || this.#closing > 0) return;
    const slot = this.#slot;
    this.#slot = -1;
    this.#directory.leave(slot, nowSecs());
  }
}

function nowSecs(): number {
  return Math.floor(Date.now() / 1000);
}
