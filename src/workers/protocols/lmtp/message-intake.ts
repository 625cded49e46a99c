import { DataDecoder } from './data-decoder.ts';

export interface IntakeSink {
  /** A piece of the message: a view of the chunk that brought it. */
  message(piece: Buffer): void;
}

/** How a piece of intake ended: at `position` of the chunk; -1 = it goes on in the next one. */
type Position = number;

/**
 * The bytes of one message on their way through, whichever command brings them: counts them, and keeps them
 * from the sink once they are too many or nobody is to get them.
 */
export class MessageIntake {
  readonly #sink: IntakeSink;
  /** 0 = no limit. */
  readonly #maxBytes: number;
  readonly #decoder = new DataDecoder();
  #bytes = 0;
  #isDropping = false;
  /** Of the present BDAT chunk. */
  #chunkLeft = 0;

  constructor(sink: IntakeSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  get isTooLarge(): boolean {
    return this.#maxBytes > 0 && this.#bytes > this.#maxBytes;
  }

  /** What comes goes nowhere. */
  drop(): void {
    this.#isDropping = true;
  }

  data(chunk: Buffer, from: number): Position {
    return this.#decoder.push(chunk, from, (piece) => this.#take(piece));
  }

  beginChunk(bytes: number): void {
    this.#chunkLeft = bytes;
  }

  chunk(chunk: Buffer, from: number): Position {
    const end = Math.min(chunk.length, from + this.#chunkLeft);
    this.#chunkLeft -= end - from;
    if (end > from) this.#take(chunk.subarray(from, end));
    return this.#chunkLeft === 0 ? end : -1;
  }

  #take(piece: Buffer): void {
    this.#bytes += piece.length;
    if (!this.#isDropping && !this.isTooLarge) this.#sink.message(piece);
  }
}
