import { Counter } from '../../shared/memory/counters.ts';
import type { ListedSession } from '../../shared/messages.ts';
import { normaliseUser } from '../../shared/user-name.ts';
import { formatMailbox } from '../../shared/wire/smtp-command.ts';
import type { SmtpReply } from '../../shared/wire/smtp-reply.ts';
import { encodeXtext } from '../../shared/wire/xtext.ts';
import type { LoginRoute, UserVerdict } from '../auth/login-route.ts';
import type { EndReason } from '../protocols/end-reason.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';
import type { BackendRecipient } from '../protocols/lmtp/backend.ts';
import { receivedHeader } from '../protocols/lmtp/received.ts';
import { recipientUser, renamedRecipient } from '../protocols/lmtp/recipient-address.ts';
import * as say from '../protocols/lmtp/replies.ts';
import type { Recipient, Transaction } from '../protocols/lmtp/transaction.ts';
import type { LmtpContext } from '../worker-context.ts';
import {
  BackendConnection,
  type BackendTarget,
  type ConnectionOwner,
  type SpooledMessage,
} from './backend-connection.ts';
import { type RecipientOwner, RecipientSession } from './recipient-session.ts';
import { Spool } from './spool.ts';

/** The MTA's connection that a transaction comes by. */
export interface DeliveryOrigin {
  /** With what a trusted MTA has told. '' as the address: a unix socket. */
  readonly facts: ConnectionFacts;
  /** The MTA's name; '' = not known. */
  readonly helo: string;
  /** For the Received header; '' = no TLS. */
  readonly tls: string;
  /** forward_<name> fields of a trusted MTA. */
  readonly forward: readonly (readonly [name: string, value: string])[];
  /** Where the connection really came in: a backend there would be ourselves. */
  readonly ownIp: string | undefined;
  readonly ownPort: number | undefined;
}

export interface DeliveryOwner {
  recipientAnswered(of: Transaction, number: number, isAccepted: boolean, text: string): void;
  delivered(of: Transaction, number: number, text: string): void;
  messageFailed(of: Transaction, reason: SmtpReply): void;
  clientListing(): Pick<ListedSession, 'client' | 'clientPort' | 'bytesFromClient'>;
  onFault(error: unknown): void;
}

/**
 * One transaction with the world behind us: its recipients with their places in the directory, a connection for
 * each of their backends, and the message on its way from one to the others.
 */
export class Delivery implements RecipientOwner, ConnectionOwner {
  readonly #context: LmtpContext;
  readonly #origin: DeliveryOrigin;
  readonly #transaction: Transaction;
  readonly #owner: DeliveryOwner;
  readonly #spool: Spool;
  readonly #sessions = new Set<RecipientSession>();
  readonly #connections = new Set<BackendConnection>();
  #connectionCount = 0;
  #message: SpooledMessage | null = null;
  #isOver = false;
  readonly #startedMs = performance.now();

  constructor(
    context: LmtpContext,
    origin: DeliveryOrigin,
    transaction: Transaction,
    owner: DeliveryOwner,
  ) {
    this.#context = context;
    this.#origin = origin;
    this.#transaction = transaction;
    this.#owner = owner;
    this.#spool = new Spool(context.settings.lmtpSpoolDirectory);
  }

  // Recipients

