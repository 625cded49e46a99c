const CR = 13;
const LF = 10;
const DOT = 46;

const State = {
  text: 0,
  /** Behind a CR. */
  cr: 1,
  /** Behind CRLF, and at the beginning. */
  line: 2,
  /** Behind the dot that begins a line, which is not passed on. */
  dot: 3,
  /** Behind that dot and a CR, which is passed on if no LF follows. */
  dotCr: 4,
} as const;
type State = (typeof State)[keyof typeof State];

/**
 * Takes a message as DATA brings it (RFC 5321 4.5.2): finds the end, CRLF.CRLF and nothing like it (a lone
 * LF ends no line: two servers that disagree about that can be made to see two messages), and takes
 * back the dots that were doubled.
 */
export class DataDecoder {
  #state: State = State.line;

  /**
   * Gives the place behind the end of the message, or -1 when it goes on behind the chunk. Pieces of the
   * message, views of the chunk, go to `emit`.
   */
  push(chunk: Buffer, from: number, emit: (piece: Buffer) => void): number {
    let start = from;
    let i = from;
    if (this.#state === State.dotCr && from < chunk.length && chunk[from] !== LF) {
      emit(Buffer.from('\r'));
      this.#state = State.cr;
    }
    while (i < chunk.length) {
      const byte = chunk[i];
      switch (this.#state) {
        case State.text: {
          const cr = chunk.indexOf(CR, i);
          if (cr >= 0) this.#state = State.cr;
          i = cr < 0 ? chunk.length : cr + 1;
          break;
        }
        case State.cr:
          if (byte === LF) this.#state = State.line;
          else if (byte !== CR) this.#state = State.text;
          i++;
          break;
        case State.line:
          if (byte === DOT) {
            if (i > start) emit(chunk.subarray(start, i));
            this.#state = State.dot;
            i++;
            start = i;
          } else {
            this.#state = State.text;
          }
          break;
        case State.dot:
          if (byte === CR) {
            this.#state = State.dotCr;
            i++;
          } else {
            this.#state = State.text;
          }
          break;
        case State.dotCr:
          if (byte === LF) {
            this.#state = State.line;
            return i + 1;
          }
          this.#state = State.cr;
          break;
      }
    }
    // A CR behind such a dot is kept back.
    const end = this.#state === State.dotCr ? Math.max(start, chunk.length - 1) : chunk.length;
    if (end > start) emit(chunk.subarray(start, end));
    return -1;
  }
}
