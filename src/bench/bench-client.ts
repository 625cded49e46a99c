import { BenchConnection, type ConnectionOwner } from './bench-connection.ts';
import type { Clock } from './clock.ts';
import type { BodyFacts } from './dialogue/body-reader.ts';
import type { DialogueAnswer } from './dialogue/dialogue.ts';
import type { Fault } from './faults.ts';
import type { Measure } from './latencies.ts';
import type { Ledger } from './ledger.ts';
import type { Step, Visit } from './steps.ts';
import type { TargetDoor } from './target-door.ts';

export interface ClientOptions {
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** One for each target. */
  readonly doors: readonly TargetDoor[];
  readonly isHashed: boolean;
  readonly timeoutMs: number;
  /** What the latency of work that is never done goes to. */
  readonly mainMeasure: Measure;
  readonly nameOf: (user: number) => string;
}

export interface ClientOwner {
  /** All that it was given is done. */
  clientDone(client: BenchClient): void;
  /** It has no connection any more; the ledger knows why. */
  clientFailed(client: BenchClient): void;
}

type Work = 'opening' | 'visit' | 'operation' | 'goodbye';

/** One place of the load: a connection after the other, or one that stays; tells the ledger what came of it. */
export class BenchClient implements ConnectionOwner {
  readonly #options: ClientOptions;
  readonly #owner: ClientOwner;
  #connection: BenchConnection | null = null;
  #visit: Visit | null = null;
  #work: Work = 'visit';
  #sinceMs = 0;
  /** The user's place is taken in the table of all threads. */
  #isEntered = false;
  #bodyHash: string | null = null;

  constructor(options: ClientOptions, owner: ClientOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  /** Opens a session that stays. */
  open(visit: Visit): void {
    this.#begin('opening', visit, this.#options.clock.now());
  }

  /** From greeting to goodbye. `sinceMs`: when it should have begun. */
  visit(visit: Visit, sinceMs: number): void {
    this.#begin('visit', visit, sinceMs);
  }

  /** Over the session that is open. */
  operate(steps: readonly Step[], sinceMs: number): void {
    this.#work = 'operation';
    this.#sinceMs = sinceMs;
    this.#connection?.run(steps);
  }

  sayGoodbye(steps: readonly Step[]): void {
    this.#work = 'goodbye';
    this.#sinceMs = this.#options.clock.now();
    this.#connection?.run(steps);
  }

  checkDeadline(nowMs: number): void {
    this.#connection?.checkDeadline(nowMs);
  }

  cutPause(): void {
    this.#connection?.cutPause();
  }

  /** The time is over. What it was at counts as late as it is now. */
  giveUp(): void {
    const text = `${this.#work}: not done at the end`;
    this.#connection?.failed({ kind: 'timeout', text });
  }

  destroy(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.leaving();
  }

  leaving(): void {
    if (this.#isEntered && this.#visit !== null) this.#options.ledger.leave(this.#visit.user);
    this.#isEntered = false;
  }

  stepEnded(step: Step, answer: DialogueAnswer, startedMs: number): void {
    this.#time(step, startedMs);
    const visit = this.#visit;
    if (visit === null) return;
    const { ledger, nameOf } = this.#options;
    const isEntered = ledger.checkAnswer(answer, visit.user, nameOf(visit.user), this.#isEntered);
    this.#isEntered ||= isEntered;
    if (answer.body !== null) this.#checkBody(answer.body);
    if (step.kind === 'deliver' && ledger.isWithin(this.#sinceMs)) {
      ledger.bodyBytes += step.message.length;
    }
  }

  stepsEnded(): void {
    const { ledger, clock } = this.#options;
    if (this.#work === 'visit' && this.#visit?.isTimed === true) {
      ledger.record('visit', this.#sinceMs, this.#sinceMs, clock.now());
    }
    this.#owner.clientDone(this);
  }

  failed(fault: Fault): void {
    const { ledger, clock, mainMeasure } = this.#options;
    this.leaving();
    this.#connection = null;
    ledger.fault(fault);
    const isMeasured = this.#work === 'visit' || this.#work === 'operation';
    if (isMeasured && fault.kind === 'timeout') {
      ledger.record(mainMeasure, this.#sinceMs, this.#sinceMs, clock.now());
    }
    this.#owner.clientFailed(this);
  }

  #begin(work: Work, visit: Visit, sinceMs: number): void {
    const { doors, isHashed, timeoutMs, clock } = this.#options;
    const door = doors[visit.target];
    if (door === undefined) throw new RangeError(`target ${visit.target}`);
    this.#work = work;
    this.#visit = visit;
    this.#sinceMs = sinceMs;
    this.#isEntered = false;
    this.#bodyHash = null;
    this.#connection = new BenchConnection({ door, isHashed, timeoutMs, clock }, this);
    this.#connection.run(visit.steps);
  }

  #time(step: Step, startedMs: number): void {
    const { ledger, clock } = this.#options;
    const nowMs = clock.now();
    switch (step.kind) {
      case 'open':
      case 'login':
        // Sessions that stay are opened outside of the window, and count all the same.
        if (this.#work === 'opening') ledger.latencies.record(step.kind, nowMs - this.#sinceMs);
        else ledger.record(step.kind, this.#sinceMs, this.#sinceMs, nowMs);
        return;
      case 'noop':
      case 'fetch':
      case 'deliver': {
        const fromMs = this.#work === 'operation' ? this.#sinceMs : startedMs;
        ledger.record(step.kind, this.#sinceMs, fromMs, nowMs);
        return;
      }
      default:
        return;
    }
  }

  #checkBody(body: BodyFacts): void {
    const { ledger } = this.#options;
    const fault = ledger.checkBody(body, this.#bodyHash);
    this.#bodyHash = body.sha256;
    if (fault !== null) this.#connection?.failed(fault);
    else if (ledger.isWithin(this.#sinceMs)) ledger.bodyBytes += body.bytes;
  }
}