  add(recipient: Recipient): void {
    const { recipientDelimiter } = this.#context.settings;
    const { user: name, detail } = recipientUser(recipient.address, recipientDelimiter);
    const user = normaliseUser(name, this.#context.userNameRules);
    // A detail alone is nobody.
    if (user === null || user.startsWith('@')) {
      this.#refuse(recipient, say.unknownUser(name), 'not a possible user name');
      return;
    }
    const { auth } = this.#context;
    const { facts } = this.#origin;
    auth
      .findUser({ user, originalUser: name, protocol: 'lmtp', facts })
      .then((verdict) => this.#found(recipient, verdict, { user, name, detail }))
      .catch((error: unknown) => this.onFault(error));
  }

  #found(
    recipient: Recipient,
    verdict: UserVerdict,
    of: { readonly user: string; readonly name: string; readonly detail: string },
  ): void {
    if (this.#isOver) return;
    switch (verdict.kind) {
      case 'route':
        this.#begin(recipient, verdict.route, of);
        break;
      case 'unknown-user':
        this.#refuse(recipient, say.unknownUser(of.name), '');
        break;
      case 'failed':
        this.#refuse(recipient, say.LOOKUP_FAILED, verdict.detail);
        break;
    }
  }

  /** @param of `name`: what the address says, `user`: normalised */
  #begin(
    recipient: Recipient,
    route: LoginRoute,
    of: { readonly user: string; readonly name: string; readonly detail: string },
  ): void {
    const context = this.#context;
    const asBackendKnows = this.#asBackendKnows(recipient, route, of);
    if (asBackendKnows === null) {
      const reply = say.reply(550, '5.3.5', 'Internal user lookup failure');
      this.#refuse(recipient, reply, `${route.backendUser} is no address`);
      return;
    }
    if (this.#origin.facts.ttl <= 1) {
      this.#refuse(recipient, say.LOOPING, 'TTL used up: proxies appear to be looping');
      return;
    }
    const tagIndex = context.tagIndex(route.tag);
    if (tagIndex < 0) {
      this.#refuse(recipient, say.LOOKUP_FAILED, `no backend has the tag ${route.tag}`);
      return;
    }
    const session = new RecipientSession(context, this, recipient, route, asBackendKnows);
    this.#sessions.add(session);
    if (session.enter(tagIndex)) return;
    this.#sessions.delete(session);
    context.counters.add(Counter.limited);
    this.#refuse(recipient, say.LOOKUP_FAILED, 'limits.max_sessions_per_worker reached');
  }

  /** Null: the backend's name of the user is no address. */
  #asBackendKnows(
    { number, address, parameters }: Recipient,
    { backendUser, forward }: LoginRoute,
    { name, detail }: { readonly name: string; readonly detail: string },
  ): BackendRecipient | null {
    const isRenamed = backendUser !== name;
    const renamed = isRenamed ? renamedRecipient(backendUser, detail) : address;
    if (renamed === null) return null;
    const original = `rfc822;${encodeXtext(formatMailbox(address))}`;
    return {
      number,
      address: renamed,
      originalRecipient: parameters.originalRecipient || (isRenamed ? original : ''),
      notify: parameters.notify,
      forward: [...this.#origin.forward, ...(parameters.forward ?? []), ...forward],
    };
  }

  #refuse(recipient: Recipient, reply: SmtpReply, detail: string): void {
    const text = say.forRecipient(reply, recipient.path);
    const isOurFault = reply.code < 500;
    this.#context.counters.add(isOurFault ? Counter.deliveriesFailed : Counter.deliveriesRefused);
    this.#context.log.info({ ...this.#logFields(recipient), detail }, text.trimEnd());
    this.#owner.recipientAnswered(this.#transaction, recipient.number, false, text);
  }

