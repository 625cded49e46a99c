import { splitTabEscaped } from '../../shared/wire/tab-escape.ts';
import { adminLimits } from './admin-limits.ts';
import { ADMIN_HANDSHAKE, isCompatibleHandshake } from './admin-protocol.ts';
import { type Answer, type AnswerPart, BadCommand, Wait } from './answer.ts';
import {
  type Command,
  type CommandContext,
  loggable,
  RING_SYNC_TIMED_OUT,
  whoOf,
} from './command.ts';
import { commands } from './commands.ts';

const LF = 0x0a;

/**
 * One client of the director-admin protocol, without I/O. It is pulled: the edge gives input while
 * wantsInput, and takes output by next() until that gives null. Commands are answered one after
 * the other; the next is looked at when the answer before it has been taken. `wake` is called when there
 * is something to take again after a wait.
 *
 * Behaviour of Dovecot 2.3.19.1's doveadm-connection.c: what it cannot understand is logged and ends
 * the connection. Unlike Dovecot a line that is too long does that as well, and a line behind a command
 * that has to wait is not lost.
 */
export class AdminConnection {
  readonly #context: CommandContext;
  readonly #wake: () => void;
  /** At most one line and one chunk of the edge. */
  #input: Buffer = Buffer.alloc(0);
  #answer: Answer | null = [ADMIN_HANDSHAKE].values();
  #wait: Wait | null = null;
  #isGreeted = false;
  #isEnding = false;
  #inputEnded = false;

  constructor(context: CommandContext, wake: () => void) {
    this.#context = context;
    this.#wake = wake;
  }

  /** False: give no more input until next() has given null and this is true. */
  get wantsInput(): boolean {
    return this.#answer === null && !this.isDone;
  }

  /** All that will ever be said has been taken: close. */
  get isDone(): boolean {
    return this.#answer === null && (this.#isEnding || this.#inputEnded);
  }

  receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    if (this.#answer === null) this.#nextCommand();
  }

  /** The client sends no more. What it has sent is answered; half a line is not. */
  endInput(): void {
    this.#inputEnded = true;
  }

  /** The next piece of output; '' when the piece is empty; null when there is none for now. */
  next(): string | null {
    if (this.#wait?.isOver === false) return null;
    this.#wait = null;
    if (this.#answer === null) return null;
    const piece = this.#step(this.#answer);
    if (typeof piece === 'string') return piece;
    if (piece instanceof Wait && !piece.isOver) {
      this.#wait = piece;
      piece.whenOver(this.#wake);
      return null;
    }
    if (piece === null) {
      this.#answer = null;
      this.#nextCommand();
    }
    return this.#answer === null ? null : '';
  }

  /** Null: the answer is at its end. */
  #step(answer: Answer): string | Wait | null {
    try {
      const { moves } = this.#context.director;
      const { done, value } = moves.orderedBy(whoOf(this.#context), () => answer.next());
      return done === true ? null : value;
    } catch (error) {
      if (!(error instanceof BadCommand)) throw error;
      this.#fail(loggable(error.message));
      return null;
    }
  }

  /** Takes lines until one has an answer. */
  #nextCommand(): void {
    while (this.#answer === null && !this.#isEnding) {
      const line = this.#takeLine();
      if (line === null) return;
      if (!this.#isGreeted) this.#handshake(line);
      else this.#answer = this.#run(line);
    }
  }

  #takeLine(): string | null {
    const end = this.#input.indexOf(LF);
    if (end >= adminLimits.lineBytes || (end < 0 && this.#input.length >= adminLimits.lineBytes)) {
      this.#fail(`doveadm sent a line of more than ${adminLimits.lineBytes} bytes`);
      return null;
    }
    if (end < 0) {
      // A copy: the chunk it is a part of may be a lot larger.
      this.#input = Buffer.from(this.#input);
      return null;
    }
    const line = this.#input.toString('latin1', 0, end);
    this.#input = this.#input.subarray(end + 1);
    // Dovecot ends a line at its first NUL and drops one CR.
    return line.split('\0', 1)[0].replace(/\r$/, '');
  }

  #handshake(line: string): void {
    this.#isGreeted = isCompatibleHandshake(line);
    if (!this.#isGreeted) {
      this.#fail(`doveadm not compatible with this server: ${loggable(line)}`);
    }
  }

  #run(line: string): Answer | null {
    // An escaped NUL ends a field, as it ends a string in Dovecot.
    const [name, ...args] = splitTabEscaped(line).map((field) => field.split('\0', 1)[0]);
    if (name === undefined) return this.#fail('doveadm sent empty command line');
    const command = commands.get(name);
    if (command === undefined) {
      return this.#fail(`doveadm sent unknown command: ${loggable(line)}`);
    }
    return run(this.#context, command, args);
  }

  #fail(text: string): null {
    this.#context.log('warn', text);
    this.#isEnding = true;
    this.#input = Buffer.alloc(0);
    return null;
  }
}

/** A command that needs it waits for the ring before it is even looked at. */
function* run(context: CommandContext, command: Command, args: readonly string[]): AnswerPart {
  const { director, work } = context;
  while (command.waitsForSync && !director.ring.isSynced) {
    const wait = work.until(() => director.ring.isSynced, adminLimits.ringSyncMs);
    yield wait;
    if (wait.isFulfilled) continue;
    yield RING_SYNC_TIMED_OUT;
    return;
  }
  yield* command.run(context, args);
}
