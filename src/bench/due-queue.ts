/** Instants in the order they came, first in, first out. */
export class DueQueue {
  readonly #limit: number;
  #items: number[] = [];
  #head = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** False: it is full. */
  push(dueMs: number): boolean {
    if (this.length >= this.#limit) return false;
    this.#items.push(dueMs);
    return true;
  }

  shift(): number | null {
    const first = this.#items[this.#head];
    if (first === undefined) return null;
    this.#head++;
    // Half of it is gone: what is left moves to the front, at a constant price for each.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return first;
  }
}
