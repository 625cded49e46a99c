import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';

/** Where an engine of Dovecot's auth protocols puts its effects; calls happen inside engine methods, in order. */
export interface AuthEngineSink {
  /** Bytes for the server (latin1 string). */
  send(bytes: string): void;
  /** The handshake is done: ask() may be called. */
  ready(): void;
  answered(id: number, answer: PassdbAnswer): void;
  /** The server does not speak the protocol as we know it; `detail` is for the log. The engine is dead. */
  broken(detail: string): void;
}

/** The client side of one connection to a Dovecot auth process. Sans-IO; several questions at once, told apart by id. */
export interface AuthEngine {
  /** The kind of socket that speaks our protocol. */
  readonly expected: string;
  /** Introduces us. */
  start(): void;
  receive(chunk: Buffer): void;
  /** Sends a question; only when ready. Null: it cannot be put, and this is the answer. */
  ask(id: number, query: PassdbQuery): PassdbAnswer | null;
  /** Nobody waits for the answer any more. */
  cancel(id: number): void;
}

export type CreateAuthEngine = (sink: AuthEngineSink) => AuthEngine;
