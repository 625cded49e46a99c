import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import { plainAddress } from '../../shared/ip-address.ts';
import { lmtpLimits } from '../../shared/limits.ts';
import { Counter } from '../../shared/memory/counters.ts';
import type { ListedSession, ServiceAddress } from '../../shared/messages.ts';
import type { ProxyHeader } from '../../shared/wire/proxy-header.ts';
import type { SmtpReply } from '../../shared/wire/smtp-reply.ts';
import { ClientOpening } from '../client-opening.ts';
import { ownAccepted, ownUnread, type SocketOwner } from '../owned-socket.ts';
import type { EndReason } from '../protocols/end-reason.ts';
import type { ConnectionFacts, ForwardedIdentity } from '../protocols/engine.ts';
import { LmtpServer, type LmtpServerSink } from '../protocols/lmtp/server.ts';
import type { Recipient, Transaction } from '../protocols/lmtp/transaction.ts';
import type { EndedAtStop, LmtpContext } from '../worker-context.ts';
import { Delivery, type DeliveryOwner } from './delivery.ts';
import { describeTls } from './describe-tls.ts';

/** Replies that an MTA does not read: then it is dropped. */
const MAX_UNREAD_REPLY_BYTES = 64 * 1024;
/** After our last word we still read (and drop) for so long, lest a reset destroys that word. */
const LINGER_MS = 2000;
/** What a unix socket's client has for an address (see connectionFacts()). */
const NO_ADDRESS = '0.0.0.0';

type Phase = 'open' | 'closing' | 'closed';

/** One connection of an MTA, from accept to close. */
export class LmtpSession implements SocketOwner, LmtpServerSink, DeliveryOwner, EndedAtStop {
  readonly #context: LmtpContext;
  readonly #opening: ClientOpening;
  /** The TCP connection, or TLS on top of it. */
  #client: net.Socket;
  readonly #ownIp: string;
  readonly #ownPort: number | undefined;
  #server: LmtpServer | null = null;
  #delivery: Delivery | null = null;
  #phase: Phase = 'open';
  #timer: NodeJS.Timeout | null = null;
  /** Bytes have come since the timer was set. */
  #hasMoved = false;
  #isUploadPaused = false;
  #wantsTls = false;
  #isStopping = false;
  /** A trusted MTA has said how many hops are left. */
  #hasTtl = false;
  /** Replies of the engine call that is running, written in one go. */
  #output = '';
  /** Null: it goes on. '' = the client said goodbye. */
  #closeReason: string | null = null;

  /** @param header of the balancer that the connection came through; null: it came straight */
  constructor(
    context: LmtpContext,
    service: ServiceAddress,
    client: net.Socket,
    header: ProxyHeader | null,
  ) {
    this.#context = context;
    this.#client = client;
    // A listener for both families tells mapped addresses.
    this.#ownIp = plainAddress(client.localAddress ?? '');
    this.#ownPort = client.localPort;
    this.#opening = new ClientOpening(context, service, client, header);
    context.counters.add(Counter.accepted);
    context.sessions.add(this);
    const isImplicitTls = service.tls === 'implicit';
    if (isImplicitTls) ownUnread(client, this);
    else ownAccepted(client, this);
    if (!this.#opening.enter()) {
      this.#refuseConnection(isImplicitTls);
      return;
    }
    this.#timer = setTimeout(idleTimeout, lmtpLimits.idleMs, this);
    if (isImplicitTls) {
      this.#startHandshake();
    } else {
      this.#greet();
      // Paused where a header was read.
      client.resume();
    }
  }

