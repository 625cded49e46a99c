import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Counter } from '../shared/memory/counters.ts';
import type { ServiceAddress } from '../shared/messages.ts';
import type { ProxyHeader } from '../shared/wire/proxy-header.ts';
import { connectionFacts, withIdentity, withTls } from './connection-facts.ts';
import { ownSecured, releaseInput, type SocketOwner } from './owned-socket.ts';
import type { ConnectionFacts, ForwardedIdentity } from './protocols/engine.ts';
import type { ServerTlsContext } from './tls/server-tls.ts';
import type { WorkerContext } from './worker-context.ts';

type OpeningContext = Omit<WorkerContext, 'protocol'>;

/** What is known of a client connection that is not logged in, from accept to the hand-over. */
export class ClientOpening {
  readonly #context: OpeningContext;
  /** As it was accepted: what a client has said in the clear is forgotten with STARTTLS. */
  #accepted: ConnectionFacts;
  /** With what a trusted peer has told. */
  #facts: ConnectionFacts;
  #forward: [string, string][] = [];
  /** Set while a handshake is on. */
  #handshake: ServerTlsContext | null = null;
  /** Counted as not logged in under this address; '' = not counted. */
  #countedIp = '';

  /** @param header what the balancer in front of us has said; null: there is none */
  constructor(
    context: OpeningContext,
    service: ServiceAddress,
    client: net.Socket,
    header: ProxyHeader | null,
  ) {
    this.#context = context;
    this.#accepted = connectionFacts(context, service, client, header);
    this.#facts = this.#accepted;
  }

  get facts(): ConnectionFacts {
    return this.#facts;
  }

  /** forward_<name> fields of a trusted peer. */
  get forward(): readonly (readonly [name: string, value: string])[] {
    return this.#forward;
  }

  get isHandshaking(): boolean {
    return this.#handshake !== null;
  }

  /** Counts the connection until leave(). False: its address has too many already. */
  enter(): boolean {
    const { remoteIp } = this.#accepted;
    if (!this.#context.prelogin.enter(remoteIp)) return false;
    this.#countedIp = remoteIp;
    return true;
  }

  leave(): void {
    if (this.#countedIp !== '') this.#context.prelogin.leave(this.#countedIp);
    this.#countedIp = '';
  }

  identify(identity: ForwardedIdentity): void {
    this.#forward = identity.forward;
    this.#facts = withIdentity(this.#facts, identity);
  }

  /** Begins TLS on the client's connection; onSecure() of the owner follows. Null: there is none any more. */
  startTls(client: net.Socket, owner: SocketOwner): TLSSocket | null {
    const server = this.#context.serverTls.current;
    if (server === null) return null;
    this.#handshake = server;
    releaseInput(client);
    const secured = server.accept(client);
    ownSecured(secured, owner);
    return secured;
  }

  /** The handshake is done: a fresh start. False: the client's certificate is wanting. */
  secured(socket: TLSSocket): boolean {
    const handshake = this.#handshake?.handshakeFacts(socket) ?? null;
    this.#handshake = null;
    if (handshake === null) {
      this.#context.counters.add(Counter.badInput);
      return false;
    }
    this.#accepted = withTls(this.#context, this.#accepted, handshake);
    this.#facts = this.#accepted;
    this.#forward = [];
    return true;
  }
}
