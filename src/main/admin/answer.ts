/** Something that a command waits for before it goes on. */
export class Wait {
  #onEnd: (() => void) | null = null;
  #outcome: 'fulfilled' | 'timed-out' | null = null;

  get isOver(): boolean {
    return this.#outcome !== null;
  }

  /** What was waited for has come to be. False: it took too long, or is not over. */
  get isFulfilled(): boolean {
    return this.#outcome === 'fulfilled';
  }

  end(outcome: 'fulfilled' | 'timed-out'): void {
    this.#outcome = outcome;
    this.#onEnd?.();
  }

  /** To be called when it is over; at most one. */
  whenOver(wake: () => void): void {
    this.#onEnd = wake;
  }
}

/**
 * What a command answers: text in pieces, so that a long answer neither fills memory nor holds the
 * event loop, with a Wait wherever it has to wait. The command itself runs in its first step.
 */
export type Answer = Iterator<string | Wait, void>;

/** The same, to be delegated to by `yield*`. */
export type AnswerPart = Generator<string | Wait, void>;

/** A command that cannot be understood: it is logged, and ends the connection as in Dovecot. */
export class BadCommand extends Error {}
