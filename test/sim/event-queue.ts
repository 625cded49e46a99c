interface QueuedEvent {
  readonly atMs: number;
  /** Events of one time run in the order in which they were queued. */
  readonly order: number;
  readonly run: () => void;
}

/** Simulated time: what is to happen, in order (a binary heap). */
export class EventQueue {
  nowMs = 0;
  /** Events that have run: what a simulation costs. */
  ran = 0;
  readonly #heap: QueuedEvent[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** A time that has passed means: next. */
  at(atMs: number, run: () => void): void {
    const event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run };
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
  }

  /** Runs everything up to a time, which is then the present one. */
  runUntil(atMs: number): void {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= atMs; ) {
      this.#takeFirst();
      this.nowMs = first.atMs;
      this.ran++;
      first.run();
      first = this.#heap[0];
    }
    this.nowMs = atMs;
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let index = 0;
    for (let child = 1; child < length; child = 2 * index + 1) {
      if (child + 1 < length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