  #logFields({ sessionId, path }: Recipient): object {
    const { remoteIp, remotePort } = this.#origin.facts;
    const client = `${remoteIp}:${remotePort}`;
    return { session: sessionId, protocol: 'lmtp', client, recipient: path };
  }

  // Directory

  assigned(session: RecipientSession): void {
    const { backend } = this.#context;
    const { route, ip, recipient } = session;
    const target: BackendTarget = {
      ip,
      port: route.port ?? backend.port,
      name: route.hostName || this.#context.hostName(ip),
      tls: route.tls ?? backend.tls,
      verifiesTls: route.verifiesTls !== false,
      sendIdentity: route.sendIdentity,
      mayPipeline: route.mayPipeline,
    };
    const { ownIp, ownPort } = this.#origin;
    const isOurself = ip === ownIp && target.port === ownPort;
    if (isOurself && route.backendUser === route.user) {
      this.#give(session);
      this.#refuse(recipient, say.LOOPS_TO_ITSELF, '');
      return;
    }
    this.#assign([session], target);
  }

  /** To the connection that is there for the target, or to a new one. */
  #assign(sessions: readonly RecipientSession[], target: BackendTarget): void {
    for (const session of sessions) {
      const open = this.#connectionTo(target);
      if (open !== null) {
        open.add(session);
        continue;
      }
      const connection = this.#newConnection(target);
      this.#connections.add(connection);
      connection.connect(session);
    }
  }

  #connectionTo(target: BackendTarget): BackendConnection | null {
    for (const connection of this.#connections) {
      if (connection.isOver || connection.isSending) continue;
      if (isSameTarget(connection.target, target)) return connection;
    }
    return null;
  }

  #newConnection(target: BackendTarget): BackendConnection {
    const { facts, helo } = this.#origin;
    const { id, senderPath, parameters } = this.#transaction;
    this.#connectionCount++;
    return new BackendConnection(
      this.#context,
      target,
      {
        hostname: this.#context.settings.hostname,
        facts: { ...facts, sessionId: `${id}:P${this.#connectionCount}` },
        helo,
        senderPath,
        mail: parameters,
      },
      this,
    );
  }

  lookupFailed(session: RecipientSession, reason: string): void {
    this.#sessions.delete(session);
    this.#refuse(session.recipient, say.LOOKUP_FAILED, reason);
  }

  /** Nothing more is done for it; its place is left when that is true of its connections too. */
  #give(session: RecipientSession): void {
    this.#sessions.delete(session);
    session.end();
  }

  /**
   * A user goes elsewhere. What of the message is on its way to it stops, together with that of the others
   * whose recipients share the connection: nobody can take back a part. Before that only this recipient is
   * dropped; if the backend has heard of it, the others begin anew without it.
   */
  kicked(session: RecipientSession, reason: EndReason): void {
    this.#context.counters.add(Counter.kicked);
    this.#context.log.info({ ...this.#logFields(session.recipient), reason }, 'kicked');
    const { connection } = session;
    if (connection === null || connection.withdraw(session)) {
      this.#finish(session, say.kicked(reason), 'before its backend knew of it');
      return;
    }
    const all = connection.sessions;
    const { isSending, target } = connection;
    connection.close();
    this.#connections.delete(connection);
    if (isSending) {
      for (const other of all) {
        const reply = other === session ? say.kicked(reason) : say.INTERRUPTED;
        this.#finish(other, reply, 'message under way');
      }
      return;
    }
    this.#finish(session, say.kicked(reason), 'before the message');
    this.#assign(
      all.filter((other) => other !== session),
      target,
    );
    this.#sendTo(this.#connectionTo(target));
  }

  // Backends

  recipientReply(session: RecipientSession, reply: SmtpReply): void {
    const { number, path } = session.recipient;
    const isAccepted = reply.code < 300;
    if (isAccepted && session.isAnswered) return;
    if (!isAccepted) {
      this.#give(session);
      this.#context.counters.add(Counter.deliveriesRefused);
    }
    if (session.isAnswered) {
      this.#owner.delivered(this.#transaction, number, say.refusal(reply, path));
      return;
    }
    session.isAnswered = true;
    const text = say.recipientReply(reply, path);
    if (!isAccepted) this.#log(session, text);
    this.#owner.recipientAnswered(this.#transaction, number, isAccepted, text);
  }

  finalReply(session: RecipientSession, reply: SmtpReply): void {
    const { number, path, sessionId } = session.recipient;
    const isSaved = reply.code < 300;
    const saved = say.saved(reply.enhancedCode, sessionId);
    const text = isSaved ? say.forRecipient(saved, path) : say.refusal(reply, path);
    this.#context.counters.add(isSaved ? Counter.delivered : Counter.deliveriesRefused);
    this.#log(session, text);
    this.#give(session);
    this.#owner.delivered(this.#transaction, number, text);
  }

  #log(session: RecipientSession, reply: string): void {
    const fields = {
      ...this.#logFields(session.recipient),
      user: session.route.user,
      backend: session.ip,
      ms: Math.round(performance.now() - this.#startedMs),
    };
    this.#context.log.info(fields, reply.trimEnd());
  }

  connectionFailed(
    sessions: readonly RecipientSession[],
    failure: say.BackendFailure,
    detail: string,
  ): void {
    for (const session of sessions) {
      const text = say.proxyFailed(failure, session.recipient.sessionId);
      this.#fail(session, text, detail);
    }
  }

  #finish(session: RecipientSession, reply: SmtpReply, detail: string): void {
    this.#fail(session, say.forRecipient(reply, session.recipient.path), detail);
  }

  /** A word that is not the backend's: to RCPT if that is still open, else in the place of the final one. */
  #fail(session: RecipientSession, text: string, detail: string): void {
    const { number } = session.recipient;
    this.#context.counters.add(Counter.deliveriesFailed);
    const fields = { ...this.#logFields(session.recipient), backend: session.ip, detail };
    this.#context.log.error(fields, text.trimEnd());
    this.#give(session);
    if (session.isAnswered) this.#owner.delivered(this.#transaction, number, text);
    else this.#owner.recipientAnswered(this.#transaction, number, false, text);
  }

  // Message

  append(piece: Buffer, drained: () => void): boolean {
    return this.#spool.append(piece, drained);
  }

  /** The message is whole; only now anything of it is sent. */
  finish(): void {
    this.#spool.finish().then(
      () => this.#sendAll(),
      (error: unknown) => {
        if (this.#isOver) return;
        this.#context.log.error({ err: error }, 'lmtp_spool_dir cannot be written');
        this.#owner.messageFailed(this.#transaction, say.SPOOL_FAILED);
      },
    );
  }

  #sendAll(): void {
    if (this.#isOver) return;
    try {
      const { facts, helo, tls } = this.#origin;
      const { accepted } = this.#transaction;
      const header = receivedHeader({
        ...{ helo, tls, remoteIp: facts.remoteIp, id: this.#transaction.id },
        hostname: this.#context.settings.hostname,
        sender: this.#transaction.senderPath,
        recipient: accepted.length === 1 ? accepted[0]!.path : '',
        date: new Date(),
      });
      this.#message = { header: Buffer.from(header, 'latin1'), spool: this.#spool };
      for (const connection of [...this.#connections]) this.#sendTo(connection);
    } catch (error) {
      this.onFault(error);
    }
  }

  #sendTo(connection: BackendConnection | null): void {
    if (this.#message !== null) connection?.sendMessage(this.#message);
  }

  clientListing(): Pick<ListedSession, 'client' | 'clientPort' | 'bytesFromClient'> {
    return this.#owner.clientListing();
  }

  onFault(error: unknown): void {
    this.#owner.onFault(error);
  }

  /** The transaction is over. A message that has not been answered for is not to be delivered any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const connection of this.#connections) {
      if (connection.isSending && connection.sessions.length > 0) connection.close();
      else connection.quit();
    }
    this.#connections.clear();
    for (const session of [...this.#sessions]) this.#give(session);
    this.#spool.close();
  }
}

function isSameTarget(one: BackendTarget, other: BackendTarget): boolean {
  return (
    one.ip === other.ip &&
    one.port === other.port &&
    one.name === other.name &&
    one.tls === other.tls &&
    one.verifiesTls === other.verifiesTls &&
    one.sendIdentity === other.sendIdentity &&
    one.mayPipeline === other.mayPipeline
  );
}
