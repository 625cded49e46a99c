import { backendLimits } from '../../shared/limits.ts';
import { LineSplitter } from '../../shared/wire/line-splitter.ts';
import type { BackendEngine, BackendLogin, BackendSink, LoginFailure } from './engine.ts';
import { loggable } from './loggable.ts';

/** Cuts input into what a protocol counts as one line; see LineSplitter. */
export interface LineSource {
  push(chunk: Buffer): void;
  next(): string | null;
  readonly isTooLong: boolean;
  rest(): Buffer | null;
}

/** What the backend engines have in common: lines in, one end. `Phase` names what is awaited. */
export abstract class LoginBackend<Phase extends string> implements BackendEngine {
  protected readonly login: BackendLogin;
  protected readonly sink: BackendSink;
  protected phase: Phase | 'banner' | 'dead' = 'banner';
  #isStartingTls = false;
  readonly #lines: LineSource;

  constructor(
    login: BackendLogin,
    sink: BackendSink,
    lines: LineSource = new LineSplitter(backendLimits.lineBytes),
  ) {
    this.login = login;
    this.sink = sink;
    this.#lines = lines;
  }

  get state(): string {
    return this.phase;
  }

  receive(chunk: Buffer): void {
    if (this.phase === 'dead') return;
    this.#lines.push(chunk);
    for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) {
      this.receiveLine(line);
      if (this.#isDead()) return;
      if (this.#isStartingTls) break;
    }
    if (this.#isStartingTls) this.#beginTls();
    if (this.#lines.isTooLong) this.fail({ kind: 'protocol' }, 'Too long input line');
  }

  /** To be called for the line that consents to TLS: the handshake begins once its chunk is used up. */
  protected startTls(phase: Phase): void {
    this.phase = phase;
    this.#isStartingTls = true;
  }

  #beginTls(): void {
    this.#isStartingTls = false;
    if (this.#lines.rest() !== null) {
      this.fail({ kind: 'protocol' }, 'input in the clear behind STARTTLS');
      return;
    }
    this.sink.startTls();
  }

  abstract tlsStarted(): void;

  /** A method, as a line changes the phase behind the compiler's back. */
  #isDead(): boolean {
    return this.phase === 'dead';
  }

  /** A whole line without its line end. Not called once the engine is dead. */
  protected abstract receiveLine(line: string): void;

  /** The greeting was good: true to go on with the login. */
  protected greeted(): boolean {
    if (this.login.facts.ttl <= 1) {
      this.fail({ kind: 'remote-config' }, 'TTL used up: proxies appear to be looping');
      return false;
    }
    this.sink.greeted();
    return true;
  }

  protected accept(text: string, capability: string): void {
    this.phase = 'dead';
    this.sink.accepted({ text: withoutControls(text), capability }, this.#lines.rest());
  }

  protected fail(failure: LoginFailure, detail: string): void {
    this.phase = 'dead';
    this.sink.failed(failure, detail);
  }

  /** A line of the backend for the log, without the password that it may repeat. */
  protected loggable(line: string): string {
    return loggable(line, this.login);
  }
}

/** What is passed on can neither end early at a bare CR, nor carry a NUL. CRLF is there only between lines. */
export function withoutControls(lines: string): string {
  return lines.replace(/\0|\r(?!\n)/g, '');
}
