/** Calls back when other events have had their turn. */
export type Soon = (run: () => void) => void;

/**
 * Does a bounded number of things in one turn of the event loop, and the rest in later turns, in order. What
 * fits into the turn is done inside push().
 */
export class TurnQueue<T> {
  readonly #perTurn: number;
  readonly #soon: Soon;
  readonly #run: (item: T) => void;
  #items: T[] = [];
  /** Items before it are done. */
  #next = 0;
  #leftThisTurn: number;
  #isScheduled = false;

  constructor(perTurn: number, soon: Soon, run: (item: T) => void) {
    this.#perTurn = perTurn;
    this.#leftThisTurn = perTurn;
    this.#soon = soon;
    this.#run = run;
  }

  get length(): number {
    return this.#items.length - this.#next;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#work();
  }

  #work(): void {
    while (this.#leftThisTurn > 0 && this.#next < this.#items.length) {
      this.#leftThisTurn--;
      this.#run(this.#items[this.#next++]);
    }
    if (this.#next === this.#items.length) {
      this.#items = [];
      this.#next = 0;
    }
    if (this.#isScheduled || this.#leftThisTurn === this.#perTurn) return;
    this.#isScheduled = true;
    this.#soon(() => {
      this.#isScheduled = false;
      this.#leftThisTurn = this.#perTurn;
      this.#work();
    });
  }
}
