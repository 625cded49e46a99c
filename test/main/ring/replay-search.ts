import type { RingRecording } from './ring-recording.ts';
import { type Life, Mismatch, RingReplay, type Step } from './ring-replay.ts';

export interface ReplayResult {
  /** We can write all that the real director wrote, and nothing else. */
  readonly isSame: boolean;
  /** As far as any order of reading came. */
  readonly writtenLines: number;
  /** What was different there, for each thing that could come next. */
  readonly differences: readonly string[];
}

/**
 * The recording does not say in which order a director read what came on its connections, nor how much
 * at once. So this looks for an order in which we write what it wrote: depth first, earliest input first.
 */
export class ReplaySearch {
  readonly #create: () => RingReplay;
  readonly #maxDeadEnds: number;
  #replay: RingReplay;
  /** Which candidate was taken at each step. */
  readonly #taken: number[] = [];
  #next = 0;
  #deadEnds = 0;
  #best = { steps: -1, writtenLines: 0, differences: [] as string[] };

  constructor(
    recording: RingRecording,
    life: Life,
    isSame: (ours: string, recorded: string) => boolean,
    maxDeadEnds: number,
  ) {
    this.#create = () => new RingReplay(recording, life, isSame);
    this.#maxDeadEnds = maxDeadEnds;
    this.#replay = this.#create();
  }

  run(): ReplayResult {
    while (!this.#replay.isDone) {
      const step = this.#replay.candidates()[this.#next];
      if (step === undefined ? !this.#goBack() : !this.#take(step)) {
        return { ...this.#best, isSame: false };
      }
    }
    return { isSame: true, writtenLines: this.#replay.writtenLines, differences: [] };
  }

  #take(step: Step): boolean {
    try {
      this.#replay.step(step);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
      this.#note(`${describe(step)}: ${error.message}`);
      this.#next++;
      return this.#again();
    }
    this.#taken.push(this.#next);
    this.#next = 0;
    const { writtenLines } = this.#replay;
    if (writtenLines > this.#best.writtenLines) {
      this.#best = { steps: this.#taken.length, writtenLines, differences: [] };
    }
    return true;
  }

  #goBack(): boolean {
    const last = this.#taken.pop();
    if (last === undefined) return false;
    this.#next = last + 1;
    return this.#again();
  }

  /** A director cannot take back what it has done: a new one is brought to the same place. */
  #again(): boolean {
    if (++this.#deadEnds > this.#maxDeadEnds) return false;
    this.#replay = this.#create();
    for (const index of this.#taken) this.#replay.step(this.#replay.candidates()[index]);
    return true;
  }

  #note(difference: string): void {
    const { steps, differences } = this.#best;
    if (this.#taken.length === steps && !differences.includes(difference)) {
      differences.push(difference);
    }
  }
}

function describe(step: Step): string {
  switch (step.kind) {
    case 'read':
      return `read ${step.end.wire.name} to ${step.to}`;
    case 'opened':
    case 'accepted':
    case 'ended':
      return `${step.kind} ${step.end.wire.name}`;
    case 'event':
      return step.event.text;
    default:
      return step.kind;
  }
}
