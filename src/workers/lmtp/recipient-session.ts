import type { ListedSession } from '../../shared/messages.ts';
import type { LoginRoute } from '../auth/login-route.ts';
import type { HeldSession } from '../directory-client.ts';
import type { EndReason } from '../protocols/end-reason.ts';
import type { BackendRecipient } from '../protocols/lmtp/backend.ts';
import type { Recipient } from '../protocols/lmtp/transaction.ts';
import type { LmtpContext } from '../worker-context.ts';
import type { BackendConnection } from './backend-connection.ts';

/** The transaction that a recipient belongs to. */
export interface RecipientOwner {
  /** The directory has a backend for the recipient's user. */
  assigned(session: RecipientSession): void;
  lookupFailed(session: RecipientSession, reason: string): void;
  /** The delivery must end: whatever is said of it, nothing more may reach the present backend. */
  kicked(session: RecipientSession, reason: EndReason): void;
  /** What of a listing is the connection's. */
  clientListing(): Pick<ListedSession, 'client' | 'clientPort' | 'bytesFromClient'>;
}

/**
 * The delivery of one message to one recipient, as the directory sees it: a session of the recipient's user, from
 * the look-up until every connection by which the backend may still get something for that user is closed, or has
 * the backend's word that it is done with the user (see hold()).
 */
export class RecipientSession implements HeldSession {
  readonly recipient: Recipient;
  readonly route: LoginRoute;
  /** What the backend is told. */
  readonly asBackendKnows: BackendRecipient;
  readonly #context: LmtpContext;
  readonly #owner: RecipientOwner;
  readonly #sinceMs = Date.now();
  #slot = -1;
  /** The answer of the directory is awaited; the slot must not be left before it has come. */
  #isWaiting = false;
  /** Connections that can still bring the backend something for this user. */
  #holds = 0;
  /** Nothing new will be begun for it. */
  #isOver = false;
  /** Address of the backend; '' = not known. */
  ip = '';
  /** The present one. */
  connection: BackendConnection | null = null;
  /** The MTA has the reply to RCPT, or will get it without anything more being done. */
  isAnswered = false;

  constructor(
    context: LmtpContext,
    owner: RecipientOwner,
    recipient: Recipient,
    route: LoginRoute,
    asBackendKnows: BackendRecipient,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.recipient = recipient;
    this.route = route;
    this.asBackendKnows = asBackendKnows;
  }

  /** How long its backend may take over the message. */
  get timeoutMs(): number {
    return this.route.timeoutMs ?? this.#context.settings.lmtpProxyTimeoutMs;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Asks the directory. False: there is no room for another session. */
  enter(tagIndex: number): boolean {
    this.#isWaiting = true;
    const hash = this.#context.hashUser(this.route.user);
    const isEntered = this.#context.directory.enter(tagIndex, hash, this, nowSecs());
    if (!isEntered) this.#isWaiting = false;
    return isEntered;
  }

  hostAssigned(slot: number, hostId: number): void {
    this.#slot = slot;
    this.#isWaiting = false;
    if (this.#isOver) {
      this.#leave();
      return;
    }
    this.ip = this.route.host ?? this.#context.hostAddress(hostId);
    this.#owner.assigned(this);
  }

  hostFailed(slot: number, reason: string): void {
    this.#slot = slot;
    this.#isWaiting = false;
    const wasOver = this.#isOver;
    this.end();
    if (!wasOver) this.#owner.lookupFailed(this, reason);
  }

  kick(reason: EndReason): void {
    if (!this.#isOver) this.#owner.kicked(this, reason);
  }

  hasName(field: string, value: string): boolean {
    if (this.#isOver) return false;
    return field === 'user' ? value === this.route.user : this.route.names[field] === value;
  }

  listing(): ListedSession | null {
    if (this.#isOver) return null;
    const isConnected = this.connection !== null;
    return {
      ...this.#owner.clientListing(),
      user: this.route.user,
      protocol: 'lmtp',
      backend: this.ip,
      sessionId: this.recipient.sessionId,
      state: this.isAnswered ? 'open' : isConnected ? 'connecting' : 'waiting',
      sinceMs: this.#sinceMs,
      bytesFromBackend: this.connection?.bytesRead ?? 0,
    };
  }

  /** A connection may bring the backend something for this user, until release(). */
  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    this.#leave();
  }

  /** The delivery is done, or given up. */
  end(): void {
    this.#isOver = true;
    this.connection = null;
    this.#leave();
  }

  #leave(): void {
    if (!this.#isOver || this.#slot < 0 || this.#isWaiting || this.#holds > 0) return;
    const slot = this.#slot;
    this.#slot = -1;
    this.#context.directory.leave(slot, nowSecs());
  }
}

function nowSecs(): number {
  return Math.floor(Date.now() / 1000);
}
