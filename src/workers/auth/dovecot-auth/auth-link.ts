import { connect, type Socket } from 'node:net';
import { dovecotAuthLimits } from '../../../shared/limits.ts';
import type { AuthSocketAddress } from '../../../shared/remote-passdb-settings.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import type { AuthEngine, CreateAuthEngine } from './auth-engine.ts';

interface Pending {
  readonly query: PassdbQuery;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: PassdbAnswer) => void;
  isSent: boolean;
}

/**
 * One connection to a Dovecot auth process, made when there is a question and made again when it breaks. Questions
 * wait for it no longer than their time limit; those that were sent on a connection that breaks have failed.
 */
export class AuthLink {
  readonly #address: AuthSocketAddress;
  readonly #timeoutMs: number;
  readonly #createEngine: CreateAuthEngine;
  /** In the order in which they came. */
  readonly #pending = new Map<number, Pending>();
  #socket: Socket | null = null;
  #engine: AuthEngine | null = null;
  #isConnected = false;
  #isReady = false;
  #lastId = 0;
  #pauseMs: number = dovecotAuthLimits.firstPauseMs;
  #pauseTimer: NodeJS.Timeout | null = null;
  #handshakeTimer: NodeJS.Timeout | undefined;
  #lastError = 'no connection yet';
  #isClosed = false;

  constructor(address: AuthSocketAddress, timeoutMs: number, createEngine: CreateAuthEngine) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#createEngine = createEngine;
  }

  /** Never rejects. */
  ask(query: PassdbQuery): Promise<PassdbAnswer> {
    if (this.#isClosed) return Promise.resolve(failed('closed'));
    if (this.#pending.size >= dovecotAuthLimits.pendingQuestions) {
      return Promise.resolve(
        failed(`${dovecotAuthLimits.pendingQuestions} questions wait already`),
      );
    }
    return new Promise((resolve) => {
      const id = this.#nextId();
      const timer = setTimeout(() => this.#expire(id), this.#timeoutMs);
      this.#pending.set(id, { query, timer, resolve, isSent: false });
      if (this.#isReady) this.#send(id);
      else this.#connect();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#disconnect('closed');
    for (const id of [...this.#pending.keys()]) this.#answer(id, failed('closed'));
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
    this.#pauseTimer = null;
  }

  #connect(): void {
    if (this.#isClosed || this.#socket !== null || this.#pauseTimer !== null) return;
    const socket = connect({ ...this.#address, noDelay: true, keepAlive: true });
    this.#socket = socket;
    // Of a connection that was given up already nothing is of interest.
    const ifCurrent = (act: () => void) => () => {
      if (this.#socket === socket) act();
    };
    const engine = this.#createEngine({
      send: (bytes) => socket.write(bytes, 'latin1'),
      ready: ifCurrent(() => this.#ready()),
      answered: (id, answer) => this.#answer(id, answer),
      broken: (detail) => ifCurrent(() => this.#lost(detail))(),
    });
    this.#engine = engine;
    const late = ifCurrent(() => this.#lost('no handshake in time'));
    this.#handshakeTimer = setTimeout(late, this.#timeoutMs);
    socket.once('connect', () => {
      this.#isConnected = true;
      engine.start();
    });
    socket.on('data', (chunk: Buffer) => engine.receive(chunk));
    socket.on('error', (error) => ifCurrent(() => this.#lost(error.message))());
    socket.on(
      'close',
      ifCurrent(() => this.#lost('the auth server closed the connection')),
    );
  }

  #ready(): void {
    clearTimeout(this.#handshakeTimer);
    this.#isReady = true;
    this.#pauseMs = dovecotAuthLimits.firstPauseMs;
    for (const id of [...this.#pending.keys()]) this.#send(id);
  }

  #send(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined || this.#engine === null) return;
    pending.isSent = true;
    const answer = this.#engine.ask(id, pending.query);
    if (answer !== null) this.#answer(id, answer);
  }

  #answer(id: number, answer: PassdbAnswer): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.resolve(answer);
  }

  #expire(id: number): void {
    const isSent = this.#pending.get(id)?.isSent ?? false;
    if (isSent) this.#engine?.cancel(id);
    const why = isSent ? '' : `: ${this.#lastError}`;
    this.#answer(id, failed(`no answer within ${this.#timeoutMs} ms${why}`));
  }

  #lost(why: string): void {
    const wanted = this.#isReady || !this.#isConnected ? '' : ` (is it ${this.#engine?.expected}?)`;
    const detail = why + wanted;
    this.#disconnect(detail);
    for (const [id, { isSent }] of [...this.#pending]) {
      if (isSent) this.#answer(id, failed(`connection lost: ${detail}`));
    }
    this.#pauseTimer = setTimeout(() => {
      this.#pauseTimer = null;
      if (this.#pending.size > 0) this.#connect();
    }, this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, dovecotAuthLimits.maxPauseMs);
  }

  #disconnect(detail: string): void {
    const socket = this.#socket;
    clearTimeout(this.#handshakeTimer);
    this.#lastError = detail;
    this.#isConnected = false;
    this.#isReady = false;
    this.#engine = null;
    this.#socket = null;
    socket?.destroy();
  }

  /** 31 bits, and never 0, which the server refuses. */
  #nextId(): number {
    do {
      this.#lastId = this.#lastId >= 0x7fffffff ? 1 : this.#lastId + 1;
    } while (this.#pending.has(this.#lastId));
    return this.#lastId;
  }
}

function failed(detail: string): PassdbAnswer {
  return { kind: 'failed', detail };
}
