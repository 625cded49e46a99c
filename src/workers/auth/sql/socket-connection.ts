import type { EventEmitter } from 'node:events';
import type net from 'node:net';
import type { SqlConnection, SqlResult } from './sql-connection.ts';

/** A library's connection over a socket that is ours: its end is that of the socket. */
export abstract class SocketConnection implements SqlConnection {
  readonly #socket: net.Socket;
  #isEnded = false;
  #onEnd: () => void = () => {};

  constructor(library: EventEmitter, socket: net.Socket) {
    this.#socket = socket;
    // Without a listener an error of an idle connection would be fatal; its end follows.
    library.on('error', () => this.destroy());
    socket.on('close', () => {
      this.#isEnded = true;
      this.#onEnd();
    });
  }

  abstract query(statement: string, parameters: readonly string[]): Promise<SqlResult>;
  /** Says goodbye to the server. */
  protected abstract sayGoodbye(): void;

  /** The library may report the end of the socket before the socket itself does. */
  get isEnded(): boolean {
    return this.#isEnded || !this.#socket.readable || !this.#socket.writable;
  }

  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  quit(): void {
    this.#isEnded = true;
    this.sayGoodbye();
  }

  destroy(): void {
    this.#isEnded = true;
    this.#socket.destroy();
  }
}
