import type net from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { lmtpLimits } from '../../shared/limits.ts';
import type { TlsMode } from '../../shared/messages.ts';
import type { SmtpReply } from '../../shared/wire/smtp-reply.ts';
import { backendHeader } from '../backend-header.ts';
import type { ConnectOutcome } from '../backend-health.ts';
import { connectOwned, type SocketOwner, upgradeOwned } from '../owned-socket.ts';
import type { ConnectionFacts } from '../protocols/engine.ts';
import {
  LmtpBackend,
  type LmtpBackendOptions,
  type LmtpBackendSink,
} from '../protocols/lmtp/backend.ts';
import { DataEncoder } from '../protocols/lmtp/data-encoder.ts';
import type { BackendFailure } from '../protocols/lmtp/replies.ts';
import type { LmtpContext } from '../worker-context.ts';
import type { RecipientSession } from './recipient-session.ts';
import type { Spool } from './spool.ts';

/** Recipients whose targets are the same share a connection. */
export interface BackendTarget {
  readonly ip: string;
  readonly port: number;
  /** Host name in the backend's certificate, its address where it has none. */
  readonly name: string;
  readonly tls: TlsMode;
  /** False: whatever the certificate. */
  readonly verifiesTls: boolean;
  readonly sendIdentity: boolean;
  readonly mayPipeline: boolean;
}

/** A whole message. */
export interface SpooledMessage {
  readonly header: Buffer;
  readonly spool: Spool;
}

export interface ConnectionOwner {
  recipientReply(session: RecipientSession, reply: SmtpReply): void;
  finalReply(session: RecipientSession, reply: SmtpReply): void;
  /** The connection has failed for all of these, who have had no final word. */
  connectionFailed(
    sessions: readonly RecipientSession[],
    failure: BackendFailure,
    detail: string,
  ): void;
  onFault(error: unknown): void;
}

/**
 * One connection to one backend, for one transaction. Holds the place in the directory of each of its recipients
 * until the backend has had its last word about it, or the connection is closed.
 */
export class BackendConnection implements SocketOwner, LmtpBackendSink {
  readonly target: BackendTarget;
  readonly #context: LmtpContext;
  readonly #owner: ConnectionOwner;
  readonly #facts: ConnectionFacts;
  readonly #engine: LmtpBackend;
  /** Those without a final word, by number. */
  readonly #sessions = new Map<number, RecipientSession>();
  /** Those for whom the backend could still get something by this connection. */
  readonly #held = new Set<RecipientSession>();
  /** The TCP connection; null once it is closed. */
  #raw: net.Socket | null = null;
  /** It, or TLS on top of it; null when it is given up. */
  #socket: net.Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #message: SpooledMessage | null = null;
  #isSending = false;
  #isHandshaking = false;
  #isQuitting = false;
  /** The health of the backend knows how the attempt to connect ended. */
  #isSettled = true;
  #startedMs = 0;
  /** How long it may take over the message: the longest of its recipients' times. */
  #timeoutMs = 0;

