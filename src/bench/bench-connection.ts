import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { createDialogue } from './dialogue/create-dialogue.ts';
import {
  type Dialogue,
  type DialogueAnswer,
  type DialogueSink,
  PLAIN_ANSWER,
} from './dialogue/dialogue.ts';
import type { Fault } from './faults.ts';
import type { Step } from './steps.ts';
import type { TargetDoor } from './target-door.ts';

export interface ConnectionOptions {
  readonly door: TargetDoor;
  readonly isHashed: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Whom a connection tells. It may begin the next steps from within. */
export interface ConnectionOwner {
  /** The goodbye is said next: the session counts as over before the server can know it. */
  leaving(): void;
  stepEnded(step: Step, answer: DialogueAnswer, startedMs: number): void;
  /** All the steps that were given. */
  stepsEnded(): void;
  /** The connection is closed. Nothing comes after this. */
  failed(fault: Fault): void;
}

/** Socket, clock and dialogue of one client: carries out steps. */
export class BenchConnection implements DialogueSink {
  readonly #options: ConnectionOptions;
  readonly #owner: ConnectionOwner;
  readonly #dialogue: Dialogue;
  #socket: Socket | null = null;
  #steps: readonly Step[] = [];
  #next = 0;
  #step: Step | null = null;
  #stepStartedMs = 0;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #endPause: (() => void) | null = null;
  #isClosed = false;

  constructor(options: ConnectionOptions, owner: ConnectionOwner) {
    this.#options = options;
    this.#owner = owner;
    const { target } = options.door;
    this.#dialogue = createDialogue(target.protocol, this, {
      usesStartTls: target.tls === 'starttls',
      isHashed: options.isHashed,
    });
  }

  /** No step is under way: the next ones may come. */
  get isIdle(): boolean {
    return this.#step === null && !this.#isClosed;
  }

  /** The first step of a connection is 'open'. */
  run(steps: readonly Step[]): void {
    this.#steps = steps;
    this.#next = 0;
    this.#advance();
  }

  /** Fails the connection if its answer is overdue. */
  checkDeadline(nowMs: number): void {
    if (nowMs < this.#deadlineMs || this.#step === null) return;
    this.failed({ kind: 'timeout', text: `${this.#step.kind}: no answer` });
  }

  cutPause(): void {
    this.#endPause?.();
  }

  /** Without a word to anybody. */
  destroy(): void {
    this.#isClosed = true;
    this.#step = null;
    this.#endPause = null;
    this.#socket?.destroy();
    this.#socket = null;
  }

  send(text: string): void {
    this.#socket?.write(text, 'latin1');
  }

  startTls(): void {
    const plain = this.#socket;
    if (plain === null) return;
    plain.removeAllListeners();
    const secured = this.#options.door.secure(plain);
    this.#listen(secured);
    secured.once('secureConnect', () => this.#dialogue.tlsStarted());
  }

  done(answer: DialogueAnswer): void {
    const step = this.#step;
    if (step === null) return;
    this.#step = null;
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    this.#owner.stepEnded(step, answer, this.#stepStartedMs);
    if (!this.#isClosed) this.#advance();
  }

  failed(fault: Fault): void {
    if (this.#isClosed) return;
    this.destroy();
    this.#owner.failed(fault);
  }

  #advance(): void {
    const step = this.#steps[this.#next++];
    if (step === undefined) {
      this.#owner.stepsEnded();
      return;
    }
    this.#step = step;
    this.#stepStartedMs = this.#options.clock.now();
    this.#deadlineMs = this.#stepStartedMs + this.#options.timeoutMs;
    if (step.kind === 'pause') this.#pause(step.ms);
    else if (step.kind !== 'close') {
      if (step.kind === 'open') this.#open();
      else if (step.kind === 'logout') this.#owner.leaving();
      this.#dialogue.begin(step);
    }
  }

  #pause(ms: number): void {
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    const end = (): void => {
      if (this.#endPause !== end) return;
      this.#endPause = null;
      takeBack();
      this.done(PLAIN_ANSWER);
    };
    const takeBack = this.#options.clock.later(ms, end);
    this.#endPause = end;
  }

  #open(): void {
    this.#socket = this.#options.door.open();
    this.#listen(this.#socket);
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#dialogue.receive(chunk));
    // A server's end of input is the end: the other half is not used.
    socket.on('end', () => this.#ended('closed by the server'));
    socket.on('close', () => this.#ended('closed'));
    socket.on('error', (error: Error) => this.#failedSocket(error));
  }

  #failedSocket(error: Error): void {
    const step = this.#step;
    // Whatever a server does behind its goodbye is the end.
    if (step?.kind === 'close') this.#ended('');
    else if (step?.kind !== 'open') this.#ended(error.message);
    else this.failed({ kind: openFault(error), text: `open: ${error.message}` });
  }

  #ended(text: string): void {
    // Without a socket the goodbye is over.
    if (this.#isClosed || this.#socket === null) return;
    const step = this.#step;
    if (step?.kind !== 'close') {
      this.failed({ kind: 'closed', text: `${step?.kind ?? 'between commands'}: ${text}` });
      return;
    }
    this.#socket.destroy();
    this.#socket = null;
    this.done(PLAIN_ANSWER);
  }
}

/** Before the greeting: the system's calls fail, or TLS does. */
function openFault(error: Error): 'connect' | 'tls' {
  return 'syscall' in error ? 'connect' : 'tls';
}
