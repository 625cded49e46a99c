import { dovecotAuthLimits } from '../../../shared/limits.ts';
import { LineSplitter } from '../../../shared/wire/line-splitter.ts';
import { splitTabEscaped } from '../../../shared/wire/tab-escape.ts';
import type { PassdbAnswer, PassdbQuery } from '../passdb.ts';
import type { AuthEngine, AuthEngineSink } from './auth-engine.ts';

/** What the protocols of both kinds of auth sockets share: lines of tab-separated fields, VERSION, replies by id. */
export abstract class AuthDialogue implements AuthEngine {
  protected readonly sink: AuthEngineSink;
  readonly #lines = new LineSplitter(dovecotAuthLimits.lineBytes);
  #state: 'handshake' | 'ready' | 'dead' = 'handshake';
  #handshakeLines = 0;
  #hasVersion = false;

  constructor(sink: AuthEngineSink) {
    this.sink = sink;
  }

  abstract readonly expected: string;
  abstract start(): void;
  abstract ask(id: number, query: PassdbQuery): PassdbAnswer | null;
  abstract cancel(id: number): void;

  receive(chunk: Buffer): void {
    if (this.#isDead()) return;
    this.#lines.push(chunk);
    let line = this.#lines.next();
    while (line !== null) {
      const [command = '', ...args] = splitTabEscaped(line);
      if (this.#state === 'handshake') this.#handshakeLine(command, args);
      else this.#reply(command, args);
      if (this.#isDead()) return;
      line = this.#lines.next();
    }
    if (this.#lines.isTooLong)
      this.break(`a line of more than ${dovecotAuthLimits.lineBytes} bytes`);
  }

  /** A line before the server was ready, but VERSION; true: it was the last of the handshake. */
  protected abstract handshake(command: string, args: readonly string[]): boolean;
  protected abstract reply(command: string, id: number, args: readonly string[]): void;

  protected break(detail: string): void {
    this.#state = 'dead';
    this.sink.broken(detail);
  }

  #handshakeLine(command: string, args: readonly string[]): void {
    if (++this.#handshakeLines > dovecotAuthLimits.handshakeLines) {
      this.break('a handshake without an end');
      return;
    }
    if (command === 'VERSION') {
      this.#hasVersion = true;
      // Minor versions may differ.
      if (readNumber(args[0]) !== 1) this.break(`version ${shown(args[0])} of the protocol`);
      return;
    }
    if (!this.#hasVersion) {
      this.break(`a handshake without VERSION: ${shown(command)}`);
      return;
    }
    if (!this.handshake(command, args) || this.#isDead()) return;
    this.#state = 'ready';
    this.sink.ready();
  }

  #reply(command: string, [idText, ...args]: readonly string[]): void {
    const id = readNumber(idText);
    if (id === null) this.break(`${shown(command)} without an id`);
    else this.reply(command, id, args);
  }

  /** Asked anew behind every call that may have changed it. */
  #isDead(): boolean {
    return this.#state === 'dead';
  }
}

/** A decimal number of 32 bits without a sign; null: it is none. */
function readNumber(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value <= 0xffffffff ? value : null;
}

/** Of what a server says, for the log: it may be anything. */
export function shown(text: string | undefined): string {
  return JSON.stringify((text ?? '').slice(0, 40));
}