  /** @param login all but what the target says */
  constructor(
    context: LmtpContext,
    target: BackendTarget,
    login: Omit<LmtpBackendOptions, 'startTls' | 'sendIdentity' | 'mayPipeline'>,
    owner: ConnectionOwner,
  ) {
    this.#context = context;
    this.target = target;
    this.#facts = login.facts;
    this.#owner = owner;
    const { tls, sendIdentity, mayPipeline } = target;
    this.#engine = new LmtpBackend(
      { ...login, startTls: tls === 'starttls', sendIdentity, mayPipeline },
      this,
    );
  }

  get bytesRead(): number {
    return this.#raw?.bytesRead ?? 0;
  }

  /** No more recipients: it has failed, or is done. */
  get isOver(): boolean {
    return this.#socket === null || this.#isQuitting;
  }

  /** Something of the message may have reached the backend. */
  get isSending(): boolean {
    return this.#isSending;
  }

  get sessions(): RecipientSession[] {
    return [...this.#sessions.values()];
  }

  /** Dials. Calls connectionFailed() at once when the backend is known to be down. */
  connect(first: RecipientSession): void {
    this.#take(first);
    const key = this.#key();
    if (!this.#context.health.mayConnect(key, performance.now())) {
      this.#fail('connect', `${key} is down: not tried`);
      return;
    }
    this.#isSettled = false;
    this.#startedMs = performance.now();
    const { ip, port } = this.target;
    const raw = connectOwned(ip, port, this.#context.settings.tcpKeepaliveMs, this);
    this.#raw = raw;
    this.#socket = raw;
    this.#arm(this.#dialogueMs());
    this.#engine.add(first.asBackendKnows);
  }

  add(session: RecipientSession): void {
    this.#take(session);
    if (this.#timer === null) this.#arm(this.#dialogueMs());
    this.#engine.add(session.asBackendKnows);
  }

  #take(session: RecipientSession): void {
    session.connection = this;
    session.hold();
    this.#timeoutMs = Math.max(this.#timeoutMs, session.timeoutMs);
    this.#sessions.set(session.recipient.number, session);
    this.#held.add(session);
  }

  /** True: the backend has not heard of this recipient, and will not by this connection. */
  withdraw(session: RecipientSession): boolean {
    if (!this.#engine.withdraw(session.recipient.number)) return false;
    // A connection that was opened for this user alone counts until it is closed.
    if (this.#sessions.size === 1) this.close();
    else this.#settleSession(session);
    return true;
  }

  /** The backend has had its last word: nothing for the user comes by this connection any more. */
  #settleSession(session: RecipientSession): void {
    this.#sessions.delete(session.recipient.number);
    if (this.#held.delete(session)) session.release();
  }

  /** Sends the message as soon as all recipients are answered. */
  sendMessage(message: SpooledMessage): void {
    this.#message = message;
    this.#begin();
  }

  #begin(): void {
    if (this.#message === null || this.#isSending || this.isOver || this.#engine.isBusy) return;
    if (this.#sessions.size === 0) {
      this.quit();
      return;
    }
    this.#isSending = true;
    this.#arm(this.#timeoutMs);
    const { header, spool } = this.#message;
    this.#engine.sendMessage(header.length + spool.size);
  }

  /** Says goodbye, where something is to be said. */
  quit(): void {
    if (this.isOver) return;
    if (!this.#isSettled || this.#isHandshaking) {
      this.close();
      return;
    }
    this.#isQuitting = true;
    this.#engine.quit();
    this.#socket?.end();
    this.#arm(lmtpLimits.quitMs);
  }

  /**
   * Closes at once. What the kernel has not sent yet is not sent any more: with the end of a message among it,
   * the backend would still deliver.
   */
  close(): void {
    this.#disarm();
    this.#settle('aborted');
    const raw = this.#raw;
    const socket = this.#socket;
    const isUnderWay = this.#isSending && this.#sessions.size > 0;
    this.#socket = null;
    this.#message = null;
    this.#sessions.clear();
    if (raw === null) this.#releaseAll();
    else if (isUnderWay) raw.resetAndDestroy();
    else raw.destroy();
    if (socket !== raw) socket?.destroy();
  }

  #fail(failure: BackendFailure, detail: string): void {
    const sessions = this.sessions;
    this.close();
    if (sessions.length > 0) this.#owner.connectionFailed(sessions, failure, detail);
  }

  // Time

  #dialogueMs(): number {
    return Math.min(this.#context.settings.proxyTimeoutMs, this.#timeoutMs);
  }

  #arm(ms: number): void {
    this.#disarm();
    this.#timer = setTimeout(timedOut, ms, this);
  }

  #disarm(): void {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
  }

  timedOut(): void {
    if (!this.#isSettled) {
      this.#settle('failed');
      this.#fail('connect', 'timed out');
    } else {
      this.#fail('timed out', `state: ${this.#engine.state}`);
    }
  }

  #settle(outcome: ConnectOutcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#context.health.settled(this.#key(), outcome, this.#startedMs, performance.now());
  }

  #key(): string {
    return `${this.target.ip}:${this.target.port}`;
  }

  // Engine

  send(bytes: string): void {
    this.#socket?.write(bytes, 'latin1');
  }

  startTls(): void {
    const raw = this.#raw!;
    this.#isHandshaking = true;
    this.#socket = upgradeOwned(raw, this, this.#tlsOptions());
    // From here on only TLS tells us of its end; but it is the descriptor's that recipients' places wait for.
    raw.once('close', () => {
      try {
        this.onClose(raw);
      } catch (fault) {
        this.onFault(fault);
      }
    });
  }

  #tlsOptions(): ConnectionOptions {
    const { name, verifiesTls } = this.target;
    return this.#context.backendTls.connectOptions(this.#key(), name, verifiesTls);
  }

  recipientReply(number: number, reply: SmtpReply): void {
    const session = this.#sessions.get(number);
    if (session === undefined) return;
    if (reply.code >= 300) this.#settleSession(session);
    this.#arm(this.#dialogueMs());
    this.#owner.recipientReply(session, reply);
  }

  idle(): void {
    if (this.#isSending || this.isOver) return;
    // It is the MTA's turn, whose time is its own.
    this.#disarm();
    this.#begin();
  }

  finalReply(number: number, reply: SmtpReply): void {
    const session = this.#sessions.get(number);
    if (session === undefined) return;
    this.#settleSession(session);
    this.#owner.finalReply(session, reply);
    if (this.#sessions.size === 0) this.quit();
    else this.#arm(this.#timeoutMs);
  }

  failed(failure: BackendFailure, detail: string): void {
    this.#fail(failure, detail);
  }

  writeMessage(isDotStuffed: boolean): void {
    this.#pump(isDotStuffed ? new DataEncoder() : null).catch((error: unknown) => {
      // Nothing but the end of the message makes a backend deliver, and that has not been sent.
      if (this.#socket !== null) this.#fail('connection lost', String(error));
    });
  }

  /** From the spool, at the backend's pace: one piece is on its way at a time. */
  async #pump(encoder: DataEncoder | null): Promise<void> {
    const { header, spool } = this.#message!;
    const buffer = Buffer.allocUnsafe(Math.min(lmtpLimits.spoolReadBytes, spool.size));
    const isEmpty = encoder === null && spool.size === 0;
    await this.#write(encoder === null ? header : encoder.encode(header), isEmpty);
    for (let position = 0; position < spool.size; ) {
      if (this.#socket === null) return;
      const piece = await spool.read(position, buffer);
      position += piece.length;
      const isLast = encoder === null && position >= spool.size;
      await this.#write(encoder === null ? piece : encoder.encode(piece), isLast);
    }
    if (encoder !== null) await this.#write(Buffer.from(encoder.end(), 'latin1'), true);
  }

  /**
   * Resolves when the kernel has taken it. The backend may answer the last piece before we are told that it
   * was written.
   */
  async #write(piece: Buffer, isLast: boolean): Promise<void> {
    const socket = this.#socket;
    if (socket === null) return;
    await new Promise<void>((resolve, reject) => {
      socket.write(piece, (error) => {
        if (error) reject(error);
        else resolve();
      });
      if (isLast) this.#engine.messageSent();
    });
    if (this.#socket !== null) this.#arm(this.#timeoutMs);
  }

  // Socket

  onConnect(): void {
    this.#settle('connected');
    const header = backendHeader(this.#context.backend, this.#facts);
    if (header !== null) this.#socket?.write(header);
    if (this.target.tls === 'implicit') this.startTls();
  }

  onSecure(socket: TLSSocket): void {
    if (socket !== this.#socket) return;
    this.#isHandshaking = false;
    const { verifiesTls } = this.target;
    const complaint = this.#context.backendTls.secured(this.#key(), socket, verifiesTls);
    if (complaint !== '') {
      this.#fail('connect', `TLS: ${complaint}`);
      return;
    }
    if (this.target.tls === 'starttls') this.#engine.tlsStarted();
  }

  /** TLS delivers so. */
  onData(socket: net.Socket, chunk: Buffer): void {
    this.onRead(socket, chunk);
  }

  onRead(socket: net.Socket, chunk: Buffer): boolean {
    if (socket !== this.#socket) return false;
    this.#engine.receive(chunk);
    return true;
  }

  onEnd(socket: net.Socket): void {
    if (socket !== this.#socket) return;
    if (this.#isQuitting) this.close();
    else this.#fail(this.#isHandshaking ? 'connect' : 'connection lost', 'closed by the backend');
  }

  onError(socket: net.Socket, error: NodeJS.ErrnoException): void {
    if (socket !== this.#socket) return;
    const isConnecting = !this.#isSettled || this.#isHandshaking;
    this.#settle('failed');
    if (this.#isHandshaking) this.#context.backendTls.forget(this.#key());
    const detail = this.#isHandshaking ? `TLS: ${error.message}` : error.message;
    this.#fail(isConnecting ? 'connect' : 'connection lost', detail);
  }

  onFault(error: unknown): void {
    this.close();
    this.#owner.onFault(error);
  }

  onClose(socket: net.Socket): void {
    if (socket !== this.#raw) return;
    this.#raw = null;
    if (this.#socket !== null) {
      const isConnecting = !this.#isSettled || this.#isHandshaking;
      if (this.#isQuitting) this.close();
      else this.#fail(isConnecting ? 'connect' : 'connection lost', 'closed');
    }
    this.#releaseAll();
  }

  #releaseAll(): void {
    for (const session of this.#held) session.release();
    this.#held.clear();
  }
}

function timedOut(connection: BackendConnection): void {
  connection.timedOut();
}