  #refuseConnection(isImplicitTls: boolean): void {
    this.#context.counters.add(Counter.limited);
    this.#context.log.warn(this.#logFields(), 'limits.max_prelogin_per_address reached');
    if (!isImplicitTls) this.#client.write(this.#createServer().goodbye('limit'), 'latin1');
    this.#linger();
  }

  #createServer(): LmtpServer {
    const { settings } = this.#context;
    const options = {
      hostname: settings.hostname,
      greeting: settings.greeting,
      maxMailSize: settings.lmtpMaxMailSize,
      hasDsn: settings.lmtpCapabilities.includes('DSN'),
    };
    return new LmtpServer(this.#opening.facts, options, this);
  }

  #greet(): void {
    this.#server = this.#createServer();
    this.#server.start();
    this.#flush();
  }

  // TLS

  startTls(): void {
    this.#wantsTls = true;
  }

  #startHandshake(): void {
    const secured = this.#opening.startTls(this.#client, this);
    if (secured === null) this.#end('TLS was switched off');
    else this.#client = secured;
  }

  onSecure(socket: TLSSocket): void {
    if (this.#phase !== 'open') return;
    if (!this.#opening.secured(socket)) {
      this.#context.log.info(this.#logFields(), 'client certificate missing or not valid');
      this.#end('client certificate');
      return;
    }
    this.#hasTtl = false;
    if (this.#server === null) {
      this.#greet();
    } else {
      this.#server.tlsStarted(this.#opening.facts);
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
    this.#hasMoved = true;
    if (this.#server === null || this.#phase !== 'open') return;
    this.#server.receive(chunk);
    this.#flush();
  }

  onEnd(socket: net.Socket): void {
    if (socket === this.#client) this.#end(this.#closeReason ?? 'disconnected by client');
  }

  onError(socket: net.Socket, error: NodeJS.ErrnoException): void {
    // 'close' follows.
    if (socket !== this.#client || !this.#opening.isHandshaking) return;
    this.#context.counters.add(Counter.badInput);
    const detail = error.code ?? error.message;
    this.#context.log.info({ ...this.#logFields(), detail }, 'TLS handshake failed');
  }

  /** A bug of ours: costs this session, and nobody else. */
  onFault(error: unknown): void {
    this.#context.log.error({ ...this.#logFields(), err: error }, 'session fault');
    this.#end('internal fault');
  }

  onClose(socket: net.Socket): void {
    if (socket === this.#client) this.#end(this.#closeReason ?? 'disconnected by client');
  }

  // Server engine

  reply(bytes: string): void {
    this.#output += bytes;
  }

  identify(identity: ForwardedIdentity): void {
    this.#opening.identify(identity);
    this.#hasTtl ||= identity.ttl !== undefined;
    this.#server!.identified(this.#opening.facts);
  }

  close(reason: string): void {
    this.#closeReason = reason;
  }

  begin(transaction: Transaction): void {
    const { forward } = this.#opening;
    this.#delivery = new Delivery(
      this.#context,
      {
        facts: this.#deliveryFacts(),
        helo: this.#server!.helo,
        tls: this.#describeTls(),
        forward,
        ownIp: this.#ownIp,
        ownPort: this.#ownPort,
      },
      transaction,
      this,
    );
  }

  #describeTls(): string {
    if (this.#client instanceof TLSSocket) return describeTls(this.#client);
    // That of a balancer in front of us.
    const { isTls, tlsVersion } = this.#opening.facts;
    return isTls ? tlsVersion : '';
  }

  #deliveryFacts(): ConnectionFacts {
    const { facts } = this.#opening;
    return {
      ...facts,
      remoteIp: facts.remoteIp === NO_ADDRESS ? '' : facts.remoteIp,
      // The first proxy on the way gives its whole number on (lmtp-proxy.c, 2.3.19.1), unlike those of logins.
      ttl: this.#hasTtl ? facts.ttl : facts.ttl + 1,
    };
  }

  recipient(recipient: Recipient): void {
    this.#delivery!.add(recipient);
  }

  message(piece: Buffer): void {
    const isTaken = this.#delivery!.append(piece, () => {
      this.#isUploadPaused = false;
      this.#adjustReading();
    });
    if (!isTaken) this.#isUploadPaused = true;
  }

  messageEnd(): void {
    this.#delivery!.finish();
  }

  end(): void {
    this.#delivery?.end();
    this.#delivery = null;
    this.#isUploadPaused = false;
  }

  // Delivery

  recipientAnswered(of: Transaction, number: number, isAccepted: boolean, text: string): void {
    this.#server?.recipientAnswered(of, number, isAccepted, text);
    this.#flush();
  }

  delivered(of: Transaction, number: number, text: string): void {
    this.#server?.delivered(of, number, text);
    this.#flush();
  }

  messageFailed(_of: Transaction, reason: SmtpReply): void {
    this.#server?.failMessage(reason);
    this.#flush();
  }

  clientListing(): Pick<ListedSession, 'client' | 'clientPort' | 'bytesFromClient'> {
    const { remoteIp, remotePort } = this.#opening.facts;
    return { client: remoteIp, clientPort: remotePort, bytesFromClient: this.#client.bytesRead };
  }

  /** Writes what the engine said, and does what it asked for. */
  #flush(): void {
    if (this.#phase !== 'open') return;
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
    } else if (this.#closeReason !== null) {
      if (this.#closeReason !== '') {
        this.#context.counters.add(Counter.badInput);
        this.#context.log.info(this.#logFields(), this.#closeReason);
      }
      this.#linger();
    } else if (this.#isStopping && this.#server?.isBusy === false) {
      this.#sayGoodbye('shutdown');
    } else {
      this.#adjustReading();
    }
  }

  /** Nothing is read while there is something to wait for: the kernel makes the MTA wait too. */
  #adjustReading(): void {
    if (this.#phase !== 'open' || this.#server === null) return;
    if (this.#isUploadPaused || this.#server.isBusy) this.#client.pause();
    else if (this.#client.isPaused()) this.#client.resume();
  }

  // Ending

  idleTimeout(): void {
    const isWaitingForUs = this.#server?.isBusy === true || this.#isUploadPaused;
    if (this.#hasMoved || isWaitingForUs) {
      this.#hasMoved = false;
      this.#timer = setTimeout(idleTimeout, lmtpLimits.idleMs, this);
      return;
    }
    this.#context.counters.add(Counter.timedOut);
    this.#sayGoodbye('inactivity');
  }

  /** The process stops. A message that is being delivered has the worker's grace to become known. */
  stop(): void {
    this.#isStopping = true;
    if (this.#server?.isBusy !== true) this.#sayGoodbye('shutdown');
  }

  #sayGoodbye(reason: EndReason): void {
    this.#closeReason = reason;
    const goodbye = this.#server?.goodbye(reason) ?? '';
    if (goodbye === '') {
      this.#end(reason);
      return;
    }
    this.#client.write(goodbye, 'latin1');
    this.#linger();
  }

  /** Ends our half and drops what the client still sends, for a while. */
  #linger(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    this.#server = null;
    this.end();
    this.#client.end();
    this.#client.resume();
    clearTimeout(this.#timer ?? undefined);
    this.#timer = setTimeout(lingerTimeout, LINGER_MS, this);
  }

  lingerTimeout(): void {
    this.#end(this.#closeReason ?? '');
  }

  #end(reason: string): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#context.log.debug(this.#logFields(), `session ended: ${reason}`);
    this.#opening.leave();
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    this.#server = null;
    this.end();
    this.#client.destroy();
    this.#context.sessions.delete(this);
  }

  #logFields(): { session: string; protocol: string; client: string } {
    const { sessionId, remoteIp, remotePort } = this.#opening.facts;
    return { session: sessionId, protocol: 'lmtp', client: `${remoteIp}:${remotePort}` };
  }
}

function idleTimeout(session: LmtpSession): void {
  session.idleTimeout();
}
function lingerTimeout(session: LmtpSession): void {
  session.lingerTimeout();
}
