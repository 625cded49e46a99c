import { PostilionError } from '../../shared/errors.ts';
import { LineSplitter } from '../../shared/wire/line-splitter.ts';
import { BENCH_LIMITS } from '../bench-limits.ts';
import type { Fault, FaultKind } from '../faults.ts';
import type { Identity } from '../identity.ts';
import type { BodyFacts, BodyReader } from './body-reader.ts';

/** What a client can be told to do, whatever its protocol. */
export type DialogueStep =
  /** Wait for the greeting; STARTTLS where that is wanted, and what the protocol needs before anything else. */
  | { readonly kind: 'open' }
  /** LMTP has no logins: there, it is a recipient that is accepted, which takes a director the same way. */
  | { readonly kind: 'login'; readonly user: string; readonly password: string }
  | { readonly kind: 'noop' }
  /** Opens the mailbox where there is such a thing. */
  | { readonly kind: 'select' }
  /** The first message. */
  | { readonly kind: 'fetch' }
  | { readonly kind: 'idle' }
  | { readonly kind: 'end-idle' }
  /** `message` is latin1 with CRLFs, and no line begins with a dot. */
  | { readonly kind: 'deliver'; readonly user: string; readonly message: string }
  | { readonly kind: 'logout' };

/** What the server's answer to a step says besides yes. */
export interface DialogueAnswer {
  readonly identity: Identity | null;
  /** Whom an LMTP server says that it has served. */
  readonly recipient: string | null;
  readonly body: BodyFacts | null;
}

export const PLAIN_ANSWER: DialogueAnswer = { identity: null, recipient: null, body: null };

/** Where a dialogue's output goes. */
export interface DialogueSink {
  /** latin1 */
  send(text: string): void;
  /** A TLS handshake has to come now, then tlsStarted(). */
  startTls(): void;
  /** The step is answered: the next one may begin. */
  done(answer: DialogueAnswer): void;
  /** The dialogue is over: it takes nothing more. */
  failed(fault: Fault): void;
}

class DialogueFault extends PostilionError {
  readonly kind: FaultKind;

  constructor(kind: FaultKind, text: string) {
    super('BENCH_DIALOGUE', text);
    this.kind = kind;
  }
}

/**
 * The client's side of one connection, without I/O: bytes of the server in, commands and answers out.
 * One step at a time.
 */
export abstract class Dialogue {
  protected readonly sink: DialogueSink;
  protected step: DialogueStep | null = null;
  readonly #lines = new LineSplitter(BENCH_LIMITS.lineBytes);
  #body: BodyReader | null = null;
  #isOver = false;
  #isAwaitingTls = false;

  constructor(sink: DialogueSink) {
    this.sink = sink;
  }

  /** Begins a step; the one before must be done. */
  begin(step: DialogueStep): void {
    this.step = step;
    this.#guard(() => this.ask(step));
  }

  /** Nothing of `chunk` is kept. */
  receive(chunk: Buffer): void {
    if (!this.#isOver) this.#guard(() => this.#take(chunk));
  }

  /** Everything from now on came through TLS. */
  tlsStarted(): void {
    this.#isAwaitingTls = false;
    this.#guard(() => this.secured());
  }

  /** Sends the step's first command, if it has one. */
  protected abstract ask(step: DialogueStep): void;
  /** A line of the server, without its line end. */
  protected abstract line(text: string): void;
  /** TLS has begun, as the dialogue wanted. */
  protected abstract secured(): void;
  /** The announced body is there, whole. */
  protected abstract bodyEnded(facts: BodyFacts): void;

  protected done(answer: DialogueAnswer = PLAIN_ANSWER): void {
    this.step = null;
    this.sink.done(answer);
  }

  protected startTls(): void {
    // What stands behind the consent was not sent by whom TLS will speak to.
    if (this.#lines.rest() !== null) this.fail('protocol', 'bytes in the clear before TLS');
    this.#isAwaitingTls = true;
    this.sink.startTls();
  }

  /** What follows goes to `body` until that is complete. */
  protected expectBody(body: BodyReader): void {
    this.#body = body;
  }

  protected fail(kind: FaultKind, text: string): never {
    throw new DialogueFault(kind, text);
  }

  /** For a line that has no place here. */
  protected unexpected(line: string): never {
    this.fail('protocol', `${this.step?.kind ?? 'between commands'}: ${line}`);
  }

  #take(chunk: Buffer): void {
    let rest: Buffer | null = chunk;
    while (rest !== null && !this.#isOver) {
      if (this.#isAwaitingTls) this.fail('protocol', 'bytes in the clear before TLS');
      if (this.#body !== null) rest = this.#takeBody(this.#body, rest);
      else rest = this.#takeLines(rest);
    }
  }

  /** Gives what is not for lines: the beginning of a body. */
  #takeLines(chunk: Buffer): Buffer | null {
    const lines = this.#lines;
    lines.push(chunk);
    for (let line = lines.next(); line !== null; line = lines.next()) {
      this.line(line);
      if (this.#isOver) return null;
      if (this.#body !== null) return lines.rest();
    }
    if (lines.isTooLong) this.fail('protocol', 'a line is too long');
    return null;
  }

  #takeBody(body: BodyReader, chunk: Buffer): Buffer | null {
    const used = body.take(chunk);
    if (body.isComplete) {
      this.#body = null;
      this.bodyEnded(body.facts());
    }
    return used < chunk.length ? chunk.subarray(used) : null;
  }

  /** Faults are thrown from wherever they are seen; they end the dialogue. */
  #guard(what: () => void): void {
    try {
      what();
    } catch (error) {
      if (!(error instanceof DialogueFault)) throw error;
      this.#isOver = true;
      this.sink.failed({ kind: error.kind, text: error.message });
    }
  }
}
